//! Running the testbed: its file, its processes, and what its audit says.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

/// After this long, what was waited for counts as never coming. Where it comes nearer, however slowly, the time begins anew: a slow
/// machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How much of the workers' log a failure shows.
const LOG_LINES: usize = 300;

/// Some of every kind that does not kill. `chain` makes three jobs of one.
pub(crate) const MIXED: &[(&str, usize)] =
    &[("count", 40), ("slow", 12), ("long", 6), ("chain", 4), ("flaky", 4), ("doomed", 3)];

/// Whether the long versions run.
pub(crate) fn soak() -> bool {
    std::env::var("ACKORD_SOAK").is_ok_and(|value| value == "1")
}

/// Where a testbed keeps its jobs and messages.
enum Home {
    /// A SQLite file; the broker is embedded.
    File(PathBuf),
    /// A Postgres database, and a virtual host of RabbitMQ.
    Servers { database: String, direct: String, broker: String, _kept: Box<dyn Send + Sync> },
}

/// A place of its own for jobs, and the program that works on it.
pub(crate) struct Testbed {
    folder: TempDir,
    program: PathBuf,
    /// What stands before the program on the command line.
    prefix: Vec<String>,
    home: Home,
    /// Ids that a publisher printed: jobs that must not be lost.
    pub(crate) accepted: Vec<String>,
}

