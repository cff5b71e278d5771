//! `ackord demo`: what a stranger sees first.

use ackord_entities::database::{Database, DatabaseOptions};
use ackord_entities::graph::synthesis_version;
use ackord_entities::queue::job::{self, Filter, Model};
use ackord_entities::queue::state::JobState;
use sea_orm::EntityTrait;
use serde_json::Value;

use crate::program::Folder;

const TEA: &str = "\
# Green tea

Green tea is made from leaves of Camellia sinensis that were not oxidised. Japanese growers steam the leaves of green tea soon
after the harvest. Chinese growers roast the leaves of green tea in iron pans. Green tea is best brewed with water of seventy
degrees, because boiling water makes it bitter.

## Gyokuro

Gyokuro is a green tea whose bushes are shaded for three weeks before the harvest. The shade raises the theanine in the leaves
of Gyokuro. Gyokuro costs more than other green tea because shading is laborious.
";

const COFFEE: &str = "\
# Coffee roasting

Coffee roasting turns green coffee beans brown. During coffee roasting the beans lose a fifth of their weight. A dark coffee
roasting hides the taste of the origin. Light coffee roasting keeps the acids of the beans. Roasters listen for the first crack
of the coffee beans at about two hundred degrees.
";

fn with_notes() -> Folder {
    let folder = Folder::empty();
    let notes = folder.path().join("notes");
    std::fs::create_dir(&notes).unwrap();
    std::fs::write(notes.join("tea.md"), TEA).unwrap();
    std::fs::write(notes.join("coffee.md"), COFFEE).unwrap();
    folder
}

fn state(text: &Value) -> &str {
    text["job"]["state"].as_str().unwrap()
}

#[test]
fn given_documents_become_texts_and_one_of_them_fails_for_want_of_facts() {
    let folder = with_notes();
    let shown = folder.ackord(&["demo", "notes", "--json"]).expect(0).json();
    assert_eq!(shown["import"]["taken"], 2);
    let texts = shown["texts"].as_array().unwrap();
    let (failed, written) = texts.split_last().unwrap();
    assert!(!written.is_empty());
    for text in written {
        assert_eq!(state(text), "succeeded", "{text}");
        assert!(text["markdown"].as_str().unwrap().contains("](/facts/"), "no citation: {text}");
    }
    assert_eq!(state(failed), "failed");
    assert_eq!(failed["job"]["error"]["code"], "no_facts");
    assert_eq!(failed["markdown"], Value::Null);
    assert!(shown["story"]["timeline"].as_array().unwrap().len() >= 3);
    let whole = &shown["whole"];
    assert_eq!(whole["state"], "completed", "{whole}");
    let versions: Vec<&str> =
        whole["versions"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let topic = failed["topic"].as_str().unwrap();
    assert_eq!(versions.len(), 2, "before the missing document came, and after it");
    assert!(versions[0].contains(&format!("- [{topic}](/nodes/")), "{}", versions[0]);
    assert!(
        !versions[1].contains("holds no facts") && versions[1].len() > versions[0].len(),
        "{}",
        versions[1]
    );
}

#[test]
fn a_second_run_imports_nothing_twice_and_writes_new_texts() {
    let folder = with_notes();
    let first = folder.ackord(&["demo", "notes", "--json"]).expect(0).json();
    let second = folder.ackord(&["demo", "notes", "--topic", "green tea", "--json"]).expect(0).json();
    assert_eq!(
        (second["import"]["taken"].as_u64(), second["import"]["unchanged"].as_u64()),
        (Some(0), Some(2))
    );
    let texts = second["texts"].as_array().unwrap();
    assert_eq!(texts.len(), 2);
    assert_eq!((texts[0]["topic"].as_str(), state(&texts[0])), (Some("green tea"), "succeeded"));
    let listed =
        folder.ackord(&["jobs", "list", "--database", "sqlite:.ackord/demo.db", "--json"]).expect(0).json();
    // Beside the parts: the plan, the part that is written again, and two combinations.
    let of_run = |parts: usize| parts + 4;
    let jobs = of_run(first["texts"].as_array().unwrap().len()) + of_run(2);
    assert_eq!(listed["jobs"].as_array().unwrap().len(), jobs);
}

#[test]
fn a_person_reads_a_text_a_failure_a_timeline_and_what_to_try_next() {
    let folder = Folder::empty();
    // Not in ackord's repository: the documents that the program carries along.
    let shown = folder.ackord(&["demo"]).expect(0).stdout;
    for words in [
        "Sources",
        "no_facts",
        "published",
        "version 1 -> version 2",
        "+ ",
        "The whole is completed",
        "attempt 1 succeeded",
        "ackord jobs show",
        "kill -9",
    ] {
        assert!(shown.contains(words), "`{words}` is not in:\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn documents_that_are_not_there_are_named() {
    let told = Folder::empty().ackord(&["demo", "nowhere"]).expect(2);
    assert!(told.stderr.contains("nowhere"), "{}", told.stderr);
}

#[test]
fn a_database_or_a_broker_of_somebody_else_is_not_passed_over_in_silence() {
    let folder = Folder::empty();
    for (flag, value) in [("--database", "sqlite:other.db"), ("--broker", "amqp://127.0.0.1")] {
        let told = folder.ackord(&["demo", flag, value]).expect(2);
        assert!(told.stderr.contains(flag) && told.stderr.contains("--data"), "{}", told.stderr);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn documents_of_which_nothing_can_be_read_are_told_as_such() {
    let folder = Folder::empty();
    std::fs::write(folder.path().join("picture.png"), [0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 0]).unwrap();
    let told = folder.ackord(&["demo", "picture.png"]).expect(2);
    assert!(told.stderr.contains("none of the documents"), "{}", told.stderr);
}

async fn open(folder: &Folder) -> Option<Database> {
    let mut options =
        DatabaseOptions::new(format!("sqlite:{}", folder.path().join(".ackord/demo.db").display()));
    options.create = false;
    options.open().await.ok()
}

async fn jobs(database: &Database) -> Vec<Model> {
    // Before the migrations there is no table.
    job::list(database.read(), &Filter::default(), 100).await.unwrap_or_default()
}

#[tokio::test]
async fn a_demo_that_was_killed_finishes_its_jobs_at_the_next_start() {
    let folder = Folder::empty();
    let mut killed = folder.command(&["demo"]).spawn().unwrap();
    let accepted = loop {
        assert!(killed.try_wait().unwrap().is_none(), "the demo ended before it could be killed");
        if let Some(database) = open(&folder).await {
            let accepted = jobs(&database).await;
            database.close().await;
            if !accepted.is_empty() {
                break accepted;
            }
        }
        tokio::task::yield_now().await;
    };
    killed.kill().unwrap();
    killed.wait().unwrap();

    folder.ackord(&["demo"]).expect(0);
    let database = open(&folder).await.unwrap();
    let ended = jobs(&database).await;
    assert!(accepted.iter().all(|job| ended.iter().any(|other| other.id == job.id)), "a job was lost");
    assert!(
        ended.iter().all(|job| matches!(job.state, JobState::Succeeded | JobState::Failed)),
        "a job has not ended: {ended:?}"
    );
    let writes = |job: &&Model| matches!(job.kind.as_str(), "synthesis" | "regeneration" | "recombination");
    let succeeded = ended.iter().filter(writes).filter(|job| job.state == JobState::Succeeded).count();
    let versions = synthesis_version::Entity::find().all(database.read()).await.unwrap();
    assert_eq!(versions.len(), succeeded, "a text was written twice or not at all");
}
