//! A crash at each step of the kinds that write texts: a super-synthesis whose parts are written, combined, written again and combined
//! again. Whatever is killed there, after the next start every text stands as if nothing had been, and each was written once.

use std::collections::BTreeMap;

use rstest::rstest;
use rustix::process::Signal;
use serde::Deserialize;

use crate::place::Place;
use crate::process::{Testbed, text};

/// See the testbed's own.
#[derive(Debug, Deserialize)]
struct Texts {
    wholes: Vec<Whole>,
    jobs: BTreeMap<String, BTreeMap<String, usize>>,
    letters: usize,
    unsettled: usize,
}

/// See the testbed's own.
#[derive(Debug, Deserialize)]
struct Whole {
    #[serde(flatten)]
    text: Text,
    stale: bool,
    read: BTreeMap<String, Option<i32>>,
    parts: Vec<Text>,
}

/// See the testbed's own.
#[derive(Debug, Deserialize)]
struct Text {
    topic: String,
    state: String,
    versions: usize,
    doubles: usize,
    attempts: usize,
    unended: usize,
}

impl Texts {
    fn number(&self, kind: &str, state: &str) -> usize {
        self.jobs.get(kind).and_then(|states| states.get(state)).copied().unwrap_or_default()
    }

    fn is_at_rest(&self) -> bool {
        let unfinished = ["pending", "running"];
        let ended =
            |states: &BTreeMap<String, usize>| !unfinished.iter().any(|state| states.contains_key(*state));
        self.unsettled == 0 && self.jobs.values().all(ended)
    }
}

/// The point in the work of one kind, passed so many times before.
fn fault(point: &str, kind: &str, earlier: usize) -> String {
    let passed = if earlier == 0 { String::new() } else { format!("{earlier}*off->") };
    format!("{point}@{kind}={passed}return")
}

/// Runs one of the testbed's verbs and answers what it prints.
async fn said(testbed: &Testbed, arguments: &[&str]) -> String {
    let ended = testbed.run(arguments).await;
    assert!(ended.status.success(), "{arguments:?}: {}", text(&ended.stderr));
    text(&ended.stdout)
}

async fn texts(testbed: &Testbed) -> Texts {
    serde_json::from_str(&said(testbed, &["texts"]).await).unwrap()
}

async fn until_at_rest(testbed: &Testbed) -> Texts {
    let at_rest = async || Some(texts(testbed).await).filter(Texts::is_at_rest);
    testbed.eventually("every job has ended and nothing waits", at_rest).await
}

async fn ask(testbed: &Testbed, known: usize, lost: usize) {
    said(testbed, &["super", "--known", &known.to_string(), "--lost", &lost.to_string()]).await;
}

/// The documents that were missing come in, and what failed is to be written again.
async fn write_again(testbed: &Testbed, failed: usize) {
    said(testbed, &["learn"]).await;
    assert_eq!(said(testbed, &["again"]).await.trim(), failed.to_string());
}

async fn until_quiet(testbed: &Testbed) {
    testbed.up(&["--texts", "--until-quiet"], None).ends_well().await;
}

/// How often each of the texts was begun, if nothing was begun twice.
struct Begun {
    whole: usize,
    part: usize,
}

/// Insists that the one super-synthesis and its parts are completed and up to date, that each text was written once by each job that
/// wrote it, and that nothing is left over. Answers it.
#[track_caller]
fn assert_complete<'t>(testbed: &Testbed, texts: &'t Texts, parts: usize) -> &'t Whole {
    let log = || testbed.log();
    let [whole] = texts.wholes.as_slice() else { panic!("not one super-synthesis: {texts:#?}") };
    assert_eq!((whole.text.state.as_str(), whole.stale), ("completed", false), "{texts:#?}\n{}", log());
    assert_eq!(whole.parts.len(), parts, "{texts:#?}\n{}", log());
    assert_eq!(whole.read.len(), parts, "a part was not read: {texts:#?}\n{}", log());
    assert!(whole.read.values().all(|version| *version == Some(1)), "{texts:#?}\n{}", log());
    for part in &whole.parts {
        assert_eq!(
            (part.state.as_str(), part.versions),
            ("completed", 1),
            "{}: {texts:#?}\n{}",
            part.topic,
            log()
        );
    }
    for one in whole.parts.iter().chain([&whole.text]) {
        assert_eq!((one.doubles, one.unended), (0, 0), "{}: {texts:#?}\n{}", one.topic, log());
    }
    assert_eq!(texts.number("super-synthesis", "succeeded"), 1, "{texts:#?}");
    assert_eq!(whole.text.versions, texts.number("recombination", "succeeded"), "{texts:#?}\n{}", log());
    assert_eq!((texts.letters, texts.unsettled), (0, 0), "{texts:#?}\n{}", log());
    whole
}

#[track_caller]
fn assert_begun(whole: &Whole, begun: &Begun) {
    assert_eq!(whole.text.attempts, begun.whole, "{whole:#?}");
    let most = whole.parts.iter().map(|part| part.attempts).max();
    assert_eq!(most, Some(begun.part), "{whole:#?}");
}

/// A super-synthesis of four parts, whose worker dies once.
async fn killed_at(testbed: Testbed, point: &str, (kind, earlier): (&str, usize)) {
    ask(&testbed, 4, 0).await;
    testbed.up(&["--texts"], Some(&fault(point, kind, earlier))).dies().await;
    until_quiet(&testbed).await;
    let texts = texts(&testbed).await;
    let whole = assert_complete(&testbed, &texts, 4);
    assert_eq!(texts.number("synthesis", "succeeded"), 4, "{texts:#?}");
    assert_eq!(whole.text.versions, 1, "one change, one version: {texts:#?}");
    assert_begun(whole, &Begun { whole: 2, part: 1 });
}

