//! Replaying and discarding many dead letters with the real program, while a real worker runs.

use serde_json::Value;

use crate::program::Folder;

const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews the leases of its \
                      jobs every ten seconds. An expired lease is taken over by the next job that asks for its key.\n";

/// To a graph that is there, with a topic that it knows something about.
const CURE: &str = r#"[{"op": "replace", "path": "/graph", "value": "default"}]"#;

/// A folder with a graph about leases.
fn folder() -> Folder {
    let folder = Folder::with_schema();
    std::fs::write(folder.path().join("leases.md"), LEASES).unwrap();
    folder.ackord(&["import", "leases.md"]).expect(0);
    folder
}

/// Publishes jobs that die because there is no such graph, and waits until they are dead.
fn die(folder: &Folder, count: usize) {
    let payload = r#"{"topic": "leases", "graph": "nowhere"}"#;
    let ids: Vec<String> = (0..count)
        .map(|_| {
            let job =
                folder.ackord(&["publish", "synthesis", "--payload", payload, "--json"]).expect(0).json();
            job["id"].as_str().unwrap().to_owned()
        })
        .collect();
    for id in ids {
        folder.ackord(&["jobs", "wait", &id, "--timeout", "2m"]).expect(6);
    }
}

fn json(folder: &Folder, arguments: &[&str], code: i32) -> Value {
    let mut all = vec!["dead-letters"];
    all.extend_from_slice(arguments);
    all.push("--json");
    folder.ackord(&all).expect(code).json()
}

fn group(folder: &Folder) -> Value {
    json(folder, &["list", "--group"], 0)["groups"][0].clone()
}

#[test]
fn a_group_is_replayed_in_vain_then_patched_and_replayed_to_its_end() {
    let folder = folder();
    let up = folder.up();
    die(&folder, 12);
    let group_of = group(&folder);
    assert_eq!(
        (group_of["letters"].as_i64(), group_of["error_code"].as_str()),
        (Some(12), Some("unknown_graph"))
    );
    let alike = group_of["fingerprint"].as_str().unwrap();
    let replay = ["replay", "--fingerprint", alike, "--yes", "--wait", "--timeout", "2m"];

    // Nothing was mended: the first one fails again, and the other eleven stay.
    let stopped = json(&folder, &replay, 6);
    assert_eq!(
        (&stopped["run"]["state"], &stopped["run"]["stop"]["code"]),
        (&"stopped".into(), &"failed_again".into())
    );
    assert_eq!(stopped["run"]["letters"]["waiting"], 11);
    assert_eq!(group(&folder)["letters"], 12);
    let run = stopped["run"]["id"].as_str().unwrap();
    let told = folder.ackord(&["dead-letters", "runs", "show", run]).expect(0).stdout;
    assert!(told.contains("there is no graph `nowhere`") && told.contains("runs resume"), "{told}");
    assert_eq!(json(&folder, &["runs"], 0)["runs"][0]["id"], run);

    // A patch that does not fit is refused with the letters and the field, one that fits is shown first.
    let misfit = r#"[{"op": "add", "path": "/max_words", "value": 3}]"#;
    let refused = folder
        .ackord(&["dead-letters", "replay", "--fingerprint", alike, "--patch", misfit, "--yes"])
        .expect(2);
    assert!(
        refused.stderr.contains("does not fit 12 of 12") && refused.stderr.contains("max_words"),
        "{}",
        refused.stderr
    );
    let plan = json(&folder, &["replay", "--fingerprint", alike, "--patch", CURE, "--dry-run"], 0);
    assert_eq!(
        (&plan["patch"]["changed"], &plan["letters"], &plan["groups"][0]["letters"]),
        (&12.into(), &12.into(), &12.into())
    );
    assert!(
        plan["patch"]["diffs"][0]["diff"].as_str().unwrap().contains("+  \"graph\": \"default\""),
        "{plan}"
    );
    assert_eq!(group(&folder)["letters"], 12, "a dry run changes nothing");
    let alone = folder.ackord(&["dead-letters", "replay", "--fingerprint", alike, "--patch", CURE]).expect(4);
    assert!(alone.stderr.contains("--yes"), "{}", alone.stderr);

    let mut patched = replay.to_vec();
    patched.extend_from_slice(&["--patch", CURE, "--reason", "the right graph"]);
    let finished = json(&folder, &patched, 0);
    assert_eq!(
        (&finished["run"]["state"], &finished["run"]["jobs"]["succeeded"]),
        (&"finished".into(), &12.into())
    );
    let sizes: Vec<i64> = finished["run"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["replayed"].as_i64().unwrap())
        .collect();
    assert_eq!(sizes, [1, 10, 1]);

    // Pressed again, nothing is left; the first run finds that too.
    let again = json(&folder, &patched, 0);
    assert_eq!((&again["changed"], &again["run"]), (&false.into(), &Value::Null));
    let resumed = json(&folder, &["runs", "resume", run, "--wait", "--timeout", "2m"], 0);
    assert_eq!((&resumed["state"], &resumed["letters"]["skipped"]), (&"finished".into(), &11.into()));
    folder.ackord(&["dead-letters", "runs", "resume", run]).expect(4);
    let jobs = folder
        .ackord(&["jobs", "list", "--kind", "synthesis", "--state", "succeeded", "--json"])
        .expect(0)
        .json();
    let job = jobs["jobs"][0]["id"].as_str().unwrap();
    let story = folder.ackord(&["jobs", "show", job]).expect(0).stdout;
    assert!(story.contains("the right graph"), "{story}");
    assert_eq!(up.stop().0, Some(0));
}

