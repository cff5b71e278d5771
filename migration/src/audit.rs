//! The CHECK on what the audit may be about, which grows with the schema.

use sea_orm_migration::SchemaManager;
use sea_orm_migration::sea_orm::{DbBackend, DbErr};

use crate::dialect::execute_all;

/// What the audit may be about. SQLite cannot change a CHECK, so it gets the table anew; deeds about what the older schema does
/// not know go with it.
pub(crate) async fn audit_of(manager: &SchemaManager<'_>, subjects: &[&str]) -> Result<(), DbErr> {
    let known = subjects.iter().map(|subject| format!("'{subject}'")).collect::<Vec<_>>().join(", ");
    let check = format!("CHECK (subject_type IN ({known}))");
    let statements = if manager.get_database_backend() == DbBackend::Postgres {
        vec![
            "ALTER TABLE audit DROP CONSTRAINT audit_subject_type_check".to_owned(),
            format!("DELETE FROM audit WHERE subject_type NOT IN ({known})"),
            format!("ALTER TABLE audit ADD CONSTRAINT audit_subject_type_check {check}"),
        ]
    } else {
        vec![
            format!(
                "CREATE TABLE audit_anew (
                    id $uuid NOT NULL PRIMARY KEY,
                    at $time NOT NULL,
                    actor text NOT NULL,
                    verb text NOT NULL,
                    subject_type text NOT NULL {check},
                    subject text NOT NULL,
                    reason text,
                    details text
                ) $strict"
            ),
            format!(
                "INSERT INTO audit_anew SELECT id, at, actor, verb, subject_type, subject, reason, details FROM audit WHERE subject_type IN ({known})"
            ),
            "DROP TABLE audit".to_owned(),
            "ALTER TABLE audit_anew RENAME TO audit".to_owned(),
            "CREATE INDEX audit_by_subject ON audit (subject, id)".to_owned(),
        ]
    };
    execute_all(manager, &statements.iter().map(String::as_str).collect::<Vec<_>>()).await
}
