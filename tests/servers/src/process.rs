//! Real processes that end with the test.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

/// The time between two looks at a process that is waited for.
const LOOK: Duration = Duration::from_millis(1);

type Order = (Command, SyncSender<io::Result<Child>>);

/// The kernel sends a parent-death signal when the thread that started the child ends, so one thread starts them all
/// and lives as long as the process.
static NURSERY: LazyLock<SyncSender<Order>> = LazyLock::new(|| {
    let (orders, queue): (_, Receiver<Order>) = sync_channel(16);
    thread::Builder::new()
        .name("nursery".to_owned())
        .spawn(move || {
            for (mut command, answer) in queue {
                // Whoever asked may be gone.
                let _ = answer.send(command.spawn());
            }
        })
        .expect("a thread can be started");
    orders
});

/// A server's process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// What the kernel sends a server whose test was killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AtOurDeath {
    Kill,
    /// Postgres: at once, and the children go too.
    Quit,
}

/// A command that runs under another user, where one is given, and gets a signal when this process ends. Its
/// environment is empty but for `PATH`.
pub(crate) fn command(program: &Path, user: Option<&User>, at_our_death: AtOurDeath) -> Command {
    let signal = match at_our_death {
        AtOurDeath::Kill => "KILL",
        AtOurDeath::Quit => "QUIT",
    };
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args([&format!("--reuid={}", user.id), &format!("--regid={}", user.group), "--init-groups"]);
    }
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    // A name of the shell's may mean somebody's real server.
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    // A folder that every user can enter.
    command.current_dir("/");
    command
}

impl Process {
    /// Starts the command with its output in a file.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("a log can be opened");
        let errors = output.try_clone().expect("a file has a second handle");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let name = format!("{command:?}");
        let (answer, child) = sync_channel(1);
        NURSERY.send((command, answer)).expect("the nursery lives as long as the process");
        let child = child.recv().expect("the nursery answers");
        Self { child: child.unwrap_or_else(|error| panic!("{name} can be started: {error}")) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// SIGKILL, and waits until the process is gone. Nothing happens to one that has ended.
    pub(crate) fn kill(&mut self) {
        // An error means that it has ended before.
        let _ = self.child.kill();
        self.wait();
    }

    pub(crate) fn wait(&mut self) {
        self.child.wait().expect("a child can be waited for");
    }

    /// Nothing happens to a process that has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        match kill_process(Pid::from_child(&self.child), signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => panic!("our process takes a signal: {error}"),
        }
    }

    /// SIGSTOP, and waits until it has stopped, or has ended: from then on it starts nothing.
    #[expect(clippy::disallowed_methods, reason = "looks again and again, in a test's own thread")]
    pub(crate) fn halt(&self) {
        self.signal(Signal::STOP);
        while Running::of(Pid::from_child(&self.child)).is_some_and(|process| !process.is_halted()) {
            thread::sleep(LOOK);
        }
    }

    /// The processes that it started and that still live.
    pub(crate) fn children(&self) -> Vec<Pid> {
        let id = self.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
    }
}

/// A process that is not ours to wait for, as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    id: Pid,
    state: char,
    /// Tells it from a later process with the same id.
    started_at: u64,
}

impl Running {
    /// `None` for one that has ended. One that nobody has waited for yet has given back its memory and its files.
    pub(crate) fn of(id: Pid) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.as_raw_pid())).ok()?;
        // The second field is a name in brackets, which may have any character: proc(5).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let state = fields.first()?.chars().next()?;
        let started_at = fields.get(19)?.parse().ok()?;
        (!matches!(state, 'Z' | 'X')).then_some(Self { id, state, started_at })
    }

    fn is_halted(self) -> bool {
        self.state == 'T'
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// It does not within `patience`.
    #[expect(clippy::disallowed_methods, reason = "looks again and again, until a deadline")]
    pub(crate) fn wait(self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while Self::of(self.id).is_some_and(|now| now.started_at == self.started_at) {
            assert!(Instant::now() < deadline, "{self:?} does not end within {patience:?}");
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Somebody of `/etc/passwd`.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: u32,
    pub(crate) group: u32,
}

/// The user under whom a server runs that refuses root: Debian's for PostgreSQL, else nobody. `None` where this process
/// is not root.
pub(crate) fn ordinary_user() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("a system has users");
    Some(user(&users, "postgres").or_else(|| user(&users, "nobody")).expect("a system has nobody"))
}

fn user(users: &str, name: &str) -> Option<User> {
    let fields: Vec<&str> =
        users.lines().map(|line| line.split(':').collect()).find(|fields: &Vec<&str>| fields[0] == name)?;
    Some(User { id: fields.get(2)?.parse().ok()?, group: fields.get(3)?.parse().ok()? })
}

/// The end of a log, for the message of a server that does not start.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
