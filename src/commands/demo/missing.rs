//! The document that is missing at first, and comes in later.

use std::path::{Path, PathBuf};

use ackord_entities::database::Database;
use ackord_entities::ids::GraphId;
use ackord_graph::import::{Import, ImportOptions, Report};
use ackord_graph::search;

use crate::exit::Exit;
use crate::problem::Problem;

/// Topics that nobody imports by chance, each with a document about it.
const UNLIKELY: [(&str, &str); 3] = [
    (
        "Xylophone tuning on Mars",
        "# Xylophone tuning on Mars\n\nXylophone tuning on Mars is the art of keeping wooden bars in tune in thin and cold air. The air of \
         Mars carries sound more slowly than the air of the Earth, so tuners of xylophones work by touch. A xylophone that was tuned in the \
         morning is flat by noon on Mars, because its bars warm up. Tuners on Mars keep a second xylophone in the shade for comparison.\n",
    ),
    (
        "Walrus choreography",
        "# Walrus choreography\n\nWalrus choreography is the planning of dances for walruses on ice. The choreography of a walrus begins with \
         the weight of the dancer, since thin ice forgives no leap. A walrus learns its choreography in about three winters.\n",
    ),
    (
        "Quokka numismatics",
        "# Quokka numismatics\n\nQuokka numismatics is the study of coins that show a quokka. The first coin of quokka numismatics was struck \
         on an island without a bank. Collectors of quokka numismatics value coins on which the quokka smiles.\n",
    ),
];

/// What is asked for although nothing tells of it, yet.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub(super) topic: &'static str,
    text: &'static str,
    folder: PathBuf,
    graph: &'static str,
}

impl Missing {
    /// A topic for which the graph holds no facts, so that its text really fails. The document of an earlier run is forgotten for it.
    ///
    /// # Errors
    /// The folder beside `data` cannot be written; whatever the database answers.
    pub(super) async fn find(
        database: &Database,
        graph: (GraphId, &'static str),
        data: &Path,
    ) -> anyhow::Result<Self> {
        let folder = data.parent().unwrap_or(Path::new("")).join("demo-missing");
        let emptied = match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => std::fs::create_dir_all(&folder),
        };
        emptied.map_err(|error| not_written(&folder, &error))?;
        let options = ImportOptions { graph: graph.1.to_owned(), prune: true, ..ImportOptions::default() };
        Import::new(database.clone(), options).run(std::slice::from_ref(&folder)).await?;
        let mut found = UNLIKELY[0];
        for one in UNLIKELY {
            if search::facts(database.read(), graph.0, one.0, 1).await?.is_empty() {
                found = one;
                break;
            }
        }
        Ok(Self { topic: found.0, text: found.1, folder, graph: graph.1 })
    }

    /// Imports the document.
    ///
    /// # Errors
    /// It cannot be written, or the database fails.
    pub(super) async fn import(&self, database: &Database) -> anyhow::Result<Report> {
        let file = self.folder.join("missing.md");
        std::fs::write(&file, self.text).map_err(|error| not_written(&self.folder, &error))?;
        let options = ImportOptions { graph: self.graph.to_owned(), ..ImportOptions::default() };
        Ok(Import::new(database.clone(), options).run(&[file]).await?)
    }
}

fn not_written(folder: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Exit::Failure, format!("{} cannot be written: {error}", folder.display()))
        .remedy("name another place with --data")
}