impl Testbed {
    /// A prepared file with no jobs.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("testbed.db");
        let testbed = Self::at(folder, database, Vec::new()).await;
        testbed.prepare().await;
        testbed
    }

    /// A file that is not there yet, worked on by a program that is run by `prefix`.
    pub(crate) async fn at(folder: TempDir, database: PathBuf, prefix: Vec<String>) -> Self {
        Self { folder, program: program().await, prefix, home: Home::File(database), accepted: Vec::new() }
    }

    /// A prepared database and a virtual host on servers. `kept` lives as long as the testbed.
    pub(crate) async fn on(database: String, broker: String, kept: impl Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::Servers { direct: database.clone(), database, broker, _kept: Box::new(kept) };
        let testbed =
            Self { folder, program: program().await, prefix: Vec::new(), home, accepted: Vec::new() };
        testbed.prepare().await;
        testbed
    }

    pub(crate) async fn prepare(&self) {
        let made = self.run(&["prepare"]).await;
        assert!(made.status.success(), "{}", text(&made.stderr));
    }

    /// The SQLite file.
    pub(crate) fn database(&self) -> &Path {
        match &self.home {
            Home::File(path) => path,
            Home::Servers { .. } => panic!("this testbed has no file"),
        }
    }

    /// Publishers and audits go another way to the same database than the workers.
    pub(crate) fn publish_at(&mut self, url: &str) {
        match &mut self.home {
            Home::File(_) => panic!("there is one way to a file"),
            Home::Servers { direct, .. } => url.clone_into(direct),
        }
    }

    /// The same file with other words before the program.
    pub(crate) fn run_by(&mut self, prefix: &[&str]) {
        self.prefix = prefix.iter().map(|word| (*word).to_owned()).collect();
    }

    /// The program with a verb and the file.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.prefix.iter();
        let mut command = match words.next() {
            None => Command::new(&self.program),
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(&self.program);
                command
            }
        };
        command.arg(arguments[0]).arg("--database");
        match &self.home {
            Home::File(path) => command.arg(path),
            Home::Servers { database, .. } if arguments[0] == "up" => command.arg(database),
            Home::Servers { direct, .. } => command.arg(direct),
        };
        command.args(&arguments[1..]);
        command.env_remove("FAILPOINTS").stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a verb to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        timeout(PATIENCE, self.command(arguments).output()).await.expect("the verb ends").unwrap()
    }

    /// Publishes from a process of its own and notes what was accepted.
    pub(crate) async fn publish(&mut self, jobs: &[(&str, usize)]) {
        self.publish_with(&[], jobs).await;
    }

    /// The same with more arguments.
    pub(crate) async fn publish_with(&mut self, arguments: &[&str], jobs: &[(&str, usize)]) {
        let published = self.publisher(arguments, jobs).output().await.unwrap();
        assert!(published.status.success(), "{}", text(&published.stderr));
        self.accept(&published);
    }

    /// A publisher that does not run yet.
    pub(crate) fn publisher(&self, arguments: &[&str], jobs: &[(&str, usize)]) -> Command {
        let mut command = self.command(&["publish"]);
        command.args(arguments);
        for (kind, number) in jobs {
            command.arg(kind).arg(number.to_string());
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Notes what a publisher printed. A line that was cut off by its death is no answer.
    pub(crate) fn accept(&mut self, published: &Output) {
        self.accepted
            .extend(text(&published.stdout).lines().filter(|line| line.len() == 36).map(ToOwned::to_owned));
    }

    /// Starts a worker. With `fault`, the point of that name kills it: `name=return`, `name=2*off->return`.
    pub(crate) fn up(&self, arguments: &[&str], fault: Option<&str>) -> Up {
        let broker = match &self.home {
            Home::File(_) => None,
            Home::Servers { broker, .. } => Some(broker.as_str()),
        };
        self.start(broker, arguments, fault)
    }

    /// Starts a worker that reaches the broker by a way of its own.
    pub(crate) fn up_through(&self, broker: &str) -> Up {
        self.start(Some(broker), &[], None)
    }

    fn start(&self, broker: Option<&str>, arguments: &[&str], fault: Option<&str>) -> Up {
        let mut all = vec!["up"];
        if let Some(broker) = broker {
            // A dead worker's lease is waited for: there is no lock that would say that it is dead.
            all.extend(["--broker", broker, "--lease", "1500", "--sweep", "200", "--beat", "200"]);
        }
        all.extend_from_slice(arguments);
        let mut command = self.command(&all);
        if let Some(fault) = fault {
            command.env("FAILPOINTS", fault);
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        Up { child, log: self.log_path() }
    }

    /// Runs a worker until every job has ended, and insists that it ends well.
    pub(crate) async fn until_quiet(&self) {
        self.up(&["--until-quiet"], None).ends_well().await;
    }

    /// Runs workers, one after the other dies, until every job has ended. Answers how often it died.
    pub(crate) async fn supervise(&mut self, mut between: impl AsyncFnMut(&mut Self, usize)) -> usize {
        const MOST: usize = 30;
        for deaths in 0..MOST {
            let ended = self.up(&["--until-quiet"], None).ended().await;
            if ended.success() {
                return deaths;
            }
            assert_eq!(ended.signal(), Some(Signal::KILL.as_raw()), "{}", self.log());
            between(self, deaths + 1).await;
        }
        panic!("still dying after {MOST} starts:\n{}", self.log());
    }

    /// What an audit of the file says, from a fresh process.
    pub(crate) async fn audit(&self) -> Audit {
        let audit = self.run(&["audit"]).await;
        assert!(audit.status.success(), "{}", text(&audit.stderr));
        serde_json::from_slice(&audit.stdout).unwrap()
    }

    /// Waits until an audit says so.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Audit) -> bool) -> Audit {
        self.until_within(1, what, condition).await
    }

    /// The same for what may stand still so many times as long.
    pub(crate) async fn until_within(
        &self,
        patience: u32,
        what: &str,
        condition: impl Fn(&Audit) -> bool,
    ) -> Audit {
        let found = async || {
            let audit = self.audit().await;
            if condition(&audit) { Ok(audit) } else { Err(audit.in_short()) }
        };
        self.eventually_within(PATIENCE * patience, what, found).await
    }

    /// Waits until the worker's log has a text.
    pub(crate) async fn until_log_says(&self, wanted: &str) {
        self.until_said(wanted, 1).await;
    }

    /// Waits until the worker's log has had a text so often.
    pub(crate) async fn until_said(&self, wanted: &str, times: usize) {
        self.eventually(wanted, async || (self.times_said(wanted) >= times).then_some(())).await;
    }

    /// A path for a file of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How many lines of the log have all of that.
    pub(crate) fn lines_with(&self, words: &[&str]) -> usize {
        self.whole_log().lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    /// How often the log has said that.
    pub(crate) fn times_said(&self, what: &str) -> usize {
        self.whole_log().matches(what).count()
    }

    pub(crate) async fn eventually<T>(&self, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
        let found = async || condition().await.ok_or_else(|| "not yet".to_owned());
        self.eventually_within(PATIENCE, what, found).await
    }

    /// The condition answers with what it waits for, or with what there is instead.
    async fn eventually_within<T>(
        &self,
        patience: Duration,
        what: &str,
        mut condition: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        let (mut deadline, mut before) = (Instant::now() + patience, String::new());
        loop {
            let instead = match condition().await {
                Ok(found) => return found,
                Err(instead) => instead,
            };
            if instead != before {
                (deadline, before) = (Instant::now() + patience, instead);
            }
            assert!(
                Instant::now() < deadline,
                "it never came true: {what}; at the end: {before}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Insists that every job has ended as its kind does, with its effect once, and that nothing is left behind.
    /// `jobs` says how many there are of each kind, without those that a chain has published.
    #[track_caller]
    pub(crate) fn assert_clean(&self, audit: &Audit, jobs: &[(&str, usize)]) {
        let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
        for (kind, number) in jobs {
            *wanted.entry(kind).or_default() += number * if *kind == "chain" { 3 } else { 1 };
        }
        for (kind, number) in wanted {
            let found = audit.kinds.get(kind).unwrap_or_else(|| panic!("no job of {kind}: {audit:#?}"));
            assert_eq!(found.jobs, number, "jobs of {kind}: {found:#?}\n{}", self.log());
        }
        for (kind, found) in &audit.kinds {
            let ends = match kind.as_str() {
                "doomed" => BTreeMap::from([("permanent".to_owned(), found.jobs)]),
                poison if poison.starts_with("poison") => {
                    BTreeMap::from([("killed_worker".to_owned(), found.jobs)])
                }
                _ => BTreeMap::new(),
            };
            let succeeded = if ends.is_empty() { found.jobs } else { 0 };
            assert_eq!(found.dead, ends, "dead jobs of {kind}\n{}", self.log());
            assert_eq!(
                (found.succeeded, found.effects),
                (succeeded, succeeded),
                "{kind}: {found:#?}\n{}",
                self.log()
            );
            // One for each of these jobs; everybody else was merely interrupted.
            let errored = if matches!(kind.as_str(), "flaky" | "doomed") { found.jobs } else { 0 };
            assert_eq!(found.errored, errored, "attempts blamed on {kind}: {found:#?}\n{}", self.log());
            let bad = [&found.doubles, &found.lost, &found.wrong];
            assert!(bad.iter().all(|ids| ids.is_empty()), "{kind}: {found:#?}\n{}", self.log());
        }
        for id in &self.accepted {
            assert!(audit.ids.contains(id), "job {id} was accepted and is not there");
        }
        let left = (audit.outbox, audit.leases, audit.suspects, audit.stray_letters, audit.stray_effects);
        assert_eq!(left, (0, 0, 0, 0, 0), "outbox, leases, suspects, letters, effects\n{}", self.log());
        assert_eq!(audit.integrity, "ok");
    }

    /// How many jobs the file of what is in flight names.
    pub(crate) fn in_flight(&self) -> usize {
        let mut path = self.database().as_os_str().to_owned();
        path.push(".in-flight");
        let bytes = std::fs::read(path).unwrap();
        bytes.chunks(16).filter(|slot| slot.iter().any(|byte| *byte != 0)).count()
    }

    /// The end of what the workers logged.
    pub(crate) fn log(&self) -> String {
        let log = self.whole_log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    fn whole_log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// A worker that runs. Dropping it kills it.
pub(crate) struct Up {
    child: Child,
    log: PathBuf,
}

impl Up {
    /// Waits until it has started everything.
    pub(crate) async fn ready(&mut self) {
        let mut line = String::new();
        let mut stdout = BufReader::new(self.child.stdout.take().unwrap());
        timeout(PATIENCE, stdout.read_line(&mut line)).await.expect("it says something").unwrap();
        assert_eq!(line, "ready\n", "{}", self.read_log());
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("it does not end\n{}", self.read_log()))
            .unwrap()
    }

    /// Waits for its end and insists on exit code 0.
    pub(crate) async fn ends_well(self) {
        let log = self.log.clone();
        let ended = self.ended().await;
        assert!(ended.success(), "{ended}\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }

    /// Waits for its end and insists on SIGKILL.
    pub(crate) async fn dies(self) {
        self.dies_of(Signal::KILL).await;
    }

    /// Waits for its end and insists on that signal.
    pub(crate) async fn dies_of(self, signal: Signal) {
        let log = self.log.clone();
        let ended = self.ended().await;
        let log = std::fs::read_to_string(log).unwrap_or_default();
        assert_eq!(ended.signal(), Some(signal.as_raw()), "{ended}\n{log}");
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let Some(id) = self.child.id() else { return };
        kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), signal).unwrap();
    }

    fn read_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// See the testbed's own.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Audit {
    pub(crate) kinds: BTreeMap<String, KindAudit>,
    pub(crate) ids: Vec<String>,
    pub(crate) outbox: usize,
    pub(crate) ticks: Vec<i64>,
    pub(crate) leases: usize,
    pub(crate) suspects: usize,
    pub(crate) stray_letters: usize,
    pub(crate) stray_effects: usize,
    pub(crate) integrity: String,
}

/// See the testbed's own.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct KindAudit {
    pub(crate) jobs: usize,
    pub(crate) effects: usize,
    pub(crate) unfinished: usize,
    pub(crate) succeeded: usize,
    pub(crate) doubles: Vec<String>,
    pub(crate) lost: Vec<String>,
    pub(crate) wrong: Vec<String>,
    pub(crate) errored: usize,
    pub(crate) attempts: usize,
    pub(crate) dead: BTreeMap<String, usize>,
}

impl Audit {
    /// Jobs that have not ended.
    pub(crate) fn unfinished(&self) -> usize {
        self.kinds.values().map(|kind| kind.unfinished).sum()
    }

    /// Whether every job has ended, no message waits, nobody holds a lease and nobody is suspected.
    pub(crate) fn is_at_rest(&self) -> bool {
        (self.unfinished(), self.outbox, self.leases, self.suspects) == (0, 0, 0, 0)
    }

    /// What is not at rest yet.
    fn in_short(&self) -> String {
        let unfinished: Vec<String> = self
            .kinds
            .iter()
            .filter(|(_, kind)| kind.unfinished > 0)
            .map(|(name, kind)| format!("{} of {} {name} unfinished", kind.unfinished, kind.jobs))
            .collect();
        let Self { outbox, leases, suspects, .. } = self;
        format!(
            "{}; {outbox} in the outbox, {leases} leases, {suspects} suspects, {} effects",
            unfinished.join(", "),
            self.effects()
        )
    }

    /// Jobs of all kinds that were given up.
    pub(crate) fn dead(&self) -> usize {
        self.kinds.values().flat_map(|kind| kind.dead.values()).sum()
    }

    /// Effects of all kinds.
    pub(crate) fn effects(&self) -> usize {
        self.kinds.values().map(|kind| kind.effects).sum()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The testbed, built with its fault points: the one that `tests/run` has built, or cargo's answer.
async fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("ACKORD_TEST_TESTBED") {
        return path.into();
    }
    // A call of its own, so that the feature does not reach the `ackord` of the same build.
    let built = Command::new(env!("CARGO"))
        .args(["build", "-p", "ackord-testbed", "--features", "fault-points"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .await
        .unwrap();
    assert!(built.status.success(), "the testbed cannot be built:\n{}", text(&built.stderr));
    let messages = text(&built.stdout);
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.expect("cargo names the program")
}