#[test]
fn a_run_whose_worker_is_killed_goes_on_with_the_next_one_and_pressing_twice_gives_the_same_run() {
    let folder = folder();
    let up = folder.up();
    die(&folder, 12);
    folder.ackord(&["pause", "synthesis"]).expect(0);
    let replay = [
        "replay",
        "--kind",
        "synthesis",
        "--error-code",
        "unknown_graph",
        "--since",
        "1h",
        "--patch",
        CURE,
        "--yes",
    ];
    let first = json(&folder, &replay, 0);
    assert_eq!((&first["changed"], &first["run"]["letters"]["total"]), (&true.into(), &12.into()));
    let twice = json(&folder, &replay, 0);
    assert_eq!((&twice["changed"], &twice["run"]["id"]), (&false.into(), &first["run"]["id"]));
    up.kill();
    let up = folder.up();
    folder.ackord(&["resume", "synthesis"]).expect(0);
    let run = first["run"]["id"].as_str().unwrap();
    let ended = json(&folder, &["runs", "wait", run, "--timeout", "2m"], 0);
    assert_eq!((&ended["state"], &ended["jobs"]["succeeded"]), (&"finished".into(), &12.into()));
    assert_eq!(up.stop().0, Some(0));
}

#[test]
fn letters_are_discarded_by_filter_and_what_is_asked_wrongly_is_refused() {
    let folder = Folder::with_schema();
    let up = folder.up();
    die(&folder, 3);
    assert_eq!(up.stop().0, Some(0));
    for wrong in [
        &["replay"][..],
        &["discard"],
        &["replay", "01890a5d-ac96-774b-bcce-b302099a8057", "--all"],
        &["replay", "--all", "--payload", "{}"],
        &["replay", "--all", "--patch", "{}"],
        &["replay", "--all", "--tolerate", "101"],
        &["replay", "--since", "yesterday"],
    ] {
        let mut all = vec!["dead-letters"];
        all.extend_from_slice(wrong);
        folder.ackord(&all).expect(2);
    }
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    folder.ackord(&["dead-letters", "discard", nobody, nobody]).expect(3);
    for verb in ["show", "stop", "resume", "wait"] {
        folder.ackord(&["dead-letters", "runs", verb, nobody]).expect(3);
    }
    assert_eq!(json(&folder, &["replay", "--kind", "replay", "--yes"], 0)["run"], Value::Null);
    assert_eq!(json(&folder, &["discard", "--dead-reason", "permanent", "--dry-run"], 0)["discarded"], 3);
    folder.ackord(&["dead-letters", "discard", "--dead-reason", "permanent"]).expect(4);
    let discard = ["discard", "--dead-reason", "permanent", "--yes", "--reason", "a test"];
    assert_eq!(json(&folder, &discard, 0)["discarded"], 3);
    assert_eq!(json(&folder, &discard, 0)["changed"], false);
    assert_eq!(
        json(&folder, &["list", "--state", "discarded"], 0)["dead_letters"].as_array().unwrap().len(),
        3
    );
}

#[test]
fn a_replay_that_is_published_by_hand_says_that_there_is_no_such_run() {
    let folder = Folder::with_schema();
    let up = folder.up();
    let payload = r#"{"run": "01890a5d-ac96-774b-bcce-b302099a8057"}"#;
    let ran =
        folder.ackord(&["publish", "replay", "--payload", payload, "--wait", "--timeout", "2m"]).expect(6);
    assert!(ran.stdout.contains("there is no replay run 01890a5d"), "{}", ran.stdout);
    assert_eq!(up.stop().0, Some(0));
}
