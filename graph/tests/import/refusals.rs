//! What is refused, why, and that nothing else suffers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ackord_graph::import::{Event, Import, ImportError, ImportOptions, Outcome, Progress, Refusal};
use rstest::rstest;
use sea_orm::DbBackend;

use crate::world::World;

#[rstest]
#[tokio::test]
async fn bad_files_are_refused_with_their_reason_and_the_good_one_is_taken(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write("binary.md", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe");
    world.write("empty.txt", "");
    world.write("good.md", "A good sentence stands here.");
    world.write("latin.txt", b"caf\xe9 au lait is not UTF-8");
    world.write("nul.md", "text with a \0 in it");
    world.write("title.md", format!("# {}\n\nA sentence under it.", "long ".repeat(200)));
    world.write("toolong.md", "x ".repeat(1_000));
    world.write("program.rs", "fn main() {}");
    let report = world.import_with(ImportOptions { most_bytes: 1_500, ..ImportOptions::default() }).await;
    let refused: Vec<(String, Refusal)> = report
        .refused_files
        .iter()
        .map(|file| (file.path.file_name().unwrap().to_string_lossy().into_owned(), file.refusal.clone()))
        .collect();
    assert_eq!(
        sorted(refused),
        [
            ("binary.md".into(), Refusal::Binary { offset: 0 }),
            ("empty.txt".into(), Refusal::Empty),
            ("latin.txt".into(), Refusal::NotUtf8 { offset: 3 }),
            ("nul.md".into(), Refusal::NulByte { offset: 12 }),
            ("title.md".into(), Refusal::TitleTooLong { characters: 999, limit: 512 }),
            ("toolong.md".into(), Refusal::OverLimit { size: 2_000, limit: 1_500 }),
        ]
    );
    assert_eq!((report.taken, report.refused, report.passed_over), (1, 6, 1));
    assert_eq!(world.facts().await.len(), 1);
}

fn sorted(mut refused: Vec<(String, Refusal)>) -> Vec<(String, Refusal)> {
    refused.sort_by(|left, right| left.0.cmp(&right.0));
    refused
}

#[tokio::test]
async fn what_is_named_is_refused_by_name() {
    let world = World::new(DbBackend::Sqlite).await.unwrap();
    world.write("program.rs", "fn main() {}");
    let paths = [world.path("program.rs"), world.path("missing.md")];
    let report =
        Import::new(world.test.database().clone(), ImportOptions::default()).run(&paths).await.unwrap();
    let mut refused: Vec<&Refusal> = report.refused_files.iter().map(|file| &file.refusal).collect();
    refused.sort_by_key(ToString::to_string);
    assert!(matches!(refused[..], [Refusal::Unreadable { .. }, Refusal::UnknownType]), "{refused:?}");
}

#[tokio::test]
async fn a_refused_file_keeps_what_it_gave_before() {
    let world = World::new(DbBackend::Sqlite).await.unwrap();
    world.write("a.md", "A sentence that stays.");
    world.import().await;
    world.write("a.md", "A sentence that \0 goes.");
    assert_eq!(world.import().await.refused, 1);
    assert!(world.facts().await.contains("A sentence that stays."));
}

#[tokio::test]
async fn ignore_files_excludes_and_hidden_files_are_left_out() {
    let world = World::new(DbBackend::Sqlite).await.unwrap();
    for name in ["kept.md", "git.md", "own.md", "deep/excluded.md", ".hidden.md", "drafts/one.md"] {
        world.write(name, format!("The file {name} is read."));
    }
    world.write(".gitignore", "git.md\n");
    world.write(".ackordignore", "own.md\n");
    let excludes = vec!["excluded.md".to_owned(), "drafts/".to_owned()];
    let report = world.import_with(ImportOptions { excludes, ..ImportOptions::default() }).await;
    assert_eq!(report.taken, 1);
    assert!(world.facts().await.contains("The file kept.md is read."));
}

#[tokio::test]
async fn a_file_that_two_paths_lead_to_is_read_once() {
    let world = World::new(DbBackend::Sqlite).await.unwrap();
    world.write("deep/a.md", "One sentence here.");
    let paths = [world.folder.path().to_owned(), world.path("deep"), world.path("deep/a.md")];
    let report =
        Import::new(world.test.database().clone(), ImportOptions::default()).run(&paths).await.unwrap();
    assert_eq!((report.taken, report.unchanged), (1, 0));
}

#[tokio::test]
async fn a_graph_needs_a_name_and_a_pattern_a_meaning() {
    let world = World::new(DbBackend::Sqlite).await.unwrap();
    let run =
        async |options| Import::new(world.test.database().clone(), options).run(&[PathBuf::from(".")]).await;
    let error =
        run(ImportOptions { graph: "Not A Slug".into(), ..ImportOptions::default() }).await.unwrap_err();
    assert!(matches!(error, ImportError::GraphName { .. }), "{error}");
    let error =
        run(ImportOptions { excludes: vec!["a[".into()], ..ImportOptions::default() }).await.unwrap_err();
    assert!(matches!(&error, ImportError::Pattern { pattern, .. } if pattern == "a["), "{error}");
    assert!(error.is_permanent());
}

#[derive(Default)]
struct Witness(Mutex<Seen>);

#[derive(Default, Debug, PartialEq)]
struct Seen {
    found: u64,
    done: u64,
    all_found: bool,
    taken: u64,
    refused: u64,
}

impl Progress for Witness {
    fn on(&self, event: Event<'_>) {
        let mut seen = self.0.lock().unwrap();
        match event {
            Event::Found { bytes } => seen.found += bytes,
            Event::AllFound => seen.all_found = true,
            Event::Done { bytes } => seen.done += bytes,
            Event::File { outcome: Outcome::Taken(_), .. } => seen.taken += 1,
            Event::File { outcome: Outcome::Refused(_), .. } => seen.refused += 1,
            _ => {}
        }
    }
}

#[tokio::test]
async fn progress_ends_where_all_that_was_found_is_done() {
    let world = World::new(DbBackend::Sqlite).await.unwrap();
    world.write("a.md", "A sentence of some length.");
    let records = "{\"source\": \"x:1\", \"facts\": [\"One fact.\"]}\n\n{\"source\": \"x:2\"}\n";
    world.write("b.jsonl", records);
    world.write("c.txt", b"caf\xe9");
    let bytes = 26 + records.len() as u64 + 4;
    let witness = Arc::new(Witness::default());
    Import::new(world.test.database().clone(), ImportOptions::default())
        .with_progress(witness.clone())
        .run(&[world.folder.path().to_owned()])
        .await
        .unwrap();
    let seen = witness.0.lock().unwrap();
    assert_eq!(*seen, Seen { found: bytes, done: bytes, all_found: true, taken: 2, refused: 1 });
}
