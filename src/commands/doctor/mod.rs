//! `ackord doctor`: looks at everything that has to be right for jobs to be done, and says what is not.

mod broker;
mod check;
mod database;
mod model;
mod places;
mod queue;
mod report;
mod roles;

use ackord_entities::database::Database;

use crate::exit::Exit;
use crate::session::Session;
use check::{Check, Checks};
use report::Report;

/// Look at broker, database, model and processes, and say what is wrong and what to do about it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes nothing. Exits with 9 when something failed; a warning alone is exit 0.

Examples:
  ackord doctor
  ackord doctor --database postgres://ackord@db/jobs --broker amqp://ackord@mq/jobs --json")]
pub(crate) struct DoctorArgs {}

impl DoctorArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let mut checks = Checks::default();
        let database = database::look(session, &mut checks).await;
        let processes = match &database {
            Some(database) => of_the_queue(database, &mut checks).await,
            None => Vec::new(),
        };
        places::look(session, &mut checks).await;
        broker::look(session, database.as_ref(), &mut checks).await;
        model::look(session, &mut checks).await;
        if let Some(database) = database {
            database.close().await;
        }
        let report = Report::new(checks, processes);
        session.terminal.answer(&report, || report.text())?;
        Ok(if report.healthy { Exit::Success } else { Exit::Findings })
    }
}

/// What the tables say. A database that goes away meanwhile is a finding, too.
async fn of_the_queue(database: &Database, checks: &mut Checks) -> Vec<report::Process> {
    let looked = async {
        let now = database.clock().now(database.read()).await?;
        let processes = roles::look(database, now, checks).await?;
        queue::look(database, now, checks).await?;
        Ok::<_, sea_orm::DbErr>(processes)
    };
    looked.await.unwrap_or_else(|error| {
        let found = ackord_entities::error_chain(&error);
        checks.add(Check::failed("database.tables", found, "mend the database, then look again"));
        Vec::new()
    })
}

/// How a number of things reads: `1 job`, `2 jobs`.
fn count(number: i64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

fn count_processes(number: usize) -> String {
    if number == 1 { "1 process".to_owned() } else { format!("{number} processes") }
}

#[cfg(test)]
mod tests {
    use super::check::Finding;
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!((count(1, "job"), count(0, "job")), ("1 job".to_owned(), "0 jobs".to_owned()));
    }

    #[test]
    fn a_warning_is_no_failure() {
        let mut checks = Checks::default();
        checks.add(Check::warning("a.b", "odd", "nothing"));
        assert!(Report::new(checks, Vec::new()).healthy);
        let mut checks = Checks::default();
        checks.add(Check::failed("a.b", "wrong", "mend it"));
        let report = Report::new(checks, Vec::new());
        assert!(!report.healthy);
        assert!(report.text().contains("mend it"));
        assert_eq!(Check::ok("a", "b").finding(), Finding::Ok);
    }
}
