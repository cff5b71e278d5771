//! A pooler before a Postgres.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::folder::{Folder, make};
use crate::port::Port;
use crate::process::{Process, tail};
use crate::required::{REQUIRE_PROGRAMS, left_out};
use crate::wait::eventually;

use super::server::PostgresServer;
use super::template::ADMINISTRATOR;

/// What a test wants of its pooler.
#[derive(Clone, Debug)]
pub struct PgBouncerOptions {
    /// `transaction`, `session` or `statement`.
    pub pool_mode: String,
    /// Connections to the server, per database.
    pub pool_size: u32,
    /// Further lines of `pgbouncer.ini`.
    pub settings: Vec<String>,
}

impl Default for PgBouncerOptions {
    fn default() -> Self {
        Self { pool_mode: "transaction".to_owned(), pool_size: 10, settings: Vec::new() }
    }
}

/// A `pgbouncer` on a port of its own. Dropping it kills it.
#[derive(Debug)]
pub struct PgBouncer {
    port: Port,
    password: String,
    _process: Process,
    // Removed after the process has ended.
    _folder: Folder,
}

impl PgBouncer {
    /// Starts one before the given server. `None` where it is not installed.
    ///
    /// # Panics
    /// When it does not start, and when it is not installed although `CI` or `ACKORD_TEST_REQUIRE_PROGRAMS` asks for it.
    pub async fn start(server: &PostgresServer, options: PgBouncerOptions) -> Option<Self> {
        let Some(program) = find() else { return left_out(REQUIRE_PROGRAMS, "there is no pgbouncer") };
        let installation = server.installation();
        let (folder, port) = (Folder::under(&installation.parent()), Port::free());
        let own = folder.path().join("pgbouncer");
        make(&own, 0o700);
        let users =
            folder.write("pgbouncer/users", &format!("\"{ADMINISTRATOR}\" \"{}\"\n", server.password()));
        let main =
            folder.write("pgbouncer/pgbouncer.ini", &main_file(&options, &port, server.address(), &users));
        for path in [own.as_path(), Path::new(&users), Path::new(&main)] {
            installation.give(path);
        }

        let log = folder.path().join("output");
        let mut command = installation.command(&program);
        command.arg(&main);
        let process = Process::start(command, &log);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        eventually("pgbouncer listens", Duration::from_secs(60), || {
            let (log, answers) = (tail(&log), TcpStream::connect(address));
            async move {
                assert!(!log.contains("FATAL"), "pgbouncer did not start:\n{log}");
                answers.ok().map(drop)
            }
        })
        .await;
        Some(Self { port, password: server.password().to_owned(), _process: process, _folder: folder })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.number()).into()
    }

    /// `postgres://` with the server's administrator, to one of the server's databases.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{ADMINISTRATOR}:{}@{}/{database}", self.password, self.address())
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian's stands in /usr/sbin, which an ordinary user's PATH may lack.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
}

fn main_file(options: &PgBouncerOptions, port: &Port, server: SocketAddr, users: &str) -> String {
    format!(
        "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
         auth_type = plain\nauth_file = {users}\nadmin_users = {ADMINISTRATOR}\npool_mode = {}\ndefault_pool_size = {}\n\
         max_client_conn = 500\nignore_startup_parameters = extra_float_digits\n{}\n",
        server.ip(),
        server.port(),
        port.number(),
        options.pool_mode,
        options.pool_size,
        options.settings.join("\n")
    )
}
