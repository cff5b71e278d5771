//! The handlers that this program runs: one line per kind.

use ackord_consumers::jobs::SynthesisHandler;
use ackord_consumers::registry::Registry;

/// The handler of every kind in the catalogue.
pub(crate) fn registry() -> Registry {
    Registry::new().with(SynthesisHandler::default())
}

#[cfg(test)]
mod tests {
    use ackord_entities::jobs::catalogue;

    use super::*;

    #[test]
    fn every_contract_has_a_handler_and_every_handler_a_contract() {
        let kinds = |catalogue: &ackord_entities::jobs::Catalogue| -> Vec<&str> {
            catalogue.iter().map(|spec| spec.kind).collect()
        };
        assert_eq!(kinds(&registry().catalogue()), kinds(&catalogue()));
    }
}
