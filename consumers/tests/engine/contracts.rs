//! Contracts and handlers belong together, and what is durable about a contract stays.

use ackord_consumers::jobs::SynthesisHandler;
use ackord_consumers::registry::Registry;
use ackord_entities::jobs::{Catalogue, Job, Synthesis, catalogue, decode};

use crate::kinds::{Scripted, Versioned};

/// One line per kind, as in the program.
fn registry() -> Registry {
    Registry::new().with(SynthesisHandler::default())
}

fn kinds(catalogue: &Catalogue) -> Vec<&'static str> {
    catalogue.iter().map(|spec| spec.kind).collect()
}

#[test]
fn every_contract_has_a_handler_and_every_handler_a_contract() {
    assert_eq!(kinds(&registry().catalogue()), kinds(&catalogue()));
}

#[test]
fn kinds_are_named_in_kebab_case() {
    for kind in kinds(&catalogue()) {
        let words = kind.split('-').all(|word| {
            !word.is_empty()
                && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        });
        assert!(words, "{kind}");
    }
}

/// What a contract promises about older payloads.
fn reads_its_old_samples<J: Job>() {
    let versions: Vec<u16> = J::OLD_SAMPLES.iter().map(|(version, _)| *version).collect();
    assert_eq!(
        versions,
        (1..J::VERSION).collect::<Vec<_>>(),
        "{}: one sample per older version, oldest first",
        J::KIND
    );
    for (version, sample) in J::OLD_SAMPLES {
        if let Err(error) = decode::<J>(*version, sample.as_bytes()) {
            panic!("{} can no longer read version {version}: {error}", J::KIND);
        }
    }
}

#[test]
fn old_payloads_can_still_be_read() {
    reads_its_old_samples::<Synthesis>();
    reads_its_old_samples::<Versioned>();
}

#[test]
#[should_panic(expected = "one sample per older version")]
fn a_version_without_its_sample_is_found() {
    #[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Forgetful {}

    impl Job for Forgetful {
        const KIND: &'static str = "forgetful";
        const VERSION: u16 = 2;
    }

    reads_its_old_samples::<Forgetful>();
}

#[test]
fn a_second_handler_of_a_kind_takes_the_place_of_the_first() {
    let registry = Registry::new().with(Scripted::<Versioned>::new()).with(Scripted::<Versioned>::new());
    assert_eq!(kinds(&registry.catalogue()), ["versioned"]);
}
