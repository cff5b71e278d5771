//! Plain text that remembers where in its source each piece stood.

use std::ops::Range;

/// A piece of the text and the piece of the source it came from.
#[derive(Clone, Debug)]
struct Run {
    text: Range<usize>,
    source: Range<usize>,
}

/// Text without markup, with its place in the source.
#[derive(Clone, Debug, Default)]
pub(super) struct MappedText {
    text: String,
    runs: Vec<Run>,
    code: Vec<Range<usize>>,
}

impl MappedText {
    /// The text of `source[span]` as it stands there.
    pub(super) fn verbatim(source: &str, span: Range<usize>) -> Self {
        let mut text = Self::default();
        text.push(&source[span.clone()], span);
        text
    }

    /// Appends `text`, which stands for `source` there. When both are equally long, each byte stands for its counterpart.
    pub(super) fn push(&mut self, text: &str, source: Range<usize>) {
        if text.is_empty() {
            return;
        }
        let start = self.text.len();
        self.text.push_str(text);
        self.runs.push(Run { text: start..self.text.len(), source });
    }

    /// Appends code set in the line: no sentence ends inside it.
    pub(super) fn push_code(&mut self, text: &str, source: Range<usize>) {
        let start = self.text.len();
        self.push(text, source);
        self.code.push(start..self.text.len());
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Where in the text code stands, in order.
    pub(super) fn code(&self) -> &[Range<usize>] {
        &self.code
    }

    /// The part of the source that `range` of the text stands for. `range` is not empty.
    pub(super) fn source_span(&self, range: &Range<usize>) -> Range<usize> {
        let first = self.run_at(range.start);
        let last = self.run_at(range.end - 1);
        let start = if first.is_exact() {
            first.source.start + (range.start - first.text.start)
        } else {
            first.source.start
        };
        let end =
            if last.is_exact() { last.source.start + (range.end - last.text.start) } else { last.source.end };
        start..end
    }

    fn run_at(&self, position: usize) -> &Run {
        let index = self.runs.partition_point(|run| run.text.end <= position);
        &self.runs[index.min(self.runs.len() - 1)]
    }
}

impl Run {
    fn is_exact(&self) -> bool {
        self.text.len() == self.source.len()
    }
}
