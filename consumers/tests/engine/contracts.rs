//! Contracts and handlers belong together, and what is durable about a contract stays.

use ackord_consumers::jobs::registry;
use ackord_consumers::registry::Registry;
use ackord_entities::jobs::{Catalogue, Job, KindSpec, catalogue};

use crate::kinds::{Scripted, Versioned};

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
fn reads_its_old_samples(spec: &KindSpec) {
    let versions: Vec<u16> = spec.old_samples.iter().map(|(version, _)| *version).collect();
    assert_eq!(
        versions,
        (1..spec.version).collect::<Vec<_>>(),
        "{}: one sample per older version, oldest first",
        spec.kind
    );
    for (version, sample) in spec.old_samples {
        if let Err(error) = spec.check(*version, sample.as_bytes()) {
            panic!("{} can no longer read version {version}: {error}", spec.kind);
        }
    }
}

#[test]
fn old_payloads_can_still_be_read() {
    catalogue().iter().for_each(reads_its_old_samples);
    reads_its_old_samples(&KindSpec::of::<Versioned>());
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

    reads_its_old_samples(&KindSpec::of::<Forgetful>());
}

#[test]
fn a_second_handler_of_a_kind_takes_the_place_of_the_first() {
    let registry = Registry::new().with(Scripted::<Versioned>::new()).with(Scripted::<Versioned>::new());
    assert_eq!(kinds(&registry.catalogue()), ["versioned"]);
}
