//! `ackord serve` as users run it, with a token.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

fn ackord(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ackord"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ACKORD_") {
            command.env_remove(name);
        }
    }
    // No configuration of the folder in which it is started.
    command.current_dir(std::env::temp_dir()).args(arguments).args(["--json", "--database", url]);
    command
}

fn answer(url: &str, arguments: &[&str]) -> Value {
    let output = ackord(url, arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "ackord {arguments:?} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Makes the tables.
pub(crate) fn make_schema(url: &str) {
    answer(url, &["schema", "up"]);
}

/// A process that serves the API; it ends when this is dropped.
pub(crate) struct Serve {
    child: Child,
    /// `http://127.0.0.1:1234/api/v1`.
    pub(crate) base: String,
    /// An operator's.
    pub(crate) token: String,
}

impl Serve {
    /// Starts it and waits until it serves.
    pub(crate) fn start(url: &str) -> Self {
        let token = answer(url, &["tokens", "create", "bench", "--role", "operator"]);
        let token = token["token"].as_str().unwrap().to_owned();
        let mut command = ackord(url, &["serve", "--listen", "127.0.0.1:0"]);
        command.env("ACKORD_API_REQUESTS_PER_SECOND", "0").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut serve = Self { child, base: String::new(), token };
        let mut text = String::new();
        loop {
            assert!(stdout.read_line(&mut text).unwrap() > 0, "`ackord serve` ended before it was ready");
            if let Ok(ready) = serde_json::from_str::<Value>(&text) {
                serve.base = format!("http://{}/api/v1", ready["listen"].as_str().unwrap());
                return serve;
            }
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
