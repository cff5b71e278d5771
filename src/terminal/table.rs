//! Tables for people.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

/// A column: its title, and whether it holds numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    numbers: bool,
}

impl Column {
    /// A column of text.
    pub(crate) const fn text(title: &'static str) -> Self {
        Self { title, numbers: false }
    }

    /// A column of numbers, which stand right.
    pub(crate) const fn numbers(title: &'static str) -> Self {
        Self { title, numbers: true }
    }
}

/// A table without lines: as wide as the terminal, or as its rows where there is none, so that `grep` sees whole rows.
pub(crate) fn table(columns: &[Column], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let cell = |column: &Column, text: String| {
        let alignment = if column.numbers { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(alignment)
    };
    // Two blanks between columns, none before the first.
    table.set_header(columns.iter().map(|column| cell(column, column.title.to_owned())));
    for row in rows {
        table.add_row(columns.iter().zip(row).map(|(column, text)| cell(column, text)));
    }
    let arrangement = if table.is_tty() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    table.set_content_arrangement(arrangement);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_below_their_titles_without_trailing_blanks() {
        let columns = [Column::text("KIND"), Column::numbers("JOBS")];
        let text = table(&columns, vec![vec!["synthesis".to_owned(), "7".to_owned()]]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("KIND") && lines[1].contains("synthesis"), "{text}");
        assert!(lines.iter().all(|line| !line.ends_with(' ')), "{text}");
    }
}
