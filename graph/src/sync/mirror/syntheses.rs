//! The texts: a Markdown file for each synthesis that everybody may see and that has a text.

use std::collections::HashSet;
use std::path::Path;

use ackord_entities::graph::node::Visibility;
use ackord_entities::graph::synthesis::{Column, Entity, Model};
use ackord_entities::ids::SynthesisId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{files, stopped};
use crate::sync::provider::{SyncContext, SyncError, TableCount};
use crate::synthesis::render::{Readable, markdown};
use crate::synthesis::{Stored, load};
use crate::text::slug;

/// Rows looked at in one go; their texts are read one by one.
const PAGE: u64 = 100;
/// What the name of a text ends with. Files of other names are nobody's here.
const ENDING: &str = ".md";
/// Bytes of a name: file systems take 255, some of them for the name of a file that is being written.
const LONGEST: usize = 180;

/// Writes the texts that are not there as they are, and removes those that may not be there any more. Then all of them are there, which
/// the file `whole` in their folder says.
pub(super) async fn write(context: &SyncContext, whole: &Path) -> Result<TableCount, SyncError> {
    let folder = whole.parent().unwrap_or(whole);
    files::make_folder(folder).await?;
    let mut left_over: HashSet<String> = files::names(folder).await?.into_iter().collect();
    left_over.retain(|name| name.ends_with(ENDING));
    let mut count = TableCount::default();
    let mut after: Option<SynthesisId> = None;
    loop {
        let rows = page(context, after).await?;
        after = rows.last().map(|row| row.id).or(after);
        let is_last = (rows.len() as u64) < PAGE;
        for row in rows {
            // What it says now counts, not what its row said a moment ago.
            let Some(stored) = load(context.write.read(), row.id).await? else { continue };
            let Some(text) = text(&stored) else { continue };
            let name = name(&stored.synthesis);
            if files::replace(&folder.join(&name), &text).await? {
                count.moved += 1;
            }
            left_over.remove(&name);
            stopped(context)?;
        }
        if is_last {
            break;
        }
    }
    for name in &left_over {
        files::remove(&folder.join(name)).await?;
        count.deleted += 1;
    }
    files::settle(folder).await?;
    files::replace(whole, "").await?;
    Ok(count)
}

async fn page(context: &SyncContext, after: Option<SynthesisId>) -> Result<Vec<Model>, SyncError> {
    let mut select = Entity::find()
        .filter(Column::GraphId.eq(context.graph))
        .filter(Column::Visibility.eq(Visibility::Public))
        .filter(Column::CurrentVersion.is_not_null());
    if let Some(after) = after {
        select = select.filter(Column::Id.gt(after));
    }
    Ok(select.order_by_asc(Column::Id).limit(PAGE).all(context.write.read()).await?)
}

/// The text as a document that stands alone; `None` if there is none that everybody may see.
fn text(stored: &Stored) -> Option<String> {
    let row = &stored.synthesis;
    let text = stored.text.as_ref().filter(|_| row.visibility == Visibility::Public)?;
    let about = format!(
        "Version {} of {}, {} writer, {} sentences from {} facts in {} sources",
        text.version.version,
        text.version.created_at.format("%Y-%m-%d %H:%M:%S UTC"),
        text.version.producer,
        text.document.stats.sentences_count,
        text.document.stats.facts_linked,
        text.document.sources.len(),
    );
    Some(markdown(&Readable {
        title: &row.topic,
        about: &about,
        markdown: &text.version.markdown,
        document: &text.document,
        quotes: &text.quotes,
    }))
}

/// The name of its file: its key, unless a file cannot be called so.
fn name(row: &Model) -> String {
    let key = &row.node_key;
    if key.len() <= LONGEST && !key.is_empty() && slug(key) == *key {
        return format!("{key}{ENDING}");
    }
    format!("{}{ENDING}", row.id)
}
