//! `ackord synthesis`: a text is asked for, read, found wanting, written again and compared.

use serde_json::Value;

use crate::program::Folder;

const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews the leases of its jobs every \
                      ten seconds. An expired lease is taken over by the next job that asks for its key.\n";
const GLACIERS: &str = "# Glaciers\n\nA glacier is a body of ice that moves under its own weight. Arctic glaciers lose more ice in summer \
                        than they gain in winter. The meltwater of arctic glaciers raises the level of the sea.\n";

fn import(folder: &Folder, name: &str, text: &str) {
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    folder.ackord(&["import", file.to_str().unwrap()]).expect(0);
}

fn states(shown: &Value) -> Vec<(&str, &str)> {
    shown["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["topic"].as_str().unwrap(), part["state"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_text_in_parts_is_asked_for_mended_and_compared() {
    let folder = Folder::with_schema();
    import(&folder, "leases.md", LEASES);
    let running = folder.up();
    let asked = [
        "synthesis",
        "super",
        "Claims and ice",
        "--part",
        "Leases",
        "--part",
        "Arctic glaciers",
        "--wait",
        "--timeout",
        "60s",
        "--json",
    ];
    let answer = folder.ackord(&asked).expect(0).json();
    let (id, shown) = (answer["id"].as_str().unwrap(), &answer["synthesis"]);
    assert_eq!(
        (answer["kind"].as_str(), shown["state"].as_str()),
        (Some("super-synthesis"), Some("partial"))
    );
    assert_eq!(states(shown), [("Leases", "completed"), ("Arctic glaciers", "error")]);
    assert_eq!(
        (shown["plan"]["planning"].as_str(), shown["plan"]["stale"].as_bool()),
        (Some("given"), Some(false))
    );

    let read = folder.ackord(&["synthesis", "show", "claims"]).expect(0).stdout;
    for words in ["exclusive claim", "It is not whole.", "Arctic glaciers", "holds no facts", "as given"] {
        assert!(read.contains(words), "`{words}` is not in:\n{read}");
    }
    let part = folder.ackord(&["synthesis", "show", "arctic glaciers", "--json"]).expect(0).json();
    assert_eq!(part["parents"][0]["id"].as_str(), Some(id));

    // Not yet: the graph knows nothing of glaciers.
    folder.ackord(&["synthesis", "regenerate", "arctic glaciers", "--wait", "--timeout", "60s"]).expect(6);
    import(&folder, "glaciers.md", GLACIERS);
    let again = folder
        .ackord(&["synthesis", "regenerate", "arctic glaciers", "--wait", "--timeout", "60s", "--json"])
        .expect(0)
        .json();
    assert_eq!((again["kind"].as_str(), again["id"].as_str()), (Some("regeneration"), part["id"].as_str()));
    // The whole is combined by itself: its job was published with the part's end.
    let combined = folder.ackord(&["jobs", "list", "--kind", "recombination", "--json"]).expect(0).json();
    let newest = combined["jobs"][0]["id"].as_str().unwrap();
    folder.ackord(&["jobs", "wait", newest, "--timeout", "60s"]).expect(0);
    let shown = folder.ackord(&["synthesis", "show", id, "--json"]).expect(0).json();
    assert_eq!(shown["state"], "completed");

    let compared = folder.ackord(&["synthesis", "versions", id, "--diff", "--json"]).expect(0).json();
    let versions = compared["versions"].as_array().unwrap();
    assert_eq!((versions.len(), versions[0]["parts"][1]["version"].as_i64()), (2, None));
    assert_eq!(versions[1]["parts"][1]["version"].as_i64(), Some(1));
    let unified = compared["diff"]["unified"].as_str().unwrap();
    assert!(
        unified.contains("+A glacier is a body of ice") || unified.contains("+Arctic glaciers lose"),
        "{unified}"
    );
    assert!(
        unified.lines().any(|line| line.starts_with('-') && line.contains("holds no facts")),
        "{unified}"
    );
    let listed = folder.ackord(&["synthesis", "versions", "claims"]).expect(0).stdout;
    assert!(listed.contains("Arctic glaciers missing") && listed.contains("Arctic glaciers v1"), "{listed}");
    let page = folder.ackord(&["synthesis", "export", id, "--format", "html"]).expect(0).stdout;
    assert!(page.contains("body of ice"), "{page}");
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_its_field_and_changes_nothing() {
    let folder = Folder::with_schema();
    let stranger = "01890a5d-ac96-774b-bcce-b302099a8057";
    let cases: [(&[&str], i32, &str); 9] = [
        (&["create", " "], 2, "`topic`"),
        (&["create", "Leases", "--budget", "0"], 2, "`exploration_budget`"),
        (&["create", "Leases", "--graph", "nowhere"], 2, "`nowhere`"),
        (&["create", "Leases", "--start", stranger], 2, "`starting_node_ids[0]`"),
        (&["super", "Leases", "--with", stranger], 2, "`existing_synthesis_ids[0]`"),
        (&["super", "Leases", "--parts", "21"], 2, "`scope_count`"),
        (&["super", "Leases", "--part", ""], 2, "`sub_configs[0].topic`"),
        (&["regenerate", stranger], 3, stranger),
        (&["versions", "leases"], 3, "leases"),
    ];
    for (arguments, code, words) in cases {
        let told = folder.ackord(&[&["synthesis"], arguments].concat()).expect(code);
        assert!(told.stderr.contains(words), "{arguments:?}: {}", told.stderr);
    }
    let jobs = folder.ackord(&["jobs", "list", "--json"]).expect(0).json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 0);
}

#[test]
fn a_text_that_is_there_or_under_way_is_not_written_again() {
    let folder = Folder::with_schema();
    import(&folder, "leases.md", LEASES);
    let asked = folder.ackord(&["synthesis", "create", "Leases", "--json"]).expect(0).json();
    let (id, job) = (asked["id"].as_str().unwrap(), asked["job"].as_str().unwrap());
    // Nobody works yet, and it is there to be read.
    let shown = folder.ackord(&["synthesis", "show", id, "--json"]).expect(0).json();
    assert_eq!(shown["state"], "pending");
    let told = folder.ackord(&["synthesis", "regenerate", id]).expect(4);
    assert!(told.stderr.contains(job), "the job that works on it is named: {}", told.stderr);
    let running = folder.up();
    folder.ackord(&["jobs", "wait", job, "--timeout", "60s"]).expect(0);
    let told = folder.ackord(&["synthesis", "regenerate", id]).expect(4);
    assert!(told.stderr.contains("not in error"), "{}", told.stderr);
    folder.ackord(&["synthesis", "versions", id, "--diff"]).expect(3);
    assert_eq!(running.stop().0, Some(0));
}
