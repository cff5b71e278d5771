//! The worlds that are visited. Each has something of its own to go wrong, because all of it at once would be too many states.

use ackord_model::scenario::{Budget, Plan, Scenario};

/// Whether the long versions are wanted.
pub(crate) fn is_soak() -> bool {
    std::env::var("ACKORD_SOAK").is_ok_and(|value| value == "1")
}

fn one_more_in_a_soak() -> u8 {
    u8::from(is_soak())
}

/// Short jobs whose workers and relay die: redelivery, duplicates, groups, acknowledgements in multiples.
pub(crate) fn crashes() -> Scenario {
    Scenario {
        budget: Budget {
            crashes: 1 + one_more_in_a_soak(),
            relay_crashes: 1,
            lost_answers: 1,
            ..Budget::default()
        },
        ..Scenario::quiet("short jobs, crashes")
    }
}

/// Short jobs whose channel is closed while they are performed: the late worker commits, and settles nothing.
pub(crate) fn late() -> Scenario {
    Scenario {
        committers: 2,
        budget: Budget {
            closed_channels: 1,
            lost_answers: one_more_in_a_soak(),
            relay_crashes: 1,
            ..Budget::default()
        },
        ..Scenario::quiet("short jobs, closed channels, two committers")
    }
}

/// Short jobs that fail, are deferred and called off, while things die.
pub(crate) fn failing() -> Scenario {
    Scenario {
        max_deferred: 1,
        budget: Budget {
            crashes: 1,
            failures: 1,
            deferrals: 1,
            cancels: one_more_in_a_soak(),
            ..Budget::default()
        },
        ..Scenario::quiet("short jobs, failures and deferrals")
    }
}

/// A job that cannot succeed beside one that can, replays and cancellations.
pub(crate) fn poison() -> Scenario {
    Scenario {
        plans: [Plan::POISON, Plan::SHORT],
        workers: 1 + usize::from(is_soak()),
        max_attempts: 1,
        budget: Budget {
            crashes: 1,
            relay_crashes: 1,
            failures: 1,
            cancels: 1,
            replays: 1,
            ..Budget::default()
        },
        ..Scenario::quiet("poison, replay, cancel")
    }
}

/// Long jobs that want the same lease: claims, late workers, the sweeper.
pub(crate) fn leased() -> Scenario {
    Scenario {
        plans: [Plan::LEASED, Plan::LEASED],
        max_deferred: 1,
        budget: Budget { freezes: 1, drains: one_more_in_a_soak(), ..Budget::default() },
        ..Scenario::quiet("long jobs, one lease")
    }
}

/// A long job that fails and is called off, beside a short one.
pub(crate) fn long() -> Scenario {
    Scenario {
        plans: [Plan::LONG, Plan::SHORT],
        budget: Budget {
            crashes: 1,
            cancels: 1,
            freezes: 1,
            failures: one_more_in_a_soak(),
            lost_answers: one_more_in_a_soak(),
            ..Budget::default()
        },
        ..Scenario::quiet("a long and a short job")
    }
}

/// The broker loses its disk, and reconciliations happen that nobody needed.
pub(crate) fn forgetful() -> Scenario {
    Scenario {
        workers: 1 + usize::from(is_soak()),
        budget: Budget {
            broker_losses: 1,
            relay_crashes: 1,
            crashes: one_more_in_a_soak(),
            ..Budget::default()
        },
        ..Scenario::quiet("a broker without its disk")
    }
}

/// Direct publishes, and a broker that gives messages up by itself.
pub(crate) fn direct() -> Scenario {
    Scenario {
        plans: [Plan::DIRECT, Plan::SHORT],
        delivery_limit: Some(1),
        budget: Budget { crashes: 1, closed_channels: 1, failures: 1, replays: 1, ..Budget::default() },
        ..Scenario::quiet("a direct publish, a delivery limit")
    }
}

/// Reconciliations that nobody needed: everything may come twice.
pub(crate) fn told_again() -> Scenario {
    Scenario {
        budget: Budget {
            reconciles: 1 + one_more_in_a_soak(),
            crashes: one_more_in_a_soak(),
            ..Budget::default()
        },
        ..Scenario::quiet("a needless reconciliation")
    }
}
