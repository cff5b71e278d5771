//! One Postgres of a test's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::certificates::Certificates;
use crate::folder::{Folder, make};
use crate::port::Port;
use crate::process::{Process, Running, tail};

use super::installation::Installation;
use super::template::{ADMINISTRATOR, Template};

const START: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(60);

/// What a test wants of its server.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// How many connections the server takes altogether.
    pub max_connections: u32,
    /// Whether a commit waits for the disk. It guards against a power cut only; a killed server finds every commit anyway.
    pub fsync: bool,
    /// The names in its certificate, such as [`LOOPBACK`](crate::LOOPBACK). `None`: it speaks no TLS.
    pub certificate_for: Option<&'static [&'static str]>,
    /// Further settings of `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { max_connections: 50, fsync: false, certificate_for: None, settings: Vec::new() }
    }
}

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// New connections are refused; it waits until the last client has gone.
    Smart,
    /// Clients are thrown out and their transactions rolled back.
    Fast,
    /// At once, without a checkpoint; the next start recovers.
    Immediate,
}

/// A Postgres server with its own data and port. Dropping it stops it and removes all that it stored.
#[derive(Debug)]
pub struct PostgresServer {
    process: Option<Process>,
    installation: Installation,
    port: Port,
    password: String,
    settings: Vec<(String, String)>,
    certificates: Option<Certificates>,
    // Removed after the process has ended.
    folder: Folder,
}

impl PostgresServer {
    /// Starts a server and waits until it answers. `None` where PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it does not start, and when it is not installed although `CI` or `ACKORD_TEST_REQUIRE_PROGRAMS` asks for it.
    pub async fn start(options: PostgresOptions) -> Option<Self> {
        let installation = Installation::find()?;
        let parent = installation.parent();
        let (folder, port) = (Folder::under(&parent), Port::free());
        // The server's user owns the folder above its data.
        make(&folder.path().join("postgres"), 0o700);
        installation.give(&folder.path().join("postgres"));
        let template = Template::find(&installation, &parent);
        template.copy(&installation, &folder.path().join("postgres/data"));
        let certificates = options.certificate_for.map(|hosts| Certificates::write(&folder, hosts));
        if let Some(certificates) = &certificates {
            // It insists that the key is its own.
            installation.give(Path::new(&certificates.server_key));
        }
        let settings = settings(&options, certificates.as_ref(), port.number());
        let password = template.password;
        let mut server = Self { process: None, installation, port, password, settings, certificates, folder };
        server.start_again().await;
        Some(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.number()).into()
    }

    /// `postgres://` with the administrator, to the database `postgres`.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The same to another database.
    pub fn url_of(&self, database: &str) -> String {
        self.url_at(self.address(), database)
    }

    /// The same through another address, as that of a [`Proxy`](crate::Proxy).
    pub fn url_at(&self, address: SocketAddr, database: &str) -> String {
        format!("postgres://{ADMINISTRATOR}:{}@{address}/{database}", self.password)
    }

