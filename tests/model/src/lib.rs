//! The protocol of jobs and their messages as a model: small enough that a checker visits every state it can reach, close enough to the
//! code that each step has the name of the function it stands for. `docs/model.md` says what is left out.
//!
//! | file | stands for |
//! |---|---|
//! | [`scenario`] | what is in the world, and how much may go wrong in it |
//! | [`world`] | everything that is stored somewhere: database, broker, memory of the processes |
//! | [`database`] | the statements of `ackord_entities::queue` |
//! | [`broker`] | RabbitMQ: a queue, channels with their unsettled deliveries, the dead letters |
//! | [`fence`] | the worker's own `judge`, asked once for everything it can be asked |
//! | [`relay`] | the relay, the reconciler and the sweeper |
//! | [`worker`] | one delivery from the broker to the commit |
//! | [`commit`] | the transaction of a group |
//! | [`settle`] | what the broker hears after it |
//! | [`operate`] | publishers, operators, and the archive |
//! | [`protocol`] | which steps are possible, and what each does |
//! | [`properties`] | what must be true |
//! | [`coverage`] | which steps were reached |

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a model that breaks its own rules has to stop"
)]
#![allow(clippy::trivially_copy_pass_by_ref, reason = "the functions look like those they stand for")]
#![allow(clippy::struct_excessive_bools, reason = "a world is made of facts that hold or do not")]
#![allow(clippy::cast_possible_truncation, reason = "there are a handful of jobs")]

pub mod broker;
pub mod commit;
pub mod coverage;
pub mod database;
pub mod fence;
pub mod operate;
pub mod properties;
pub mod protocol;
pub mod relay;
pub mod scenario;
pub mod settle;
pub mod worker;
pub mod world;
