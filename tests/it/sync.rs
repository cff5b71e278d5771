//! Copying graphs with real processes: from the command line, over the API, to databases of their own, to a folder.

use std::time::Duration;

use ackord_entities::database::{Database, DatabaseOptions};
use ackord_entities::testing::TestDatabase;
use ackord_test_servers::eventually;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};

use crate::program::{Folder, Ran, Running};

const PATIENCE: Duration = Duration::from_secs(60);
const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews the Lease of its job every ten \
                      seconds. The Sweeper puts back the job of a worker whose Lease has expired.\n\n# The outbox\n\nThe Outbox is a table of \
                      messages that wait for the broker. The Relay publishes the messages of the Outbox and deletes what the broker has \
                      confirmed. The Sweeper writes to the Outbox.\n";
const PARROTS: &str =
    "# Parrots\n\nA Parrot repeats what the Sweeper says. The Parrot of a sailor is older than its ship.\n";

/// A folder for processes, and the database that they work on.
struct Place {
    folder: Folder,
    database: TestDatabase,
}

impl Place {
    async fn open(backend: DbBackend) -> Option<Self> {
        Some(Self { folder: Folder::empty(), database: TestDatabase::open(backend).await? })
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.folder.ackord(&[arguments, &["--database", self.database.url(), "--json"]].concat())
    }

    #[track_caller]
    fn ackord(&self, arguments: &[&str]) -> Value {
        self.run(arguments).expect(0).json()
    }

    fn up(&self, arguments: &[&str]) -> Running {
        self.folder.start(&[&["up", "--database", self.database.url()], arguments].concat())
    }

    fn import(&self, name: &str, text: &str) {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        self.ackord(&["import", file.to_str().unwrap()]);
    }

    /// Cycles until the condition holds. On Postgres a transaction of somebody else may hold a cycle back, which then ends without it.
    async fn copy_until<T>(&self, what: &str, holds: impl Fn(&Ran) -> Option<T>) -> T {
        eventually(what, PATIENCE, async || {
            let ran = self.run(&["sync", "run", "--wait", "--timeout", "60s"]);
            holds(&ran)
        })
        .await
    }