    /// What it and its clients need for TLS.
    ///
    /// # Panics
    /// When the options gave it no certificate.
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("the server was started with a certificate")
    }

    pub(super) fn installation(&self) -> &Installation {
        &self.installation
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// `psql` with one statement on the database `postgres`: its rows, `|` between columns.
    pub async fn psql(&self, sql: &str) -> Result<String, String> {
        self.psql_on("postgres", sql).await
    }

    /// The same on another database.
    pub async fn psql_on(&self, database: &str, sql: &str) -> Result<String, String> {
        self.psql_at(&self.url_of(database), sql).await
    }

    /// The same at another URL, as that of a proxy or a pooler.
    pub async fn psql_at(&self, url: &str, sql: &str) -> Result<String, String> {
        let mut psql = self.installation.program("psql");
        psql.args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--command", sql, url]);
        let output = tokio::task::spawn_blocking(move || psql.stdin(Stdio::null()).output()).await;
        let output = output.expect("no panic").expect("psql can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// `pg_terminate_backend` for every client but the one that asks; says how many there were.
    pub async fn kill_backends(&self) -> usize {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        self.psql(sql).await.expect("the server runs").parse().expect("a count")
    }

    /// SIGKILL for the server and all its processes: nothing of it is left when this returns.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // Stopped first, so that it starts no more children; they would otherwise live on until they miss it.
        process.halt();
        let children = process.children();
        let running: Vec<Running> = children.iter().filter_map(|child| Running::of(*child)).collect();
        for child in children {
            signal(child, Signal::KILL);
        }
        process.kill();
        // While one of them is attached to the shared memory, no other server starts on the same data.
        for child in running {
            child.wait(STOP);
        }
        self.forget_shared_memory();
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(&mut self, how: Shutdown) {
        let Some(mut process) = self.process.take() else { return };
        process.signal(match how {
            Shutdown::Smart => Signal::TERM,
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
        });
        let deadline = Instant::now() + STOP;
        while process.ended().is_none() {
            assert!(Instant::now() < deadline, "Postgres does not stop:\n{}", tail(&self.log_file()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts it again with the same data and port, after it was killed or stopped; one that runs is stopped fast.
    pub async fn restart(&mut self) {
        self.stop(Shutdown::Fast).await;
        self.start_again().await;
    }

    /// SIGSTOP for the server and all its processes: connections stay and nothing answers.
    pub fn freeze(&mut self) {
        let process = self.process.as_ref().expect("the server runs");
        process.signal(Signal::STOP);
        process.children().into_iter().for_each(|child| signal(child, Signal::STOP));
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        let process = self.process.as_ref().expect("the server runs");
        process.children().into_iter().for_each(|child| signal(child, Signal::CONT));
        process.signal(Signal::CONT);
    }

    async fn start_again(&mut self) {
        let (data, log) = (self.data(), self.log_file());
        // That of a killed server may say "ready".
        let pid_file = data.join("postmaster.pid");
        let mut command = self.installation.program("postgres");
        command.arg("-D").arg(&data);
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let deadline = Instant::now() + START;
        let process = self.process.insert(Process::start(command, &log));
        while !says_ready(&pid_file, process.id()) {
            let ended = process.ended();
            assert!(ended.is_none(), "Postgres ended with {ended:?}:\n{}", tail(&log));
            assert!(Instant::now() < deadline, "Postgres is not ready within {START:?}:\n{}", tail(&log));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A killed server cannot give back the few bytes by which the next one on the same data would know it.
    fn forget_shared_memory(&self) {
        let pid_file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let Some(id) = pid_file.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) else {
            return;
        };
        let removed = Command::new("ipcrm").args(["--shmem-id", id]).stdin(Stdio::null()).output();
        if removed.is_err() {
            eprintln!("the shared memory {id} of a killed Postgres stays behind: there is no ipcrm");
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("postgres/data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("output")
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn settings(
    options: &PostgresOptions,
    certificates: Option<&Certificates>,
    port: u16,
) -> Vec<(String, String)> {
    let on = |value: bool| if value { "on" } else { "off" }.to_owned();
    let mut settings = vec![
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("unix_socket_directories", String::new()),
        ("max_connections", options.max_connections.to_string()),
        ("fsync", on(options.fsync)),
        ("full_page_writes", on(options.fsync)),
        ("shared_buffers", "32MB".to_owned()),
        ("jit", on(false)),
    ];
    if let Some(certificates) = certificates {
        settings.extend([
            ("ssl", on(true)),
            ("ssl_cert_file", certificates.server_certificate.clone()),
            ("ssl_key_file", certificates.server_key.clone()),
            // A client may show a certificate, and then it has to be of this authority.
            ("ssl_ca_file", certificates.ca.clone()),
        ]);
    }
    settings.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The server writes its id into the first line of its pid file and "ready" into the eighth. Asking the port instead
/// could reach another server.
fn says_ready(pid_file: &Path, id: u32) -> bool {
    let text = std::fs::read_to_string(pid_file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.first() == Some(&id.to_string().as_str()) && lines.get(7) == Some(&"ready")
}

/// For a child that may just have ended.
fn signal(child: Pid, signal: Signal) {
    let _ = kill_process(child, signal);
}
