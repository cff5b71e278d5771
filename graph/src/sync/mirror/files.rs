//! Files that are there as a whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::sync::provider::SyncError;

/// What the name of a file ends with that is being written.
const PART: &str = ".part";

/// A file that is being written beside its place.
pub(super) struct Part {
    file: File,
    beside: PathBuf,
    place: PathBuf,
}

impl Part {
    /// Begins a file that is going to be at `place`.
    pub(super) async fn begin(place: &Path) -> Result<Self, SyncError> {
        let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else {
            return Err(SyncError::Other(format!("{} names no file", place.display())));
        };
        make_folder(folder).await?;
        // A name of its own: another worker may be writing the same file, see the module.
        let beside = folder.join(format!(".{}.{}{PART}", name.to_string_lossy(), Uuid::now_v7().simple()));
        let file = File::create_new(&beside).await.map_err(|error| failed(&beside, &error))?;
        Ok(Self { file, beside, place: place.to_owned() })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        self.file.write_all(bytes).await.map_err(|error| failed(&self.beside, &error))
    }

    /// Makes it durable, and then the file at its place.
    pub(super) async fn finish(mut self) -> Result<(), SyncError> {
        let durable = async {
            self.file.flush().await?;
            self.file.sync_all().await?;
            fs::rename(&self.beside, &self.place).await?;
            match self.place.parent() {
                Some(folder) => sync_folder(folder).await,
                None => Ok(()),
            }
        };
        durable.await.map_err(|error| failed(&self.place, &error))
    }
}

/// Writes a small file, unless it says the same already. Answers whether it did not.
pub(super) async fn replace(place: &Path, text: &str) -> Result<bool, SyncError> {
    match fs::read(place).await {
        Ok(found) if found == text.as_bytes() => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(place, &error)),
    }
    let mut part = Part::begin(place).await?;
    part.write(text.as_bytes()).await?;
    part.finish().await?;
    Ok(true)
}

/// Removes a file. One that is not there is none the less gone.
pub(super) async fn remove(place: &Path) -> Result<(), SyncError> {
    match fs::remove_file(place).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(place, &error)),
        _ => Ok(()),
    }
}

/// Makes a folder, and those above it.
pub(super) async fn make_folder(folder: &Path) -> Result<(), SyncError> {
    fs::create_dir_all(folder).await.map_err(|error| failed(folder, &error))
}

/// Makes what was removed from a folder or moved in it durable.
pub(super) async fn settle(folder: &Path) -> Result<(), SyncError> {
    sync_folder(folder).await.map_err(|error| failed(folder, &error))
}

async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

/// Whether something is there.
pub(super) async fn is_there(place: &Path) -> Result<bool, SyncError> {
    fs::try_exists(place).await.map_err(|error| failed(place, &error))
}

/// The names in a folder that is there.
pub(super) async fn names(folder: &Path) -> Result<Vec<String>, SyncError> {
    let listed = async {
        let mut entries = fs::read_dir(folder).await?;
        let mut names = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    };
    listed.await.map_err(|error| failed(folder, &error))
}

/// Removes what cycles have left that were cut off.
pub(super) async fn sweep(home: &Path) -> Result<(), SyncError> {
    for folder in [home.to_owned(), home.join(super::shelf::SYNTHESES)] {
        make_folder(&folder).await?;
        for name in names(&folder).await? {
            if name.starts_with('.') && name.ends_with(PART) {
                remove(&folder.join(name)).await?;
            }
        }
    }
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> SyncError {
    SyncError::Other(format!("{}: {error}", path.display()))
}
