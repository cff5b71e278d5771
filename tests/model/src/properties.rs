//! What must be true in every state.

use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::state::JobState;
use stateright::{Model, Property};

use crate::protocol::{Action, Protocol};
use crate::scenario::JOBS;
use crate::world::{Letter, Row, World};

/// An accepted job is there, and when nothing more can happen it has ended.
pub const NOT_LOST: &str = "no accepted job is lost";
/// And there is nothing else left over.
pub const NOTHING_LEFT: &str = "what stands still is empty";
/// Whatever dies and is delivered twice.
pub const ONCE: &str = "an effect happens at most once, and exactly for the jobs that succeeded";
/// The broker forgets a delivery only when the database has no need of it.
pub const ACK_AFTER_COMMIT: &str = "no delivery is acknowledged before its commit";
/// Its cause stands in the database, its message is given up.
pub const ONE_LETTER: &str = "a dead job, and no other, has one open letter, and its message is kept";
/// Nobody is given up who might have succeeded.
pub const ONLY_POISON: &str = "only what cannot succeed is in the dead letters";
/// A worker that was taken for dead.
pub const NO_LATE_WRITE: &str = "a late worker writes nothing";
/// What waits for its time.
pub const NOT_TOO_EARLY: &str = "a job does not run before its message is due";
/// RabbitMQ closes the channel for that.
pub const KNOWN_TAGS: &str = "the broker knows every tag that it is told of";

/// All of them.
pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(NOT_LOST, no_job_is_lost),
        Property::always(NOTHING_LEFT, nothing_is_left),
        Property::always(ONCE, |_, world| effects_happen_once(world)),
        Property::always(ACK_AFTER_COMMIT, |_, world: &World| !world.ghost.acked_too_early),
        Property::always(ONE_LETTER, dead_jobs_have_their_letter),
        Property::always(ONLY_POISON, only_poison_is_given_up),
        Property::always(NO_LATE_WRITE, |_, world: &World| !world.ghost.late_write),
        Property::always(NOT_TOO_EARLY, |_, world: &World| !world.ghost.ran_too_early),
        Property::always(KNOWN_TAGS, |_, world: &World| !world.ghost.unknown_tag),
    ]
}

fn rows(world: &World) -> impl Iterator<Item = (usize, Row)> {
    world.database.jobs.iter().enumerate().filter_map(|(job, row)| Some((job, (*row)?)))
}

/// Whether nothing more happens by itself: nothing is due, delivered, performed, committed, settled, put back or told again.
/// That the broker could still lose its disk does not count: what it loses would be told again, and hide what was lost before.
fn stands_still(protocol: &Protocol, world: &World) -> bool {
    let mut actions = Vec::new();
    protocol.actions(world, &mut actions);
    actions.into_iter().all(Action::is_optional)
}

fn no_job_is_lost(protocol: &Protocol, world: &World) -> bool {
    let is_there = |job: usize| {
        // A direct publish has no row before its claim.
        world.database.jobs[job].is_some() || protocol.scenario.plans[job].direct
    };
    let exists = (0..JOBS).all(|job| !world.ghost.accepted[job] || is_there(job));
    let has_ended = |job: usize| world.database.jobs[job].is_some_and(|row| row.state.is_end());
    let all_ended = (0..JOBS).all(|job| !world.ghost.accepted[job] || has_ended(job));
    exists && (all_ended || !stands_still(protocol, world))
}

fn nothing_is_left(protocol: &Protocol, world: &World) -> bool {
    let database = &world.database;
    let is_empty = world.queue.is_empty()
        && world.dead_letters.is_empty()
        && database.outbox.iter().all(Option::is_none)
        && database.runs.iter().all(Option::is_none)
        && database.lease.owner.is_none()
        && world.relays.iter().all(Option::is_none)
        && world.workers.iter().all(|worker| {
            worker.unsettled.is_empty() && worker.items.is_empty() && worker.settlements.is_empty()
        });
    is_empty || !stands_still(protocol, world)
}

fn effects_happen_once(world: &World) -> bool {
    rows(world).all(|(job, row)| world.ghost.effects[job] == u8::from(row.state == JobState::Succeeded))
}

fn open(letters: &[Letter]) -> impl Iterator<Item = &Letter> {
    letters.iter().filter(|letter| letter.open)
}

fn dead_jobs_have_their_letter(protocol: &Protocol, world: &World) -> bool {
    let letters_fit = rows(world).all(|(job, row)| {
        let mut open = open(&world.database.letters[job]);
        match (row.state, open.next(), open.next()) {
            (JobState::Dead, Some(letter), None) => letter.seq == Some(row.seq),
            (JobState::Dead, ..) => false,
            (_, first, _) => first.is_none(),
        }
    });
    // A claim that died had its delivery acknowledged long before.
    let messages_are_kept = rows(world).all(|(job, row)| {
        row.state != JobState::Dead
            || world.ghost.broker_lost
            || open(&world.database.letters[job]).any(|letter| letter.by_claim)
            || world.ghost.archived[job] & (1 << row.seq) != 0
    });
    letters_fit && (messages_are_kept || !stands_still(protocol, world))
}

fn only_poison_is_given_up(protocol: &Protocol, world: &World) -> bool {
    let scenario = &protocol.scenario;
    let letters_have_their_reason = (0..JOBS).all(|job| {
        world.database.letters[job].iter().all(|letter| match letter.reason {
            Reason::Permanent => scenario.plans[job].poison,
            Reason::AttemptsExhausted | Reason::DeferredTooLong => true,
            Reason::DeliveryLimit => scenario.delivery_limit.is_some(),
            _ => false,
        })
    });
    let limits_are_used_up = rows(world).filter(|(_, row)| row.state == JobState::Dead).all(|(job, row)| {
        open(&world.database.letters[job]).all(|letter| match letter.reason {
            Reason::AttemptsExhausted => row.attempt >= row.max_attempts,
            Reason::DeferredTooLong => row.deferrals >= scenario.max_deferred,
            _ => true,
        })
    });
    let messages_have_letters = world.dead_letters.iter().all(|message| {
        let job = usize::from(message.job);
        let given_up_by_broker = message.returned > 0;
        let has_letter = world.database.letters[job]
            .iter()
            .any(|letter| letter.seq.unwrap_or(1) == message.seq.unwrap_or(1));
        given_up_by_broker || has_letter
    });
    let poison_has_no_effect = rows(world)
        .all(|(job, row)| !scenario.plans[job].poison || row.corrected || row.state != JobState::Succeeded);
    letters_have_their_reason && limits_are_used_up && messages_have_letters && poison_has_no_effect
}