    /// Cycles until these tables have as many rows on both sides.
    async fn copied(&self, tables: &[(&str, &str)]) {
        eventually("both sides are equal", PATIENCE, async || {
            self.run(&["sync", "run", "--wait", "--timeout", "60s"]);
            for (written, read) in tables {
                let written = self.count(written).await;
                if written == 0 || self.count(read).await != written {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    async fn count(&self, what: &str) -> i64 {
        let fresh = self.database.reopen().await;
        let number = count(&fresh, what).await;
        fresh.close().await;
        number
    }
}

async fn count(database: &Database, what: &str) -> i64 {
    let statement = Statement::from_string(database.backend(), format!("SELECT count(*) AS n FROM {what}"));
    let row = database.read().query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "n").unwrap()
}

/// The read side refuses every fact about parrots.
async fn refuse_parrots(database: &Database) {
    let sql = match database.backend() {
        DbBackend::Postgres => {
            "ALTER TABLE facts ADD CONSTRAINT no_parrots CHECK (content NOT LIKE '%Parrot%') NOT VALID"
        }
        _ => {
            "CREATE TRIGGER no_parrots BEFORE INSERT ON facts WHEN NEW.content LIKE '%Parrot%' \
             BEGIN SELECT RAISE(ABORT, 'no_parrots'); END"
        }
    };
    database.write().execute_unprepared(sql).await.unwrap();
}

async fn allow_parrots(database: &Database) {
    let sql = match database.backend() {
        DbBackend::Postgres => "ALTER TABLE facts DROP CONSTRAINT no_parrots",
        _ => "DROP TRIGGER no_parrots",
    };
    database.write().execute_unprepared(sql).await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_copied_on_demand_and_its_status_tells_what_was_done(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(place) = Place::open(backend).await else { return };
    place.import("leases.md", LEASES);
    let never = place.ackord(&["sync", "status"]);
    assert_eq!(
        (&never["graphs"][0]["graph"], &never["graphs"][0]["synced_at"]),
        (&json!("default"), &Value::Null)
    );
    assert_eq!(place.count("facts").await, 0);

    // Nobody works yet: the second one finds the first one waiting.
    let first = place.ackord(&["sync", "run"]);
    let again = place.ackord(&["sync", "run", "--all"]);
    assert_eq!(first["cycles"][0]["waiting_already"], false);
    assert_eq!(again["cycles"][0]["waiting_already"], true);
    assert_eq!(again["cycles"][0]["job"], first["cycles"][0]["job"]);
    let waiting = place.ackord(&["sync", "status", "default"]);
    assert_eq!(waiting["jobs"][0]["id"], first["cycles"][0]["job"]);

    let up = place.up(&[]);
    let done = place.ackord(&["sync", "run", "--wait", "--timeout", "60s"]);
    assert_eq!(done["cycles"][0]["graph"], "default");
    place.copied(&[("write_facts", "facts"), ("write_nodes", "nodes"), ("write_edges", "edges")]).await;
    let idle = place
        .copy_until("a cycle finds nothing", |ran| {
            let json = ran.json();
            (json["cycles"][0]["ended"]["outcome"] == "idle").then_some(json)
        })
        .await;
    assert_eq!(idle["cycles"][0]["ended"]["moved"], 0, "{idle}");

    let status = place.ackord(&["sync", "status", "default"]);
    assert_eq!((&status["provider"], &status["resolution"]), (&json!("default"), &json!("default")));
    assert_eq!(status["newest"]["outcome"], "idle", "{status}");
    assert_eq!(status["held"], json!({ "deferred": 0, "pending": 0, "abandoned": 0 }));
    assert_eq!(status["jobs"], json!([]));
    assert!(status["synced_at"].is_string());
    let busy = &status["busy"];
    assert!(busy["tables"]["facts"]["moved"].as_i64().unwrap() > 0, "{status}");
    let told = place
        .folder
        .ackord(&["sync", "status", "default", "--database", place.database.url()])
        .expect(0)
        .stdout;
    assert!(told.contains("complete") && told.contains("facts"), "{told}");
    let all = place.folder.ackord(&["sync", "status", "--database", place.database.url()]).expect(0).stdout;
    assert!(all.contains("default") && all.contains("idle"), "{all}");

    // Everything again: what somebody has removed from the read side is there once more.
    let fresh = place.database.reopen().await;
    fresh.write().execute_unprepared("DELETE FROM facts").await.unwrap();
    fresh.close().await;
    place.ackord(&["sync", "run", "--wait", "--timeout", "60s", "--afresh"]);
    place.copied(&[("write_facts", "facts")]).await;
    let (code, log) = up.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_refused_are_listed_requeued_and_given_up(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(place) = Place::open(backend).await else { return };
    let up = place.up(&[]);
    refuse_parrots(place.database.database()).await;
    place.import("leases.md", LEASES);
    place.import("parrots.md", PARROTS);
    let partial =
        place.copy_until("a cycle meets the parrots", |ran| (ran.code == Some(6)).then(|| ran.json())).await;
    let ended = &partial["cycles"][0]["ended"];
    assert_eq!(
        (&ended["outcome"], &ended["tables"]["facts"]["failed"]),
        (&json!("partial"), &json!(2)),
        "{partial}"
    );
    assert_eq!(ended["held"]["pending"], 2, "{partial}");
    assert!(ended["held"]["deferred"].as_i64().unwrap() > 0, "what speaks of them waits: {partial}");
    assert_eq!(place.count("facts").await, place.count("write_facts").await - 2, "the others are there");

    let refused = ["sync", "failures", "list", "--state", "pending", "--limit", "1"];
    let page = place.ackord(&refused);
    let row = &page["failures"][0];
    assert_eq!(
        (&row["graph"], &row["table"], &row["tries"]),
        (&json!("default"), &json!("facts"), &json!(1))
    );
    assert!(row["error"].as_str().unwrap().contains("no_parrots"), "{row}");
    let after = page["next_after"].as_str().unwrap();
    let next = place.ackord(&[&refused[..], &["--after", after]].concat());
    assert_eq!((next["failures"].as_array().unwrap().len(), &next["next_after"]), (1, &Value::Null));
    assert_ne!(next["failures"][0]["key"], row["key"]);
    let other = place.ackord(&["sync", "failures", "list", "--table", "sources"]);
    assert_eq!(other["failures"], json!([]));
    let waiting = place.ackord(&["sync", "failures", "list", "--graph", "default", "--state", "deferred"]);
    assert!(waiting["failures"][0]["waits_for"].as_str().unwrap().starts_with("facts:"), "{waiting}");

    let key = row["key"].as_str().unwrap();
    let one = ["sync", "failures", "requeue", "default", "--table", "facts", "--key"];
    let none = place.run(&[&one[..], &["nothing"]].concat()).expect(3).error();
    assert!(none["remedy"].as_str().unwrap().contains("sync failures list"), "{none}");
    place.run(&["sync", "failures", "requeue", "default"]).expect(2);
    let refused = place.run(&["sync", "failures", "discard", "default", "--all"]).expect(4).error();
    assert!(refused["remedy"].as_str().unwrap().contains("--yes"), "{refused}");

    allow_parrots(place.database.database()).await;
    let requeued = place.ackord(&[&one[..], &[key, "--reason", "parrots are welcome"]].concat());
    assert_eq!(requeued, json!({ "graph": "default", "rows": 1, "changed": true }));
    place.ackord(&["sync", "failures", "requeue", "default", "--all"]);
    place
        .copy_until("everything is copied", |ran| {
            let json = ran.json();
            (json["cycles"][0]["ended"]["held"] == json!({ "deferred": 0, "pending": 0, "abandoned": 0 }))
                .then_some(())
        })
        .await;
    let tables = [
        ("write_facts", "facts"),
        ("write_node_facts", "node_facts"),
        ("write_fact_sources", "fact_sources"),
    ];
    place.copied(&tables).await;
    assert_eq!(
        place
            .count(
                "audit WHERE verb = 'requeue' AND subject_type = 'graph' AND reason = 'parrots are welcome'"
            )
            .await,
        1
    );

    // A row that is given up stays away, and is forgotten.
    refuse_parrots(place.database.database()).await;
    place.import("parrots.md", &PARROTS.replace("older", "younger"));
    place.copy_until("the new parrot is refused", |ran| (ran.code == Some(6)).then_some(())).await;
    let gone = place.ackord(&["sync", "failures", "discard", "default", "--all", "--yes"]);
    assert_eq!((&gone["rows"], &gone["changed"]), (&json!(1), &json!(true)));
    assert_eq!(place.ackord(&["sync", "failures", "list", "--state", "pending"])["failures"], json!([]));
    let (code, log) = up.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn what_is_not_there_is_named_with_what_there_is() {
    let folder = Folder::with_schema();
    let none = folder.ackord(&["sync", "run", "--json"]).expect(3).error();
    assert!(none["remedy"].as_str().unwrap().contains("ackord import"), "{none}");
    std::fs::write(folder.path().join("leases.md"), LEASES).unwrap();
    folder.ackord(&["import", "leases.md"]).expect(0);
    for verb in [
        &["run", "nowhere"][..],
        &["status", "nowhere"],
        &["provider", "nowhere"],
        &["failures", "list", "--graph", "nowhere"],
    ] {
        let told = folder.ackord(&[&["sync"], verb, &["--json"]].concat()).expect(3).error();
        assert!(told["message"].as_str().unwrap().contains("`nowhere`"), "{told}");
        assert!(told["remedy"].as_str().unwrap().contains("default"), "{told}");
    }
    let unknown = folder.ackord(&["sync", "provider", "default", "elastic", "--json"]).expect(3).error();
    assert!(unknown["message"].as_str().unwrap().contains("`elastic`; it has default"), "{unknown}");
    let mirror = folder.ackord(&["sync", "provider", "default", "mirror", "--json"]).expect(3).error();
    assert!(mirror["remedy"].as_str().unwrap().contains("ACKORD_SYNC_MIRROR_FOLDER"), "{mirror}");
    folder.ackord(&["sync", "run", "default", "--all"]).expect(2);
    folder.ackord(&["sync", "run", "--wait", "--timeout", "200ms"]).expect(7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_mirrored_into_a_folder_and_back_to_tables() {
    let folder = Folder::empty();
    let environment = [("ACKORD_SYNC_MIRROR_FOLDER", "mirror")];
    let up = folder.up_with(&[], &environment);
    std::fs::write(folder.path().join("leases.md"), LEASES).unwrap();
    folder.ackord(&["import", "leases.md"]).expect(0);
    folder.ackord(&["synthesis", "create", "Leases", "--wait", "--timeout", "60s"]).expect(0);
    let ackord = |arguments: &[&str], code: i32| {
        let mut command = folder.command(&[arguments, &["--json"]].concat());
        let ran = command.envs(environment).output().unwrap();
        assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        serde_json::from_slice::<Value>(&ran.stdout).unwrap_or_default()
    };
    let named = ackord(&["sync", "provider", "default", "mirror", "--reason", "a copy for everybody"], 0);
    assert_eq!((&named["changed"], &named["provider"]), (&json!(true), &json!("mirror")));
    assert_eq!(ackord(&["sync", "provider", "default", "mirror"], 0)["changed"], false);
    let done = ackord(&["sync", "run", "--wait", "--timeout", "60s"], 0);
    assert_eq!(done["cycles"][0]["ended"]["outcome"], "complete", "{done}");
    let home = folder.path().join("mirror/default");
    let facts = std::fs::read_to_string(home.join("facts.jsonl")).unwrap();
    let database = folder.database().await;
    assert_eq!(i64::try_from(facts.lines().count()).unwrap(), count(&database, "write_facts").await);
    assert_eq!(count(&database, "facts").await, 0, "the tables are another provider's");
    let texts: Vec<_> =
        std::fs::read_dir(home.join("syntheses")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(
        texts.iter().any(|path| std::fs::read_to_string(path).unwrap().starts_with("# Leases")),
        "{texts:?}"
    );
    let status = ackord(&["sync", "status", "default"], 0);
    assert_eq!((&status["provider"], &status["resolution"]), (&json!("mirror"), &json!("composition")));
    assert_eq!(ackord(&["sync", "run", "--wait"], 0)["cycles"][0]["ended"]["outcome"], "idle");
    // Whoever has no mirror is told that this one cannot be meant.
    let told = folder.ackord(&["sync", "status"]).expect(0).stdout;
    assert!(told.contains("mirror (not in this program)"), "{told}");

    assert_eq!(ackord(&["sync", "provider", "default", "--default"], 0)["provider"], "default");
    ackord(&["sync", "run", "--wait", "--timeout", "60s"], 0);
    assert_eq!(count(&database, "facts").await, count(&database, "write_facts").await);
    let audited = "audit WHERE verb = 'change' AND subject_type = 'graph' AND subject = 'default'";
    assert_eq!(count(&database, audited).await, 2);
    database.close().await;
    let (code, log) = up.stop();
    assert_eq!(code, Some(0), "{log}");
}

async fn open(folder: &Folder, name: &str) -> Database {
    let mut options = DatabaseOptions::new(format!("sqlite:{}", folder.path().join(name).display()));
    options.create = false;
    options.open().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn graphs_are_written_and_read_in_the_databases_that_the_configuration_names() {
    let folder = Folder::empty();
    let file = "[sync]\nread_database = \"sqlite:read.db\"\n\
                [graphs.research]\nwrite_database = \"sqlite:research-write.db\"\nread_database = \"sqlite:research-read.db\"\n";
    std::fs::write(folder.path().join("ackord.toml"), file).unwrap();
    let settings = folder.ackord(&["config", "--json"]).expect(0).json();
    let keys: Vec<&str> =
        settings.as_array().unwrap().iter().map(|setting| setting["key"].as_str().unwrap()).collect();
    for key in [
        "sync.read_database",
        "sync.mirror.folder",
        "graphs.research.write_database",
        "graphs.research.read_database",
    ] {
        assert!(keys.contains(&key), "{keys:?}");
    }
    let made = folder.ackord(&["schema", "up", "--json"]).expect(0).json();
    let others = made["others"].as_array().unwrap();
    assert_eq!(others.len(), 3, "{made}");
    assert!(
        others
            .iter()
            .all(|other| other["state"] == "current" && !other["changed"].as_array().unwrap().is_empty()),
        "{made}"
    );
    let status = folder.ackord(&["schema", "status", "--json"]).expect(0).json();
    assert_eq!(status["others"][0]["keys"], json!(["sync.read_database"]), "{status}");

    std::fs::write(folder.path().join("leases.md"), LEASES).unwrap();
    std::fs::write(folder.path().join("parrots.md"), PARROTS).unwrap();
    folder.ackord(&["import", "leases.md"]).expect(0);
    folder.ackord(&["import", "parrots.md", "--graph", "research"]).expect(0);
    let up = folder.up_with(&["--api", "127.0.0.1:0"], &[]);
    let doctor = folder.ackord(&["doctor", "--json"]).expect(0).json();
    let places =
        doctor["checks"].as_array().unwrap().iter().filter(|check| check["check"] == "sync.database");
    assert_eq!(places.filter(|check| check["result"] == "ok").count(), 3, "{doctor}");
    let done =
        folder.ackord(&["sync", "run", "--all", "--wait", "--timeout", "60s", "--json"]).expect(0).json();
    assert!(
        done["cycles"].as_array().unwrap().iter().all(|cycle| cycle["ended"]["outcome"] == "complete"),
        "{done}"
    );
    let jobs = folder.database().await;
    for (name, table, sentences) in [
        ("read.db", "facts", "%Lease%"),
        ("research-write.db", "write_facts", "%Parrot%"),
        ("research-read.db", "facts", "%Parrot%"),
    ] {
        let database = open(&folder, name).await;
        assert!(count(&database, &format!("{table} WHERE content LIKE '{sentences}'")).await > 0, "{name}");
        database.close().await;
    }
    assert_eq!(count(&jobs, "facts").await, 0, "graphs are read elsewhere");
    assert_eq!(
        count(&jobs, "write_facts WHERE content LIKE '%Parrot%'").await,
        0,
        "and this one is written elsewhere"
    );
    jobs.close().await;

    let url = format!(
        "http://{}/api/v1/graphs/research/imports?uri=upload:x.md",
        up.ready["api"].as_str().unwrap()
    );
    let refused = ureq::post(&url)
        .config()
        .http_status_as_error(false)
        .build()
        .header("content-type", "text/markdown")
        .send(PARROTS)
        .unwrap();
    assert_eq!(refused.status(), 409);
    let (code, log) = up.stop();
    assert_eq!(code, Some(0), "{log}");

    // A database that is not there is told by its key, and keeps nobody from working.
    let elsewhere = [("ACKORD_SYNC_READ_DATABASE", "postgres://nobody:s3cret@127.0.0.1:1/none")];
    let up = folder.up_with(&[], &elsewhere);
    let mut doctor = folder.command(&["doctor", "--json"]);
    let found = doctor.envs(elsewhere).output().unwrap();
    let text = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found.status.code(), Some(9), "{text}");
    assert!(text.contains("sync.read_database") && !text.contains("s3cret"), "{text}");
    let (code, log) = up.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("away") && !log.contains("s3cret"), "{log}");
}

/// The API of a process.
struct Api {
    base: String,
    agent: ureq::Agent,
}

impl Api {
    fn of(running: &Running) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        Self {
            base: format!("http://{}/api/v1", running.ready["api"].as_str().unwrap()),
            agent: agent.build().into(),
        }
    }

    fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let request =
            self.agent.get(format!("{}{path}", self.base)).header("authorization", format!("Bearer {token}"));
        let mut response = request.call().unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let request =
            self.agent.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {token}"));
        let mut response = request.send(body.to_string()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_has_graphs_copied_and_shows_operators_what_was_refused() {
    let place = Place::open(DbBackend::Sqlite).await.unwrap();
    let token = |role: &str| {
        let made = place.ackord(&["tokens", "create", role, "--role", role]);
        made["token"].as_str().unwrap().to_owned()
    };
    let (viewer, publisher, operator) = (token("viewer"), token("publisher"), token("operator"));
    let up = place.up(&["--api", "127.0.0.1:0"]);
    let api = Api::of(&up);
    refuse_parrots(place.database.database()).await;
    place.import("parrots.md", PARROTS);
    let sync = "/graphs/default/sync";
    assert_eq!(api.get(sync, &viewer).1["synced_at"], Value::Null);
    assert_eq!(api.post(sync, &viewer, &json!({})).0, 403);
    assert_eq!(api.post("/graphs/nowhere/sync", &publisher, &json!({})).0, 404);
    assert_eq!(api.post(sync, &publisher, &json!({ "again": true })).0, 422);
    let (status, published) = api.post(sync, &publisher, &json!({ "afresh": true }));
    assert_eq!(
        (status, &published["graph"], &published["duplicate"]),
        (202, &json!("default"), &json!(false))
    );
    let story = eventually("the graph is copied", PATIENCE, async || {
        let (_, story) = api.get(sync, &viewer);
        (story["held"]["pending"] == 2 && story["jobs"] == json!([])).then_some(story)
    })
    .await;
    assert_eq!(story["newest"]["outcome"], "partial", "{story}");
    assert_eq!(story["busy"]["tables"]["facts"]["failed"], 2, "{story}");
    assert_eq!(api.get(&format!("{sync}?cycles=1"), &viewer).1["cycles"].as_array().unwrap().len(), 1);
    assert_eq!(api.get(&format!("{sync}?cycles=0"), &viewer).0, 400);
    let job = format!("/jobs/{}", published["job_id"].as_str().unwrap());
    assert_eq!(api.get(&job, &viewer).1["job"]["kind"], "sync-cycle");

    assert_eq!(api.get("/sync/failures", &publisher).0, 403);
    let (_, page) = api.get("/sync/failures?state=pending&limit=1", &operator);
    let row = page["items"][0].clone();
    assert!(row["error"].as_str().unwrap().contains("no_parrots"), "{row}");
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, next) = api.get(&format!("/sync/failures?state=pending&limit=1&cursor={cursor}"), &operator);
    assert_eq!((next["items"].as_array().unwrap().len(), &next["next_cursor"]), (1, &Value::Null));
    assert_ne!(next["items"][0]["key"], row["key"]);
    assert_eq!(api.get(&format!("/sync/failures?limit=1&cursor={cursor}"), &operator).0, 400);
    assert_eq!(api.get("/sync/failures?graph=nowhere", &operator).0, 404);

    allow_parrots(place.database.database()).await;
    let one =
        json!({ "graph": "default", "table": "facts", "key": row["key"], "reason": "parrots are welcome" });
    assert_eq!(api.post("/sync/failures/requeue", &publisher, &one).0, 403);
    assert_eq!(api.post("/sync/failures/requeue", &operator, &one).1["rows"], 1);
    let wrong = json!({ "graph": "default", "table": "facts" });
    assert_eq!(api.post("/sync/failures/requeue", &operator, &wrong).1["field"], "key");
    let both = json!({ "graph": "default", "table": "facts", "key": "x", "all": true });
    assert_eq!(api.post("/sync/failures/discard", &operator, &both).0, 422);
    let other = json!({ "graph": "default", "table": "facts", "key": next["items"][0]["key"] });
    assert_eq!(api.post("/sync/failures/discard", &operator, &other).1["changed"], true);
    assert_eq!(api.post("/sync/failures/discard", &operator, &other).0, 404);
    api.post(sync, &publisher, &json!({}));
    eventually("the requeued fact is copied", PATIENCE, async || {
        (api.get(sync, &viewer).1["held"]["pending"] == 0 && place.count("facts").await > 0).then_some(())
    })
    .await;
    assert_eq!(
        place.count("facts").await,
        place.count("write_facts").await - 1,
        "the discarded one is not there"
    );
    assert_eq!(place.count("audit WHERE actor = 'operator' AND subject_type = 'graph'").await, 2);
    let (code, log) = up.stop();
    assert_eq!(code, Some(0), "{log}");
}
