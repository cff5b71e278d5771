//! A database as it is after two busy weeks.

use ackord_entities::database::Database;
use ackord_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

/// `$finished` jobs in the last 14 days, and what hangs on them: one of a hundred is dead with a letter (a third of these are open), one of fifty
/// has a failed attempt, one of ten has a subject, one of twenty a foreign message id. Then what is to be done: 1,000 running
/// jobs with their leases, 200,000 pending ones, half of them in the outbox. The functions give the same rows at each filling.
const FILL: [&str; 19] = [
    "CREATE OR REPLACE FUNCTION ackord_v7(at timestamptz, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ \
     SELECT encode(substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) || set_byte(substring(decode(md5(n::text), 'hex') \
     FROM 1 FOR 10), 0, 112 + (get_byte(decode(md5(n::text), 'hex'), 0) & 15)), 'hex')::uuid $$",
    "INSERT INTO jobs (id, kind, version, state, seq, origin, attempt, max_attempts, deferrals, payload, subject, parent_id, created_at, \
     finished_at, error_code, error) SELECT ackord_v7(at, n), 'kind-' || n % 4, 1, CASE WHEN n % 100 = 0 THEN 'dead' ELSE 'succeeded' END, 1, \
     'enqueue', 1, 5, 0, '{\"note\":\"' || repeat('x', 100) || '\"}', CASE WHEN n % 10 = 0 THEN 'subject-' || n % 1000 END, \
     CASE WHEN n % 20 = 0 THEN ackord_v7(at - interval '1 second', n - n % 100) END, at, at + interval '1 second', \
     CASE WHEN n % 100 = 0 THEN 'missing' END, CASE WHEN n % 100 = 0 THEN 'it is missing' END \
     FROM (SELECT n, now() - interval '14 days' + n * (interval '14 days' / $finished) AS at FROM generate_series(1, $finished) AS n) AS s",
    "INSERT INTO attempts (job_id, attempt, seq, worker, outcome, error_code, error, public_error, started_at, ended_at) \
     SELECT id, 1, 1, 'filler', 'errored', 'missing', 'it is missing', 'something is missing', created_at, finished_at \
     FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM jobs) AS s WHERE n % 50 = 0",
    "INSERT INTO dead_letters (id, job_id, kind, seq, state, reason, error_code, error, public_error, fingerprint, message_key, queue, body, \
     headers, attempts, first_failed_at, last_failed_at, resolved_at, resolved_by) SELECT ackord_v7(finished_at, n), id, kind, 1, \
     CASE WHEN n % 3 = 0 THEN 'open' ELSE 'replayed' END, CASE WHEN n % 10 = 0 THEN 'permanent' ELSE 'attempts_exhausted' END, 'missing', \
     'row ' || n || ' is missing', 'something is missing', left(md5((n % 40)::text), 16), id || '/1', 'ackord.' || kind, payload::bytea, '{}', 1, \
     finished_at, finished_at, CASE WHEN n % 3 <> 0 THEN finished_at END, CASE WHEN n % 3 <> 0 THEN 'filler' END \
     FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM jobs WHERE state = 'dead') AS s",
    "INSERT INTO message_ids (kind, message_id, job_id, created_at) SELECT kind, 'foreign-' || id, id, created_at \
     FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM jobs) AS s WHERE n % 20 = 0",
    "INSERT INTO audit (id, at, actor, verb, subject_type, subject) SELECT ackord_v7(resolved_at, 1), resolved_at, 'filler', 'replay', \
     'dead_letter', id::text FROM dead_letters WHERE state = 'replayed'",
    "INSERT INTO idempotency_keys (scope, idempotency_key, request_hash, answer, expires_at) SELECT 'publish', n::text, md5(n::text), '{}', \
     now() + n * interval '1 second' FROM generate_series(1, 86400) AS n",
    "INSERT INTO jobs (id, kind, version, state, seq, origin, attempt, max_attempts, deferrals, payload, created_at, started_at) \
     SELECT ackord_v7(at, n), 'kind-' || n % 4, 1, 'running', 2, 'enqueue', 1, 5, 0, '{\"note\":\"' || repeat('x', 100) || '\"}', at, at \
     FROM (SELECT n, now() + n * interval '0.1 ms' AS at FROM generate_series(-1000, -1) AS n) AS s",
    "INSERT INTO leases (lease_key, owner, term, expires_at) SELECT 'run:' || id, id, 1, now() + interval '1 hour' - (CASE WHEN \
     row_number() OVER (ORDER BY id) % 10 = 0 THEN interval '2 hours' ELSE '0' END) FROM jobs WHERE state = 'running'",
    "INSERT INTO leases (lease_key, owner, term, expires_at) SELECT 'graph:' || n, NULL, n, NULL FROM generate_series(1, 100000) AS n",
    "INSERT INTO attempts (job_id, attempt, seq, worker, outcome, started_at) SELECT id, 1, 2, 'filler', 'running', started_at \
     FROM jobs WHERE state = 'running'",
    "INSERT INTO jobs (id, kind, version, state, seq, origin, attempt, max_attempts, deferrals, payload, dedup_key, created_at) \
     SELECT ackord_v7(at, n), 'kind-' || n % 4, 1, 'pending', 1, 'enqueue', 0, 5, 0, '{\"note\":\"' || repeat('x', 100) || '\"}', \
     CASE WHEN n % 4 = 0 THEN 'key-' || n END, at FROM (SELECT n, now() + n * interval '0.1 ms' AS at FROM generate_series(1, 200000) AS n) AS s",
    "INSERT INTO dedup_keys (kind, dedup_key, job_id, run_again) SELECT kind, dedup_key, id, false FROM jobs WHERE dedup_key IS NOT NULL \
     AND state = 'pending'",
    "INSERT INTO outbox (job_id, kind, seq, cause, waits_for, due_at, sends, created_at) SELECT id, kind, 1, 'publish', \
     CASE WHEN row_number() OVER (ORDER BY id) % 100 = 0 THEN 'graph:' || row_number() OVER (ORDER BY id) % 50 END, \
     now() - random() * interval '1 minute', 0, created_at FROM jobs WHERE state = 'pending' ORDER BY id LIMIT 100000",
    "INSERT INTO replay_runs (id, job_id, state, selection, selection_key, tolerance, total, step, rung, step_at, created_by, created_at, \
     ended_at) VALUES ('01900000-0000-7000-8000-000000000001', '01900000-0000-7000-8000-000000000001', 'finished', '{}', 'a', 10, 1, 5, 0, now(), \
     'filler', now() - interval '100 days', now() - interval '99 days')",
    "INSERT INTO replay_letters (run_id, letter_id, state, step, job_id) SELECT '01900000-0000-7000-8000-000000000001', id, 'replayed', \
     row_number() OVER (ORDER BY id) % 5, job_id FROM dead_letters WHERE state = 'replayed'",
    "INSERT INTO replay_runs (id, job_id, state, selection, selection_key, tolerance, total, step, rung, step_at, created_by, created_at) \
     VALUES ('01900000-0000-7000-8000-000000000002', '01900000-0000-7000-8000-000000000002', 'running', '{}', 'b', 10, 1, 0, 0, now(), 'filler', now())",
    "INSERT INTO replay_letters (run_id, letter_id, state) SELECT '01900000-0000-7000-8000-000000000002', id, 'waiting' \
     FROM dead_letters WHERE state = 'open'",
    "DROP FUNCTION ackord_v7",
];

/// Migrates the database and fills it unless it is filled already. Statistics are up to date afterwards.
pub(super) async fn fill(database: &Database) {
    let tx = database.begin_unlimited().await.unwrap();
    Migrator::up(&tx, None).await.unwrap();
    tx.commit().await.unwrap();
    let any = Statement::from_string(DbBackend::Postgres, "SELECT 1 FROM jobs LIMIT 1");
    if database.read().query_one_raw(any).await.unwrap().is_none() {
        let finished = std::env::var("ACKORD_PLANS_FINISHED").unwrap_or_else(|_| "5000000".to_owned());
        let tx = database.begin_unlimited().await.unwrap();
        for sql in FILL {
            tx.execute_unprepared(&sql.replace("$finished", &finished)).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    database.write().execute_unprepared("VACUUM (ANALYZE)").await.unwrap();
}
