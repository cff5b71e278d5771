//! The API, asked by a stranger who has read its OpenAPI document and nothing else: [schemathesis](https://schemathesis.readthedocs.io/)
//! makes requests that fit the document and requests that do not, follows what it is told, and holds every answer against the document.

use std::path::PathBuf;
use std::process::Command;

use ackord_entities::envelope::Message;
use ackord_entities::queue::dead_letter::{self, NewLetter, Reason};
use ackord_entities::queue::job::ErrorText;
use ackord_entities::testing::TestDatabase;
use bytes::Bytes;
use rstest::rstest;
use sea_orm::DbBackend;
use serde_json::Value;

use crate::program::{Folder, Running};

/// Which requests are made. `ACKORD_SEED` names others.
const SEED: &str = "20261122";
/// Requests of each sort for each operation.
const EXAMPLES: &str = "12";

const LEASES: &str = "# Leases\n\nA lease is an exclusive claim on a key that ends by itself. A worker renews the leases of its jobs every \
                      ten seconds. The sweeper puts back the job of an expired lease.\n\n# The outbox\n\nThe outbox is a table in which \
                      messages wait. A relay moves the messages of the outbox to the broker.\n";

/// Where the client is; in CI, and where `tests/run` has installed it, it must be there.
fn client() -> Option<PathBuf> {
    let program =
        std::env::var_os("ACKORD_TEST_SCHEMATHESIS").map(PathBuf::from).filter(|path| path.exists());
    let required = std::env::var("ACKORD_TEST_REQUIRE_SCHEMATHESIS").is_ok_and(|value| value == "1");
    assert!(program.is_some() || !required, "ACKORD_TEST_SCHEMATHESIS names no program");
    if program.is_none() {
        eprintln!("left out: ACKORD_TEST_SCHEMATHESIS names no schemathesis; tests/run installs it");
    }
    program
}

/// A folder for the processes of a test, whose database is elsewhere.
struct Place {
    folder: Folder,
    database: TestDatabase,
}

impl Place {
    async fn open(backend: DbBackend) -> Option<Self> {
        Some(Self { folder: Folder::empty(), database: TestDatabase::open(backend).await? })
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [arguments, &["--database", self.database.url()]].concat()
    }

    fn ackord(&self, arguments: &[&str], code: i32) -> Value {
        let all = [&self.arguments(arguments)[..], &["--json"]].concat();
        self.folder.ackord(&all).expect(code).json()
    }

    fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        self.folder.start_with(&self.arguments(arguments), environment)
    }

    /// A document, and texts about it: whole, in parts, and failed. Every job of them has ended.
    fn fill(&self) {
        let file = self.folder.path().join("leases.md");
        std::fs::write(&file, LEASES).unwrap();
        self.ackord(&["import", file.to_str().unwrap()], 0);
        let payload = r#"{"topic": "Leases"}"#;
        let cron =
            ["--cron", "30 2 * * *", "--zone", "Europe/Berlin", "--kind", "synthesis", "--payload", payload];
        self.ackord(&[&["schedules", "set", "nightly"], &cron[..]].concat(), 0);
        let up = self.start(&["up"], &[]);
        let wait = ["--wait", "--timeout", "60s"];
        self.ackord(&[&["synthesis", "create", "Leases"], &wait[..]].concat(), 0);
        let parts =
            ["synthesis", "super", "Leases and the outbox", "--part", "Leases", "--part", "The outbox"];
        self.ackord(&[&parts, &wait[..]].concat(), 0);
        let failed = [&["synthesis", "create", "Arctic glaciers"], &wait[..]].concat();
        self.folder.ackord(&self.arguments(&failed)).expect(6);
        let (code, log) = up.stop();
        assert_eq!(code, Some(0), "{log}");
    }

    /// Messages that were given up, one of them no JSON.
    async fn give_up(&self) {
        let database = self.database.database();
        for (number, body) in [r#"{"topic":"Leases"}"#, r#"{"topic":""}"#, "\u{0}{"].into_iter().enumerate() {
            let tx = database.begin().await.unwrap();
            let now = database.clock().now(&tx).await.unwrap();
            let letter = NewLetter {
                job_id: None,
                message: Message {
                    message_id: Some(format!("m{number}")),
                    kind: Some("synthesis".to_owned()),
                    body: Bytes::copy_from_slice(body.as_bytes()),
                    ..Message::default()
                },
                queue: Some("ackord.synthesis".to_owned()),
                reason: Reason::Permanent,
                error: ErrorText {
                    code: "unknown_graph".to_owned(),
                    operator: "no such graph in /var/lib".to_owned(),
                    public: "there is no such graph".to_owned(),
                },
                attempts: 1,
                first_failed_at: None,
            };
            assert!(dead_letter::insert(&tx, letter, now).await.unwrap());
            tx.commit().await.unwrap();
        }
    }
}

/// The client, with the settings of this test.
struct Stranger {
    client: PathBuf,
    document: String,
    seed: String,
}

impl Stranger {
    /// Asks as whoever has the token. Answers what the client tells, or what it found.
    fn asks(&self, token: &str, what: &[&str]) -> Result<String, String> {
        let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/testdata/schemathesis.toml");
        let authorization = format!("Authorization: Bearer {token}");
        let folder = tempfile::tempdir().unwrap();
        let ran = Command::new(&self.client)
            .args(["--config-file", settings, "run", &self.document, "--header", &authorization])
            .args(["--seed", &self.seed, "--max-examples", EXAMPLES, "--generation-database", "none"])
            .args(["--no-color", "--continue-on-failure"])
            .args(what)
            .current_dir(folder.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        if ran.status.success() { Ok(told) } else { Err(told) }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_stranger_is_as_the_document_says(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(client) = client() else { return };
    let Some(place) = Place::open(backend).await else { return };
    place.fill();
    place.give_up().await;
    let token = |name: &str, role: &str| {
        let made = place.ackord(&["tokens", "create", name, "--role", role], 0);
        made["token"].as_str().unwrap().to_owned()
    };
    let (admin, operator) = (token("root", "admin"), token("stranger", "operator"));
    let unlimited = [("ACKORD_API_REQUESTS_PER_SECOND", "0")];
    let serve = place.start(&["serve", "--listen", "127.0.0.1:0"], &unlimited);
    let document = format!("http://{}/api/v1/openapi.json", serve.ready["listen"].as_str().unwrap());
    let seed = std::env::var("ACKORD_SEED").unwrap_or_else(|_| SEED.to_owned());
    println!("the seed is {seed}");
    let stranger = Stranger { client, document, seed };
    // An operator may not look at tokens, an admin may.
    let asked = [(&operator, &[][..]), (&admin, &["--include-path-regex", "^/api/v1/tokens"][..])]
        .map(|(token, what)| stranger.asks(token, what));
    let (code, log) = serve.stop();
    for told in asked {
        match told {
            Ok(told) => println!("{told}"),
            Err(told) => panic!("{told}\n--- ackord serve\n{log}"),
        }
    }
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("panic") && !log.contains("ERROR"), "{log}");
    assert!(!log.contains(&operator) && !log.contains(&admin), "{log}");
}
