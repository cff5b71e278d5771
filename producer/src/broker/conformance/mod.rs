//! What every broker must do, as tests that any of them can run.
//!
//! Each test is a function over a broker with nothing in it (on a server: a virtual host of its own), named after the
//! behaviour it asks for. [`broker_conformance!`](crate::broker_conformance) makes all of them tests of one broker:
//!
//! ```ignore
//! ackord_producer::broker_conformance!(Some(EmbeddedBroker::new(EmbeddedOptions::default())));
//! ```
//!
//! They wait for conditions and never for a length of time, and they fail after [`steps::PATIENCE`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "these are tests")]

pub mod asking;
pub mod blocking;
pub mod consuming;
pub mod declaring;
pub mod giving_up;
pub mod publishing;
pub mod returning;
pub mod settling;
pub mod steps;

use async_trait::async_trait;

use super::{Broker, EmbeddedBroker};

/// A broker that a test can disturb from outside.
#[async_trait]
pub trait Disturbed: Broker {
    /// Lets it take no messages until [`unblock`](Self::unblock).
    async fn block(&self);
    /// Takes [`block`](Self::block) back.
    async fn unblock(&self);
    /// How many messages of a queue are out with consumers, unsettled. A broker that counts in the background may be late.
    async fn unsettled(&self, queue: &str) -> usize;
    /// Whether messages that are handed back unharmed count towards the delivery limit all the same.
    fn hand_backs_count(&self) -> bool;
    /// Closes the channel of the consumer with this number, as its tags give it.
    async fn close_consumer(&self, consumer: u64);
}

#[async_trait]
impl Disturbed for EmbeddedBroker {
    async fn block(&self) {
        Self::block(self);
    }

    async fn unblock(&self) {
        Self::unblock(self);
    }

    async fn unsettled(&self, queue: &str) -> usize {
        self.held(queue).unwrap().unsettled
    }

    fn hand_backs_count(&self) -> bool {
        false
    }

    async fn close_consumer(&self, consumer: u64) {
        Self::close_consumer(self, consumer);
    }
}

/// Makes every function of the suite a test of the broker that `$broker` gives. The expression is evaluated once per test,
/// inside an async function, and gives a [`Disturbed`] broker with nothing in it, or `None` where the test is left out. Where
/// blocking one broker blocks others too, `$alone` gives one that shares nothing.
#[macro_export]
macro_rules! broker_conformance {
    ($broker:expr) => {
        $crate::broker_conformance!($broker, $broker);
    };
    ($broker:expr, $alone:expr) => {
        $crate::broker_conformance! { @each $broker;
            asking: depth_counts_the_consumers
                an_incarnation_is_remembered_once_it_was_given
                notices_that_nobody_listens_for_are_gone
                the_description_names_the_broker;
            declaring: applying_tells_what_it_created
                a_queue_that_was_there_is_not_made_anew
                comparing_names_every_difference_and_declares_nothing
                applying_again_changes_nothing
                another_delivery_limit_is_a_mismatch
                a_later_topology_adds_its_queues
                what_is_not_declared_is_named_in_the_error;
            publishing: a_message_arrives_as_it_was_sent
                a_window_keeps_its_order
                each_message_goes_to_the_queue_of_its_kind
                what_no_queue_wants_is_refused_at_the_relays_exchange
                what_no_queue_wants_is_kept_at_the_publishers_exchange
                a_fence_counts_on_the_relays_messages_only
                an_empty_window_is_confirmed;
            consuming: prefetch_bounds_what_is_out
                prefetch_can_grow_and_shrink
                prefetch_of_zero_pauses
                consumers_take_turns
                a_stopped_consumer_ends_and_still_settles
                a_queue_without_consumers_keeps_its_messages;
            settling: an_acked_message_is_gone
                ack_of_one_leaves_the_others
                ack_of_many_takes_all_before_it_and_none_after
                ack_of_many_spares_other_consumers
                a_settled_tag_is_stale
                a_tag_of_another_consumer_is_stale
                settling_makes_room;
            returning: requeue_puts_back_in_place_and_counts
                hand_back_puts_back_in_place_and_does_not_count
                what_comes_back_out_of_order_is_delivered_first
                a_dropped_consumer_gives_its_deliveries_back
                a_dropped_receiver_gives_its_deliveries_back
                a_stopped_consumer_gives_back_when_its_settlers_are_gone
                a_closed_consumer_gives_its_deliveries_back_and_its_tags_are_stale;
            giving_up: a_rejected_message_is_dead_lettered_with_its_reason
                a_limit_of_n_allows_n_plus_one_deliveries
                lost_consumers_count_towards_the_limit
                hand_backs_do_not_count_towards_the_limit
                dead_letters_come_back_for_ever
        }
        $crate::broker_conformance! { @each $alone;
            blocking: a_blocked_broker_publishes_nothing
                a_blocked_broker_still_delivers_and_settles
                the_state_is_told_when_it_changes
        }
    };
    (@each $broker:expr; $($module:ident: $($name:ident)+);+) => {
        $($(
            #[tokio::test]
            async fn $name() {
                let Some(broker) = $broker else { return };
                $crate::broker::conformance::$module::$name(&broker).await;
            }
        )+)+
    };
}
