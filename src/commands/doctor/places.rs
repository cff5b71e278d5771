//! The databases beside the jobs' own, in which graphs are written or read, and the folder of mirrors.

use std::path::Path;

use super::check::{Check, Checks};
use crate::config::OtherDatabase;
use crate::schema::{self, SchemaState};
use crate::session::Session;

/// Looks at each that the configuration names.
pub(super) async fn look(session: &Session, checks: &mut Checks) {
    for other in session.config().other_databases() {
        checks.add(database(&other).await);
    }
    if let Some(folder) = &session.config().sync.mirror.folder {
        checks.add(mirror(folder));
    }
}

async fn database(other: &OtherDatabase) -> Check {
    let check = "sync.database";
    let named = format!("{} ({})", other.url, other.named());
    let state = async {
        let database = other.open(false).await?;
        let status = schema::status(&database).await;
        database.close().await;
        Ok::<_, anyhow::Error>(status?.state())
    };
    match state.await {
        Ok(SchemaState::Current) => Check::ok(check, format!("{named} is there and fits this program")),
        Ok(SchemaState::Missing) => {
            Check::failed(check, format!("{named} has no tables"), "`ackord schema up` makes them")
        }
        Ok(SchemaState::Older) => Check::failed(
            check,
            format!("{named} is older than this program"),
            "stop the other ackord processes on it, then run `ackord schema up`",
        ),
        Ok(SchemaState::Newer) => {
            Check::failed(check, format!("{named} is newer than this program"), "update this program")
        }
        Err(error) => {
            let cause = ackord_entities::error_chain(error.as_ref());
            Check::failed(
                check,
                format!("{named}: {cause}"),
                "mend it, or correct the configuration; its graphs are not copied until then",
            )
        }
    }
}

fn mirror(folder: &Path) -> Check {
    let check = "sync.mirror";
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Check::ok(check, format!("{} is there", folder.display())),
        Ok(_) => {
            Check::failed(check, format!("{} is no folder", folder.display()), "correct sync.mirror.folder")
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Check::ok(check, format!("{} is made by the first mirror", folder.display()))
        }
        Err(error) => Check::failed(
            check,
            format!("{}: {error}", folder.display()),
            "correct sync.mirror.folder, or the rights of its folder",
        ),
    }
}
