//! The schedule that copies all graphs: it is there without being asked for, and stays as operators leave it.

use serde_json::{Value, json};

use crate::program::Folder;

/// Once a year, not today.
const NEVER: (&str, &str) = ("ACKORD_SYNC_SCHEDULE", "0 0 30 11 *");

fn sync(folder: &Folder) -> Value {
    let list = folder.ackord(&["schedules", "list", "--json"]).expect(0).json();
    list["schedules"]
        .as_array()
        .unwrap()
        .iter()
        .find(|schedule| schedule["name"] == "sync")
        .cloned()
        .unwrap_or_default()
}

#[test]
fn the_schedule_that_copies_all_graphs_is_made_once_and_stays_as_operators_leave_it() {
    let folder = Folder::with_schema();
    drop(folder.up());
    assert_eq!(sync(&folder), Value::Null, "`off` makes none");
    drop(folder.up_with(&[], &[NEVER]));
    let made = sync(&folder);
    assert_eq!((&made["kind"], &made["expression"]), (&json!("sync-dispatch"), &json!(NEVER.1)));
    assert_eq!((&made["enabled"], &made["created_by"]), (&json!(true), &json!("ackord")));
    folder.ackord(&["schedules", "disable", "sync"]).expect(0);
    drop(folder.up_with(&[], &[("ACKORD_SYNC_SCHEDULE", "* * * * *")]));
    let left = sync(&folder);
    assert_eq!((&left["enabled"], &left["expression"]), (&json!(false), &json!(NEVER.1)));
}

#[test]
fn an_expression_that_is_none_is_refused_and_named() {
    let folder = Folder::with_schema();
    let ran = folder.command(&["up"]).env("ACKORD_SYNC_SCHEDULE", "now and then").output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("`sync.schedule`") && said.contains("or `off`"), "{said}");
}
