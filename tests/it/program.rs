//! Running `ackord` in a folder of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use ackord_entities::database::{Database, DatabaseOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A folder in which `ackord` runs; its database is `.ackord/ackord.db` below it. Gone when dropped.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A folder whose database has its tables.
    pub(crate) fn with_schema() -> Self {
        let folder = Self::empty();
        folder.ackord(&["schema", "up"]).expect(0);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the default database is.
    pub(crate) fn database_file(&self) -> PathBuf {
        self.path().join(".ackord/ackord.db")
    }

    /// What another process reads.
    pub(crate) async fn database(&self) -> Database {
        let mut options = DatabaseOptions::new(format!("sqlite:{}", self.database_file().display()));
        options.create = false;
        options.open().await.unwrap()
    }

    /// `ackord` in this folder, without the settings of whoever runs the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ackord"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ACKORD_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.path()).args(arguments).env("USER", "tester").env("NO_COLOR", "1");
        // Whether a minute begins during a test must not decide what it sees.
        command.env("ACKORD_SYNC_SCHEDULE", "off");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `ackord` to its end.
    pub(crate) fn ackord(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments), arguments, None)
    }

    /// Runs `ackord` to its end with something on stdin.
    pub(crate) fn ackord_reading(&self, arguments: &[&str], input: &[u8]) -> Ran {
        Ran::of(self.command(arguments).stdin(Stdio::piped()), arguments, Some(input))
    }

    /// Starts a process that goes on, and waits until it works.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut all = arguments.to_vec();
        all.push("--json");
        Running::start(&mut self.command(&all))
    }

    /// The same with more environment.
    pub(crate) fn start_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        Running::start(self.command(&[arguments, &["--json"]].concat()).envs(environment.iter().copied()))
    }

    /// Starts `ackord up` and waits until it works.
    pub(crate) fn up(&self) -> Running {
        self.up_with(&[], &[])
    }

    /// Starts `ackord up` with more arguments and environment and waits until it works.
    pub(crate) fn up_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let mut all = vec!["up", "--json"];
        all.extend_from_slice(arguments);
        Running::start(self.command(&all).envs(environment.iter().copied()))
    }
}

/// A run that has ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    what: String,
}

impl Ran {
    fn of(command: &mut Command, arguments: &[&str], input: Option<&[u8]>) -> Self {
        let mut child = command.spawn().unwrap();
        // A program that refuses its input early closes the pipe: no matter.
        let writer =
            child.stdin.take().zip(input.map(<[u8]>::to_vec)).map(|(stdin, input)| write(stdin, input));
        let output = child.wait_with_output().unwrap();
        writer.map(std::thread::JoinHandle::join).transpose().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            what: arguments.join(" "),
        }
    }

    /// Insists on an exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "ackord {}\n--- stdout\n{}--- stderr\n{}",
            self.what,
            self.stdout,
            self.stderr
        );
        self
    }

    /// The one JSON value on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("ackord {}: {error} in:\n{}", self.what, self.stdout))
    }

    /// The JSON of the error on stderr.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stderr)
            .unwrap_or_else(|error| panic!("ackord {}: {error} in:\n{}", self.what, self.stderr));
        value["error"].clone()
    }
}

fn write(mut stdin: ChildStdin, input: Vec<u8>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    })
}

/// A process that goes on until it is stopped. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    /// What it said when it was ready.
    pub(crate) ready: Value,
    log: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        // Read all the time: a full pipe would stop the process.
        let log = std::thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            lines.fold(String::new(), |text, line| text + &line + "\n")
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self { child, ready: Value::Null, log: Some(log) };
        let mut text = String::new();
        loop {
            let read = stdout.read_line(&mut text).unwrap();
            assert!(read > 0, "ackord ended before it was ready:\n{}", running.end_and_log());
            if let Ok(ready) = serde_json::from_str(&text) {
                running.ready = ready;
                return running;
            }
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end. Answers the exit code and the log.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        self.signal(Signal::TERM);
        let code = self.child.wait().unwrap().code();
        (code, self.end_and_log())
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn end_and_log(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.take().map_or_else(String::new, |log| log.join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end_and_log();
    }
}
