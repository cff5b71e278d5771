//! Lists come in pages, newest first: the same two flags and the same way on for each of them.

use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;

use clap::Args;

use crate::terminal::dim;

/// Which page.
#[derive(Clone, Debug, Args)]
pub(crate) struct PageArgs<Id>
where
    Id: FromStr + Clone + Send + Sync + 'static,
    Id::Err: Error + Send + Sync + 'static,
{
    /// Only those older than this one: the page after the one that ended with it
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<Id>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
}

impl<Id> PageArgs<Id>
where
    Id: FromStr + Clone + Send + Sync + 'static,
    Id::Err: Error + Send + Sync + 'static,
{
    /// Rows to ask the database for: one more than are shown, so that it is known whether there are more.
    pub(crate) fn rows(&self) -> u64 {
        u64::from(self.limit) + 1
    }

    /// Cuts what the database gave to a page. Answers what to give as `--before` for the next one, if there is one.
    pub(crate) fn cut<T>(&self, rows: &mut Vec<T>, id: impl Fn(&T) -> Id) -> Option<Id> {
        let limit = usize::from(self.limit);
        let more = rows.len() > limit;
        rows.truncate(limit);
        rows.last().filter(|_| more).map(id)
    }
}

/// What stands below a page that is not the last one.
pub(crate) fn older(verb: &str, next_before: Option<impl Display>) -> String {
    next_before.map_or_else(String::new, |id| dim(format!("older ones: ackord {verb} --before {id}\n")))
}
