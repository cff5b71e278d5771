//! A disk that is full, a file that is locked, limited or read-only: the program may wait or end, but nothing is lost, and
//! nobody's attempt is counted.

use std::process::Stdio;

use ackord_entities::database::DatabaseOptions;
use rstest::rstest;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::process::{MIXED, Testbed, text};

/// A mount of its own, seen only by what is run in it. It is gone with its holder, which ends with the test.
struct Mount {
    holder: Child,
}

impl Mount {
    /// Runs `script`, which mounts something. `None`, with the reason, where that is not permitted.
    async fn new(script: &str) -> Option<Self> {
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg(format!("{script} && echo mounted && exec cat"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut()?).read_line(&mut line).await.unwrap();
        if line == "mounted\n" {
            return Some(Self { holder });
        }
        let why = holder.wait_with_output().await.unwrap();
        eprintln!("left out: no mount of one's own is permitted here: {}", text(&why.stderr).trim());
        None
    }

    /// What stands before a program that is to be run in it.
    fn prefix(&self) -> Vec<String> {
        let id = self.holder.id().unwrap().to_string();
        ["nsenter", "--target", &id, "--user", "--mount", "--preserve-credentials"]
            .map(ToOwned::to_owned)
            .to_vec()
    }

    async fn shell(&self, script: &str) {
        let prefix = self.prefix();
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).args(["sh", "-c", script]).stderr(Stdio::null()).stdout(Stdio::null());
        command.status().await.unwrap();
    }
}

/// What the log says while the work is held.
const HELD: &str = "the database does not take the work";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_the_work_until_there_is_space_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let (disk, mount_point) = (disk.clone(), disk.display().to_string());
    let Some(mount) = Mount::new(&format!("mount -t tmpfs -o size=4m tmpfs {mount_point}")).await else {
        return;
    };
    let fill = format!("dd if=/dev/zero of={mount_point}/ballast bs=4k");
    let free = format!("rm {mount_point}/ballast");
    let mut testbed = Testbed::at(folder, disk.join("testbed.db"), mount.prefix()).await;
    testbed.prepare().await;
    testbed.publish_with(&["--milliseconds", "1500"], &[("slow", 8), ("long", 4)]).await;

    // It runs full while jobs are performed, so that each of them meets it in its commit.
    let up = testbed.up(&["--until-quiet"], None);
    testbed.until("the long ones run", |audit| audit.leases == 4).await;
    mount.shell(&fill).await;
    let refused = testbed.publisher(&[], &[("count", 5_000)]).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("disk is full"), "{}", text(&refused.stderr));
    testbed.accept(&refused);
    testbed.until_log_says(HELD).await;
    mount.shell(&free).await;
    up.ends_well().await;
    let audit = testbed.audit().await;
    let counted = audit.kinds.get("count").map_or(0, |kind| kind.jobs);
    assert_eq!(audit.ids.len(), testbed.accepted.len(), "what was refused is not there");

    // A start on a full disk: where SQLite has its files from before it starts and holds the work, else it is refused.
    testbed.publish(MIXED).await;
    mount.shell(&fill).await;
    let said = testbed.times_said(HELD);
    let mut up = testbed.up(&["--until-quiet"], None);
    let ended = testbed
        .eventually("the start is refused or holds the work", async || match up.has_ended() {
            None => (testbed.times_said(HELD) > said).then_some(None),
            ended => Some(ended),
        })
        .await;
    mount.shell(&free).await;
    if let Some(ended) = ended {
        assert_eq!(ended.code(), Some(1));
        let wanted =
            format!("there is no space left for {mount_point}/testbed.db: free some and start again");
        assert_eq!(testbed.times_said(&wanted), 1, "{}", testbed.log());
        testbed.until_quiet().await;
    } else {
        up.ends_well().await;
    }
    let jobs = [MIXED, &[("count", counted), ("slow", 8), ("long", 4)]].concat();
    testbed.assert_clean(&testbed.audit().await, &jobs);
}

/// Without the trap the system kills the process at the write, with it the write fails.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_grow_loses_nothing(#[values("trap '' XFSZ;", "")] trap: &str) {
    let mut testbed = Testbed::new().await;
    testbed.publish(MIXED).await;
    testbed.publish(&[("count", 2_000)]).await;
    // A little above what the file has by now, with its write-ahead log folded into it: the worker starts a new log, works for a
    // while, and its log would grow to twice of that before it is folded.
    let url = format!("sqlite:{}", testbed.database().display());
    DatabaseOptions::new(url).open().await.unwrap().close().await;
    let kibibytes = std::fs::metadata(testbed.database()).unwrap().len() / 1_024 + 200;
    let limited = format!("{trap} ulimit -f {kibibytes}; exec \"$0\" \"$@\"");
    testbed.run_by(&["bash", "-c", &limited]);
    let up = testbed.up(&["--until-quiet"], None);
    if trap.is_empty() {
        up.dies_of(Signal::XFSZ).await;
    } else {
        testbed.until_log_says("the database does not take the work").await;
        up.signal(Signal::KILL);
        up.dies().await;
    }
    testbed.run_by(&[]);
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, &[MIXED, &[("count", 2_000)]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_is_refused_and_loses_nothing() {
    let mut testbed = Testbed::new().await;
    testbed.publish(MIXED).await;
    let url = format!("sqlite:{}", testbed.database().display());
    let other = DatabaseOptions::new(url).open().await.unwrap();
    let locks = other.begin().await.unwrap();
    let refused = testbed.run(&["up", "--until-quiet"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("locked"), "{}", text(&refused.stderr));
    locks.rollback().await.unwrap();
    other.close().await;
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, MIXED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_folder_is_refused_and_loses_nothing() {
    let mut testbed = Testbed::new().await;
    testbed.publish(MIXED).await;
    let folder = testbed.database().parent().unwrap().display().to_string();
    let script = format!("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}");
    let Some(mount) = Mount::new(&script).await else { return };
    let prefix = mount.prefix();
    testbed.run_by(&prefix.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = testbed.run(&["up", "--until-quiet"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains(&folder), "{}", text(&refused.stderr));
    testbed.run_by(&[]);
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, MIXED);
}
