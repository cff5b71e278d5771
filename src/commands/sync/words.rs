//! Cycles and rows in words and tables.

use std::collections::BTreeMap;

use ackord_producer::story::{HeldRows, OutcomeView, TableView};

use crate::terminal::{Column, bad, good, table, waiting};

/// How a cycle ended, in its colour.
pub(super) fn outcome(outcome: OutcomeView) -> String {
    match outcome {
        OutcomeView::Idle => "idle".to_owned(),
        OutcomeView::Complete => good("complete"),
        OutcomeView::Continued => waiting("continued"),
        OutcomeView::Partial => bad("partial"),
        OutcomeView::Failed => bad("failed"),
    }
}

/// What was done, table by table.
pub(super) fn tables(tables: &BTreeMap<String, TableView>) -> String {
    let columns = [
        Column::text("TABLE"),
        Column::numbers("MOVED"),
        Column::numbers("DELETED"),
        Column::numbers("DEFERRED"),
        Column::numbers("FAILED"),
        Column::numbers("SECONDS"),
    ];
    let row = |(name, done): (&String, &TableView)| {
        vec![
            name.clone(),
            done.moved.to_string(),
            done.deleted.to_string(),
            done.deferred.to_string(),
            done.failed.to_string(),
            format!("{:.3}", done.seconds),
        ]
    };
    table(&columns, tables.iter().map(row).collect())
}

/// The rows that are not on the read side, in a few words; nothing where there are none.
pub(super) fn held(held: HeldRows) -> Option<String> {
    let parts: Vec<String> = [
        (held.deferred, "for another row", "waits", "wait"),
        (held.pending, "to be tried again", "is refused,", "are refused,"),
        (held.abandoned, "until they are requeued", "is abandoned", "are abandoned"),
    ]
    .into_iter()
    .filter(|(number, ..)| *number > 0)
    .map(|(number, what, one, many)| format!("{number} {} {what}", if number == 1 { one } else { many }))
    .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// So many rows, in words.
pub(super) fn rows(number: u64) -> String {
    if number == 1 { "1 row".to_owned() } else { format!("{number} rows") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_rows_are_told_by_what_becomes_of_them() {
        assert_eq!(held(HeldRows::default()), None);
        let some = HeldRows { deferred: 1, pending: 0, abandoned: 2 };
        assert_eq!(
            held(some).as_deref(),
            Some("1 waits for another row; 2 are abandoned until they are requeued")
        );
    }
}