/// Fan-out, the first part, the last part (whose end has them combined) and the combination.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_a_super_synthesis_that_dies_at(
    #[values(
        "claim_before_commit",
        "after_claim_before_ack",
        "performing",
        "performed",
        "claimed_in_transaction",
        "before_commit",
        "after_commit_before_ack"
    )]
    point: &str,
    #[values(("super-synthesis", 0), ("synthesis", 0), ("synthesis", 3), ("recombination", 0))] job: (
        &str,
        usize,
    ),
) {
    killed_at(Testbed::new().await, point, job).await;
}

#[rstest]
#[case("before_commit", ("super-synthesis", 0))]
#[case("after_commit_before_ack", ("super-synthesis", 0))]
#[case("before_commit", ("synthesis", 3))]
#[case("after_commit_before_ack", ("synthesis", 3))]
#[case("after_claim_before_ack", ("recombination", 0))]
#[case("before_commit", ("recombination", 0))]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_a_super_synthesis_on_servers_that_dies_at(
    #[values(Place::Servers)] place: Place,
    #[case] point: &str,
    #[case] job: (&str, usize),
) {
    let Some(testbed) = place.testbed().await else { return };
    killed_at(testbed, point, job).await;
}

/// A part that failed is written again, and the whole is combined again by itself; the worker dies once meanwhile.
async fn killed_while_written_again_at(testbed: Testbed, point: &str, kind: &str) {
    ask(&testbed, 3, 1).await;
    until_quiet(&testbed).await;
    let before = texts(&testbed).await;
    assert_eq!(
        (before.wholes[0].text.state.as_str(), before.wholes[0].text.versions),
        ("partial", 1),
        "{before:#?}"
    );
    write_again(&testbed, 1).await;
    testbed.up(&["--texts"], Some(&fault(point, kind, 0))).dies().await;
    until_quiet(&testbed).await;
    let texts = texts(&testbed).await;
    let whole = assert_complete(&testbed, &texts, 4);
    assert_eq!(texts.number("regeneration", "succeeded"), 1, "{texts:#?}");
    assert_eq!(whole.text.versions, 2, "two changes, two versions: {texts:#?}");
    assert_begun(whole, &Begun { whole: 3, part: 2 });
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_writes_a_part_again_and_dies_at(
    #[values(
        "claim_before_commit",
        "after_claim_before_ack",
        "performing",
        "performed",
        "claimed_in_transaction",
        "before_commit",
        "after_commit_before_ack"
    )]
    point: &str,
    #[values("regeneration", "recombination")] kind: &str,
) {
    killed_while_written_again_at(Testbed::new().await, point, kind).await;
}

#[rstest]
#[case("before_commit", "regeneration")]
#[case("after_commit_before_ack", "regeneration")]
#[case("before_commit", "recombination")]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_writes_a_part_again_on_servers_and_dies_at(
    #[values(Place::Servers)] place: Place,
    #[case] point: &str,
    #[case] kind: &str,
) {
    let Some(testbed) = place.testbed().await else { return };
    killed_while_written_again_at(testbed, point, kind).await;
}

/// All parts failed, and all of them are written again at once: however many combinations that makes, and whichever of them is killed,
/// the last one has read all.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn parts_that_are_written_again_at_once_under_a_worker_that_dies_at(
    #[values("performing", "before_commit", "after_commit_before_ack")] point: &str,
    #[values(false, true)] narrow: bool,
) {
    let testbed = Testbed::new().await;
    ask(&testbed, 0, 4).await;
    until_quiet(&testbed).await;
    let before = texts(&testbed).await;
    assert_eq!(
        (before.wholes[0].text.state.as_str(), before.wholes[0].text.versions),
        ("error", 0),
        "{before:#?}"
    );
    write_again(&testbed, 4).await;
    let arguments: &[&str] = if narrow { &["--texts", "--narrow"] } else { &["--texts"] };
    testbed.up(arguments, Some(&fault(point, "recombination", 0))).dies().await;
    testbed.up(&[arguments, &["--until-quiet"]].concat(), None).ends_well().await;
    let texts = texts(&testbed).await;
    assert_complete(&testbed, &texts, 4);
    let again = texts.number("recombination", "succeeded");
    assert!((1..=4).contains(&again), "{texts:#?}");
    // The first one found nothing to combine.
    assert_eq!(texts.number("recombination", "failed"), 1, "{texts:#?}");
}

/// Two workers at once, one of which dies at the end of a part: the other takes over.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn two_workers_that_share_the_parts_of_a_super_synthesis_lose_nothing_when_one_dies(
    #[values(Place::Servers)] place: Place,
) {
    let Some(testbed) = place.testbed().await else { return };
    let dying = testbed.up(&["--texts"], Some(&fault("before_commit", "synthesis", 1)));
    let mut other = testbed.up(&["--texts", "--narrow"], None);
    other.ready().await;
    ask(&testbed, 4, 4).await;
    let before = until_at_rest(&testbed).await;
    assert_eq!(
        (before.wholes[0].text.state.as_str(), before.wholes[0].text.versions),
        ("partial", 1),
        "{before:#?}"
    );
    // It may have got no second part to write.
    drop(dying);
    let mut third = testbed.up(&["--texts"], None);
    third.ready().await;
    write_again(&testbed, 4).await;
    let after = until_at_rest(&testbed).await;
    assert_complete(&testbed, &after, 8);
    for worker in [&other, &third] {
        worker.signal(Signal::TERM);
    }
    other.ends_well().await;
    third.ends_well().await;
}
