//! Which dead letters a verb is about: by id, or by what they have in common.

use ackord_entities::ids::DeadLetterId;
use ackord_entities::queue::dead_letter::{self, Filter, LetterState, Reason};
use chrono::{DateTime, Utc};
use sea_orm::ActiveEnum as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::api::Api;
use crate::body::moment;
use crate::problem::Problem;

/// Ids in one request at most.
const MOST_IDS: usize = 1_000;
/// Ids that are kept to be shown; the frozen set of a run has all of them.
const SHOWN_IDS: usize = 20;

/// Which open dead letters: either ids, or at least one thing that they have in common, or all.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    /// These.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    ids: Vec<DeadLetterId>,
    /// All open ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    /// Those that failed alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Those of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Those that were given up for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Reason>)]
    dead_reason: Option<String>,
    /// Those whose error has this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    /// Those from this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    /// Those given up at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// Those given up before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
}

/// The letters that were meant.
pub(crate) struct Selected {
    /// The open ones, oldest first.
    pub(crate) ids: Vec<DeadLetterId>,
    /// Named ones that somebody dealt with before.
    pub(crate) dealt_with_before: usize,
    /// The request, equal for equal ones.
    pub(crate) words: String,
    /// The request, to be shown.
    pub(crate) shown: String,
}

impl Selection {
    /// Finds the letters.
    ///
    /// # Errors
    /// Nothing, or too much, was asked for; a named letter is not there; whatever the database answers.
    pub(crate) async fn select(mut self, api: &Api) -> Result<Selected, Problem> {
        let narrows = self.fingerprint.is_some()
            || self.kind.is_some()
            || self.dead_reason.is_some()
            || self.error_code.is_some()
            || self.queue.is_some()
            || self.since.is_some()
            || self.until.is_some();
        match (self.ids.is_empty(), self.all || narrows) {
            (true, false) => Err(Problem::invalid(
                "selection",
                "which dead letters? give `ids`, what they have in common such as `fingerprint`, or `all`",
            )),
            (false, true) => {
                Err(Problem::invalid("selection", "give either `ids`, or what they have in common"))
            }
            (false, false) => {
                self.ids.sort_unstable();
                self.ids.dedup();
                self.named(api).await
            }
            (true, true) => self.filtered(api).await,
        }
    }

    async fn named(self, api: &Api) -> Result<Selected, Problem> {
        if self.ids.len() > MOST_IDS {
            let detail = format!("give at most {MOST_IDS} ids, or what they have in common");
            return Err(Problem::invalid("selection.ids", detail));
        }
        let found = dead_letter::standings(api.database().read(), &self.ids).await?;
        let is_there = |id: &DeadLetterId| found.iter().any(|letter| letter.id == *id);
        if let Some(missing) = self.ids.iter().find(|id| !is_there(id)) {
            return Err(Problem::not_found(format!(
                "there is no dead letter {missing}: nothing was changed"
            ))
            .at("selection.ids"));
        }
        let open = found.iter().filter(|letter| letter.state == LetterState::Open);
        let ids: Vec<DeadLetterId> = open.map(|letter| letter.id).collect();
        let shown = match self.ids.len() {
            few if few <= SHOWN_IDS => json!({ "ids": self.ids }),
            many => json!({ "ids": many }),
        };
        Ok(Selected {
            dealt_with_before: self.ids.len() - ids.len(),
            ids,
            words: json!({ "ids": self.ids }).to_string(),
            shown: shown.to_string(),
        })
    }

    async fn filtered(self, api: &Api) -> Result<Selected, Problem> {
        let filter = Filter {
            kind: self.kind,
            reason: self
                .dead_reason
                .as_deref()
                .map(|word| reason(word, "selection.dead_reason"))
                .transpose()?,
            error_code: self.error_code,
            queue: self.queue,
            fingerprint: self.fingerprint,
            since: moment("selection.since", self.since)?,
            until: moment("selection.until", self.until)?,
            state: Some(LetterState::Open),
            before: None,
        };
        let words = serde_json::to_string(&filter)?;
        let ids = dead_letter::ids(api.database().read(), &filter).await?;
        Ok(Selected { ids, dealt_with_before: 0, shown: words.clone(), words })
    }
}

/// The reason of that name.
pub(crate) fn reason(word: &str, field: &str) -> Result<Reason, Problem> {
    use sea_orm::Iterable as _;
    Reason::try_from_value(&word.to_owned()).map_err(|_| {
        let known: Vec<String> = Reason::iter().map(|reason| reason.to_value()).collect();
        let detail = format!("there is no reason `{word}`: the reasons are {}", known.join(", "));
        Problem::bad_request("invalid_reason", detail).at(field)
    })
}
