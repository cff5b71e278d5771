//! The kinds that write texts, each put through everything that can happen to a delivery.

#![allow(clippy::unwrap_used, reason = "tests")]

use ackord_entities::database::Database;
use ackord_entities::graph::{graphs, synthesis, synthesis_link, synthesis_version};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::jobs::{Job as _, Recombination, Regeneration, SuperSynthesis, Synthesis};
use ackord_entities::queue::job;
use ackord_graph::synthesis as domain;
use async_trait::async_trait;
use sea_orm::EntityTrait as _;
use sea_orm::prelude::Uuid;

use super::world::{LEASES, about, import, planned};
use super::writing::write;
use super::{RecombinationHandler, RegenerationHandler, SuperSynthesisHandler, SynthesisHandler};
use crate::handler::Handler;
use crate::testing::{Candidate, Harness};

/// The job of what is there before a trial begins.
const BEFORE: JobId = JobId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));

/// The versions that `job` wrote, of whatever.
async fn versions_of(database: &Database, job: JobId) -> u64 {
    let all = synthesis_version::Entity::find().all(database.read()).await.unwrap();
    all.iter().filter(|version| version.job_id == job).count() as u64
}

/// Topics, states and texts, without ids and times.
async fn everything(database: &Database) -> String {
    let mut lines = Vec::new();
    for row in synthesis::Entity::find().all(database.read()).await.unwrap() {
        let version = row.current_version;
        let links = synthesis_link::parts_of(database.read(), row.id).await.unwrap();
        let parts: Vec<String> =
            links.iter().map(|part| format!("{} {:?}", part.topic, part.origin)).collect();
        let texts = synthesis_version::all_of(database.read(), row.id).await.unwrap();
        let texts: Vec<String> = texts.into_iter().map(|text| text.markdown).collect();
        lines.push(format!("{} {:?} {version:?} {} {parts:?} {texts:?}", row.topic, row.state, row.attempts));
    }
    lines.sort();
    lines.join("\n")
}

/// Every trial but that of a group: these kinds are committed one at a time (`MAX_GROUP` is 1), a part's job has another id on each
/// database, and of two regenerations of one synthesis the second is refused.
async fn one_by_one<C: Candidate>(candidate: C) {
    assert_eq!(<C::Handler as Handler>::Job::MAX_GROUP, 1);
    let harness = Harness::new(candidate);
    harness.once().await;
    harness.delivered_twice().await;
    harness.crash_before_commit().await;
    harness.crash_between_commit_and_ack().await;
    harness.transient_then_fine().await;
    harness.permanent().await;
    harness.abandoned().await;
}

struct Syntheses;

#[async_trait]
impl Candidate for Syntheses {
    type Handler = SynthesisHandler;

    fn handler(&self) -> SynthesisHandler {
        SynthesisHandler::default()
    }

    fn sample(&self) -> Synthesis {
        Synthesis::about("Leases")
    }

    async fn prepare(&self, database: &Database) {
        import(database, "default", "leases.md", LEASES).await;
    }

    async fn effects(&self, database: &Database, job: JobId) -> u64 {
        versions_of(database, job).await
    }

    async fn snapshot(&self, database: &Database) -> String {
        everything(database).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synthesis_stands_every_trial() {
    Harness::new(Syntheses).run().await;
}

struct Supers;

#[async_trait]
impl Candidate for Supers {
    type Handler = SuperSynthesisHandler;

    fn handler(&self) -> SuperSynthesisHandler {
        SuperSynthesisHandler::default()
    }

    fn sample(&self) -> SuperSynthesis {
        about(&["Leases"])
    }

    async fn prepare(&self, database: &Database) {
        import(database, "default", "leases.md", LEASES).await;
    }

    /// The jobs of its parts: a second fan-out would be more of them.
    async fn effects(&self, database: &Database, job: JobId) -> u64 {
        let jobs = job::Entity::find().all(database.read()).await.unwrap();
        jobs.iter().filter(|child| child.parent_id == Some(job)).count() as u64
    }

    async fn snapshot(&self, database: &Database) -> String {
        everything(database).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_super_synthesis_stands_every_trial() {
    one_by_one(Supers).await;
}

/// A failed synthesis, and the document that it failed for want of.
struct Regenerations;

fn failed_before() -> SynthesisId {
    domain::id_of(graphs::id_of(graphs::DEFAULT), "Leases", BEFORE)
}

#[async_trait]
impl Candidate for Regenerations {
    type Handler = RegenerationHandler;

    fn handler(&self) -> RegenerationHandler {
        RegenerationHandler::default()
    }

    fn sample(&self) -> Regeneration {
        Regeneration::of(failed_before())
    }

    async fn prepare(&self, database: &Database) {
        import(database, "default", "leases.md", LEASES).await;
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        let id = domain::ask(&tx, &Synthesis::about("Leases"), BEFORE, now).await.unwrap();
        assert_eq!(id, failed_before());
        domain::start(&tx, id, BEFORE, now).await.unwrap().unwrap();
        assert!(domain::fail(&tx, id, BEFORE, &failure(), None, now).await.unwrap());
        tx.commit().await.unwrap();
    }

    async fn effects(&self, database: &Database, job: JobId) -> u64 {
        versions_of(database, job).await
    }

    async fn snapshot(&self, database: &Database) -> String {
        everything(database).await
    }
}

fn failure() -> synthesis::Failure {
    let text = "not yet".to_owned();
    synthesis::Failure { code: "no_facts".to_owned(), operator: text.clone(), public: text }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regeneration_stands_every_trial() {
    one_by_one(Regenerations).await;
}

/// A super-synthesis whose one part has a text.
struct Recombinations;

fn planned_before() -> SynthesisId {
    domain::super_id_of(graphs::id_of(graphs::DEFAULT), &about(&[]).topic, BEFORE)
}

#[async_trait]
impl Candidate for Recombinations {
    type Handler = RecombinationHandler;

    fn handler(&self) -> RecombinationHandler {
        RecombinationHandler::default()
    }

    fn sample(&self) -> Recombination {
        Recombination::of(planned_before())
    }

    async fn prepare(&self, database: &Database) {
        import(database, "default", "leases.md", LEASES).await;
        let id = planned(database, &about(&["Leases"]), BEFORE).await;
        assert_eq!(id, planned_before());
        let part = synthesis_link::parts_of(database.read(), id).await.unwrap().remove(0);
        let (asked, run) = (Synthesis::about("Leases"), domain::Run::unwatched());
        let text = write(database.read(), &domain::ExtractiveProducer, &asked, &run).await.unwrap();
        let tx = database.begin().await.unwrap();
        let now = database.clock().now(&tx).await.unwrap();
        let job = part.job_id.unwrap();
        domain::start(&tx, part.sub_id, job, now).await.unwrap().unwrap();
        let (written, record) = (text.text.unwrap(), text.record);
        domain::complete(&tx, part.sub_id, job, &written, "test", &record, now).await.unwrap().unwrap();
        // Not combined yet, and nobody is about to.
        assert!(synthesis::fail(&tx, id, BEFORE, &failure(), now).await.unwrap());
        tx.commit().await.unwrap();
    }

    async fn effects(&self, database: &Database, job: JobId) -> u64 {
        versions_of(database, job).await
    }

    async fn snapshot(&self, database: &Database) -> String {
        everything(database).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recombination_stands_every_trial() {
    one_by_one(Recombinations).await;
}
