//! What a process runs.

use std::collections::BTreeSet;

use ackord_entities::queue::process::Role;

use super::NodeOptions;
use crate::config::BrokerChoice;
use crate::problem::Problem;

/// The verb that runs a node, which decides what it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Everything in one process.
    Up,
    /// The worker, with the rest beside it unless that is switched off.
    Work { archive: bool, relay: bool, upkeep: bool },
    /// Everything but the worker.
    Relay,
}

impl Verb {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Work { .. } => "work",
            Self::Relay => "relay",
        }
    }

    /// What it runs.
    pub(crate) fn roles(self) -> BTreeSet<Role> {
        let run = |role: &Role| match self {
            Self::Up => true,
            Self::Work { archive, relay, upkeep } => match role {
                Role::Work => true,
                Role::Archive => archive,
                Role::Relay => relay,
                Role::Upkeep => upkeep,
            },
            Self::Relay => matches!(role, Role::Relay | Role::Upkeep),
        };
        Role::ALL.into_iter().filter(run).collect()
    }
}

/// Refuses what cannot work with the broker of the configuration.
///
/// # Errors
/// A process of its own for a broker that lives in one process.
pub(super) fn check(options: &NodeOptions) -> Result<(), Problem> {
    let needs_server = options.verb != Verb::Up;
    if needs_server && options.broker == BrokerChoice::Embedded {
        let verb = options.verb.name();
        return Err(Problem::usage(format!(
            "`ackord {verb}` needs a broker that other processes reach too; the embedded one lives in one process"
        ))
        .remedy("give --broker amqp://USER:PASSWORD@HOST/VHOST, or run `ackord up`, which is everything in one process"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_relay_together_are_up() {
        let work = Verb::Work { archive: true, relay: false, upkeep: false };
        let both: BTreeSet<Role> = work.roles().union(&Verb::Relay.roles()).copied().collect();
        assert_eq!(both, Verb::Up.roles());
    }
}
