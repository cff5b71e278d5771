//! Lists, their pages and their filters.

use crate::program::Folder;

fn publish(folder: &Folder, topic: &str, more: &[&str]) -> String {
    let payload = format!(r#"{{"topic": "{topic}"}}"#);
    let mut arguments = vec!["publish", "synthesis", "--payload", &payload, "--json"];
    arguments.extend_from_slice(more);
    folder.ackord(&arguments).expect(0).json()["id"].as_str().unwrap().to_owned()
}

fn ids(listed: &serde_json::Value) -> Vec<String> {
    listed["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_follow_each_other_without_gap_or_overlap() {
    let folder = Folder::with_schema();
    let mut published: Vec<String> =
        (0..5).map(|number| publish(&folder, &format!("topic {number}"), &[])).collect();
    published.reverse();
    let mut seen = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let mut arguments = vec!["jobs", "list", "--limit", "2", "--json"];
        if let Some(before) = &before {
            arguments.extend(["--before", before]);
        }
        let page = folder.ackord(&arguments).expect(0).json();
        seen.extend(ids(&page));
        match page["next_before"].as_str() {
            Some(next) => before = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, published);
}

#[test]
fn a_state_that_is_only_shown_can_be_filtered_over_many_pages() {
    let folder = Folder::with_schema();
    let scheduled = publish(&folder, "later", &["--delay", "1h"]);
    let queued: Vec<String> =
        (0..4).map(|number| publish(&folder, &format!("topic {number}"), &[])).collect();
    let listed =
        folder.ackord(&["jobs", "list", "--state", "scheduled", "--limit", "1", "--json"]).expect(0).json();
    assert_eq!(ids(&listed), [scheduled]);
    assert_eq!(listed["next_before"], serde_json::Value::Null);
    let listed = folder.ackord(&["jobs", "list", "--state", "queued", "--json"]).expect(0).json();
    assert_eq!(ids(&listed).len(), queued.len());
    let listed = folder.ackord(&["jobs", "list", "--subject", "graph:elsewhere", "--json"]).expect(0).json();
    assert!(ids(&listed).is_empty());
    let listed = folder
        .ackord(&["jobs", "list", "--subject", "graph:default", "--kind", "synthesis", "--json"])
        .expect(0);
    assert_eq!(ids(&listed.json()).len(), 5);
}

#[test]
fn a_list_for_people_has_whole_rows_and_no_colour_in_a_pipe() {
    let folder = Folder::with_schema();
    assert_eq!(folder.ackord(&["jobs", "list"]).expect(0).stdout, "no jobs\n");
    let id = publish(&folder, "leases", &[]);
    let text = folder.ackord(&["jobs", "list"]).expect(0).stdout;
    assert!(text.lines().any(|line| line.contains(&id) && line.contains("queued")), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}
