//! `ackord schedules`, and a process that fires what another one has set.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};

use crate::program::Folder;

/// Generous: a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);
const PAYLOAD: &str = r#"{"topic": "leases"}"#;

fn set(folder: &Folder, name: &str, more: &[&str]) -> Value {
    let usual = ["schedules", "set", name, "--kind", "synthesis", "--payload", PAYLOAD, "--json"];
    folder.ackord(&[&usual, more].concat()).expect(0).json()
}

fn show(folder: &Folder, name: &str) -> Value {
    folder.ackord(&["schedules", "show", name, "--json"]).expect(0).json()
}

/// Asks other processes again and again, until there is an answer.
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it never came true that {what}");
    }
}

#[test]
fn a_schedule_is_set_looked_at_changed_disabled_and_removed() {
    let folder = Folder::with_schema();
    assert_eq!(folder.ackord(&["schedules", "list"]).expect(0).stdout, "no schedules\n");
    let made = set(&folder, "nightly", &["--cron", "30 2 * * *", "--zone", "Europe/Berlin"]);
    assert_eq!((&made["created"], &made["changed"]), (&json!(true), &json!(true)));
    let schedule = &made["schedule"];
    assert_eq!((&schedule["catch_up"], &schedule["overlap"]), (&json!("none"), &json!("skip")));
    assert_eq!((&schedule["created_by"], &schedule["version"]), (&json!("tester"), &json!(1)));
    let again = set(&folder, "nightly", &["--cron", "30 2 * * *"]);
    assert_eq!((&again["created"], &again["changed"]), (&json!(false), &json!(false)));

    let changed = ["schedules", "set", "nightly", "--catch-up", "all:7", "--overlap", "allow", "--json"];
    let changed = folder.ackord(&changed).expect(0).json()["schedule"].clone();
    assert_eq!((&changed["catch_up"], &changed["overlap"]), (&json!("all:7"), &json!("allow")));
    assert_eq!((&changed["zone"], &changed["expression"]), (&json!("Europe/Berlin"), &json!("30 2 * * *")));
    assert_eq!(changed["payload"]["topic"], "leases");

    let shown = show(&folder, "nightly");
    let next = shown["next_ticks"].as_array().unwrap();
    assert_eq!(next.len(), 5);
    assert_eq!(next[0]["at"], shown["schedule"]["next_tick"]);
    assert!(next.iter().all(|tick| tick["local"].as_str().unwrap().contains("T0")), "{next:?}");
    let text = folder.ackord(&["schedules", "show", "nightly"]).expect(0).stdout;
    assert!(text.contains("30 2 * * *  Europe/Berlin") && text.contains("Next ticks"), "{text}");
    let text = folder.ackord(&["schedules", "list"]).expect(0).stdout;
    assert!(text.lines().any(|line| line.starts_with("nightly") && line.contains("synthesis")), "{text}");

    for changed in [true, false] {
        let disable = ["schedules", "disable", "nightly", "--reason", "a test", "--json"];
        let done = folder.ackord(&disable).expect(0).json();
        assert_eq!((&done["changed"], &done["next_tick"]), (&json!(changed), &Value::Null));
    }
    assert_eq!(show(&folder, "nightly")["next_ticks"], json!([]));
    assert!(
        folder.ackord(&["schedules", "enable", "nightly", "--json"]).expect(0).json()["next_tick"]
            .is_string()
    );
    folder.ackord(&["schedules", "remove", "nightly"]).expect(0);
    for verb in ["show", "enable", "disable", "fire", "remove", "preview"] {
        let told = folder.ackord(&["schedules", verb, "nightly"]).expect(3);
        assert!(
            told.stderr.contains("`nightly`") && told.stderr.contains("schedules list"),
            "{}",
            told.stderr
        );
    }
}

#[rstest]
#[case::no_expression(&["set", "new", "--kind", "synthesis", "--payload", PAYLOAD], 2, &["`--cron`", "is missing"])]
#[case::no_kind(&["set", "new", "--cron", "@daily"], 2, &["`--kind`", "is missing"])]
#[case::unknown_kind(&["set", "new", "--cron", "@daily", "--kind", "coffee"], 3, &["coffee", "synthesis"])]
#[case::bad_payload(&["set", "new", "--cron", "@daily", "--kind", "synthesis"], 2, &["`topic`"])]
#[case::bad_expression(&["set", "new", "--cron", "61 * * * *", "--kind", "synthesis", "--payload", PAYLOAD], 2, &["`--cron`", "61", "30 2 * * *"])]
#[case::never(&["set", "new", "--cron", "0 0 30 2 *", "--kind", "synthesis", "--payload", PAYLOAD], 2, &["`--cron`", "no moment to come"])]
#[case::bad_zone(&["set", "new", "--cron", "@daily", "--zone", "Mars", "--kind", "synthesis", "--payload", PAYLOAD], 2, &["`--zone`", "Mars", "Europe/Berlin"])]
#[case::bad_name(&["set", "New One", "--cron", "@daily"], 2, &["New One", "nightly-report"])]
#[case::bad_catch_up(&["set", "new", "--catch-up", "all:0"], 2, &["all:0", "all:N"])]
#[case::nothing_to_preview(&["preview"], 2, &["--cron"])]
#[case::bad_preview(&["preview", "--cron", "nonsense"], 2, &["`--cron`", "nonsense"])]
fn what_is_wrong_is_named_and_nothing_is_made(
    #[case] arguments: &[&str],
    #[case] code: i32,
    #[case] words: &[&str],
) {
    let folder = Folder::with_schema();
    let told = folder.ackord(&[&["schedules"], arguments].concat()).expect(code);
    for word in words {
        assert!(told.stderr.contains(word), "{word} is not in: {}", told.stderr);
    }
    assert_eq!(told.stdout, "");
    assert_eq!(folder.ackord(&["schedules", "list"]).expect(0).stdout, "no schedules\n");
}

#[test]
fn a_preview_needs_no_database_and_shows_what_clocks_that_are_set_do() {
    let preview = ["schedules", "preview", "--cron", "30 2 * * *", "--zone", "Europe/Berlin"];
    let days = ["--after", "2027-03-27T00:00:00Z", "--count", "3"];
    let folder = Folder::empty();
    let told = folder.ackord(&[&preview[..], &days, &["--json"]].concat()).expect(0).json();
    let local = |tick: &Value| tick["local"].as_str().unwrap().to_owned();
    let shown: Vec<String> = told["next_ticks"].as_array().unwrap().iter().map(local).collect();
    assert_eq!(
        shown,
        ["2027-03-27T02:30:00+01:00", "2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]
    );
    let text = folder.ackord(&[&preview[..], &days].concat()).expect(0).stdout;
    assert!(text.contains("2027-03-28 01:00:00Z  2027-03-28T03:00:00+02:00"), "{text}");
    let never = folder.ackord(&["schedules", "preview", "--cron", "0 0 30 2 *"]).expect(0).stdout;
    assert!(never.contains("no moment to come"), "{never}");
}

#[test]
fn what_one_process_sets_another_fires_and_the_job_tells_its_schedule_and_tick() {
    let folder = Folder::empty();
    let up = folder.up();
    set(&folder, "each-second", &["--cron", "* * * * * *", "--overlap", "allow"]);
    let tick = eventually("a tick is fired", || {
        let shown = show(&folder, "each-second");
        shown["ticks"].as_array().unwrap().iter().find(|tick| tick["outcome"] == "fired").cloned()
    });
    folder.ackord(&["schedules", "disable", "each-second"]).expect(0);
    let id = tick["job_id"].as_str().unwrap();
    // Nothing was imported: the domain says so.
    folder.ackord(&["jobs", "wait", id, "--timeout", "60s"]).expect(6);
    let story = folder.ackord(&["jobs", "show", id, "--json"]).expect(0).json();
    assert_eq!(story["schedule"]["name"], "each-second");
    assert_eq!(story["schedule"]["planned_at"], tick["planned_at"]);
    let text = folder.ackord(&["jobs", "show", id]).expect(0).stdout;
    assert!(text.contains("schedule each-second, for its tick of"), "{text}");

    let fired = folder.ackord(&["schedules", "fire", "each-second", "--json"]).expect(0).json();
    assert_eq!(fired["duplicate"], false);
    folder.ackord(&["jobs", "wait", fired["job_id"].as_str().unwrap(), "--timeout", "60s"]).expect(6);
    let (code, log) = up.stop();
    assert_eq!(code, Some(0), "{log}");
}
