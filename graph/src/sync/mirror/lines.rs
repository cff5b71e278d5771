//! The lines of the files: read in pages by key, as JSON. Nothing that is private is in them.

use std::collections::HashMap;

use ackord_entities::database::{RowSet, Sql};
use ackord_entities::graph::{fact, source};
use ackord_entities::ids::{FactId, NodeId, SourceId};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{ActiveEnum, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;

use crate::sync::provider::{SyncContext, SyncError};

/// Some lines.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    /// Whether no more follow.
    pub(super) is_last: bool,
}

impl Page {
    fn push(&mut self, line: &impl Serialize) -> Result<(), SyncError> {
        serde_json::to_writer(&mut self.bytes, line).map_err(|error| SyncError::Other(error.to_string()))?;
        self.bytes.push(b'\n');
        self.lines += 1;
        Ok(())
    }
}

/// The lines of a file, in the order of their keys.
#[async_trait]
pub(super) trait Lines: Send {
    /// The next lines: at most `limit`.
    async fn next(&mut self, context: &SyncContext, limit: u64) -> Result<Page, SyncError>;
}

/// Documents, and records of JSONL files.
#[derive(Default)]
pub(super) struct Sources {
    after: String,
}

#[derive(Serialize)]
struct SourceLine {
    id: SourceId,
    uri: String,
    title: String,
    content_type: String,
    byte_size: i64,
    content_hash: Option<String>,
    canonical_url: Option<String>,
    doi: Option<String>,
    /// For a record of a JSONL file: the file's own source.
    container_id: Option<SourceId>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[async_trait]
impl Lines for Sources {
    async fn next(&mut self, context: &SyncContext, limit: u64) -> Result<Page, SyncError> {
        let rows = source::Entity::find()
            .filter(source::Column::GraphId.eq(context.graph))
            .filter(source::Column::Uri.gt(self.after.as_str()))
            .order_by_asc(source::Column::Uri)
            .limit(limit)
            .all(context.write.read())
            .await?;
        let mut page = Page { is_last: (rows.len() as u64) < limit, ..Page::default() };
        for row in rows {
            self.after.clone_from(&row.uri);
            page.push(&SourceLine {
                id: row.id,
                uri: row.uri,
                title: row.title,
                content_type: row.content_type,
                byte_size: row.byte_size,
                content_hash: row.content_hash,
                canonical_url: row.canonical_url,
                doi: row.doi,
                container_id: row.container_id,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })?;
        }
        Ok(page)
    }
}

/// Facts that are not compared with others any more.
#[derive(Default)]
pub(super) struct Facts {
    after: Option<FactId>,
}

#[derive(Serialize)]
struct FactLine {
    id: FactId,
    content: String,
    #[serde(rename = "type")]
    fact_type: String,
    /// The keys of the nodes that it speaks of.
    nodes: Vec<String>,
    sources: Vec<Said>,
    created_at: DateTime<Utc>,
}

/// Where a fact is said.
#[derive(Serialize)]
struct Said {
    source_id: SourceId,
    line: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    heading: Option<String>,
}

#[async_trait]
impl Lines for Facts {
    async fn next(&mut self, context: &SyncContext, limit: u64) -> Result<Page, SyncError> {
        let read = context.write.read();
        let mut sql = Sql::new(context.write.backend())
            .text("SELECT id, content, fact_type, created_at FROM write_facts WHERE dedup_status = 'ready' AND graph_id = ")
            .bind(context.graph);
        if let Some(after) = self.after {
            sql = sql.text(" AND id > ").bind(after);
        }
        let sql = sql.text(" ORDER BY id LIMIT ").bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = sea_orm::ConnectionTrait::query_all_raw(read, sql.build()).await?;
        let mut facts = Vec::with_capacity(rows.len());
        for row in &rows {
            facts.push(FactLine {
                id: row.try_get("", "id")?,
                content: row.try_get("", "content")?,
                fact_type: row.try_get::<fact::FactType>("", "fact_type")?.to_value(),
                nodes: Vec::new(),
                sources: Vec::new(),
                created_at: row.try_get("", "created_at")?,
            });
        }
        self.after = facts.last().map(|fact| fact.id).or(self.after);
        let mut page = Page { is_last: (facts.len() as u64) < limit, ..Page::default() };
        if !facts.is_empty() {
            let (mut nodes, mut said) = (nodes_of(context, &facts).await?, said(context, &facts).await?);
            for mut fact in facts {
                fact.nodes = nodes.remove(&fact.id).unwrap_or_default();
                fact.sources = said.remove(&fact.id).unwrap_or_default();
                page.push(&fact)?;
            }
        }
        Ok(page)
    }
}

fn keys(facts: &[FactLine]) -> RowSet {
    RowSet::new("r").uuid("of_fact", facts.iter().map(|fact| fact.id.0))
}

/// The nodes of facts that everybody may see.
async fn nodes_of(
    context: &SyncContext,
    facts: &[FactLine],
) -> Result<HashMap<FactId, Vec<String>>, SyncError> {
    let statement = Sql::new(context.write.backend())
        .text("SELECT l.fact_id, n.key FROM ")
        .rows(keys(facts))
        .text(
            " CROSS JOIN write_node_facts AS l JOIN write_nodes AS n ON n.id = l.node_id \
             WHERE l.fact_id = r.of_fact AND n.visibility = 'public' \
             AND NOT EXISTS (SELECT 1 FROM write_node_fact_rejections AS x WHERE x.node_id = l.node_id AND x.fact_id = l.fact_id) \
             ORDER BY n.key",
        )
        .build();
    let mut found: HashMap<FactId, Vec<String>> = HashMap::new();
    for row in sea_orm::ConnectionTrait::query_all_raw(context.write.read(), statement).await? {
        found.entry(row.try_get("", "fact_id")?).or_default().push(row.try_get("", "key")?);
    }
    Ok(found)
}

async fn said(context: &SyncContext, facts: &[FactLine]) -> Result<HashMap<FactId, Vec<Said>>, SyncError> {
    let statement = Sql::new(context.write.backend())
        .text("SELECT s.fact_id, s.source_id, s.line, s.heading FROM ")
        .rows(keys(facts))
        .text(
            " CROSS JOIN write_fact_sources AS s WHERE s.fact_id = r.of_fact ORDER BY s.source_id, s.position",
        )
        .build();
    let mut found: HashMap<FactId, Vec<Said>> = HashMap::new();
    for row in sea_orm::ConnectionTrait::query_all_raw(context.write.read(), statement).await? {
        found.entry(row.try_get("", "fact_id")?).or_default().push(Said {
            source_id: row.try_get("", "source_id")?,
            line: row.try_get("", "line")?,
            heading: row.try_get("", "heading")?,
        });
    }
    Ok(found)
}

/// Nodes that everybody may see.
#[derive(Default)]
pub(super) struct Nodes {
    after: String,
}

#[derive(Serialize)]
struct NodeLine {
    id: NodeId,
    key: String,
    concept: String,
    #[serde(rename = "type")]
    node_type: String,
    definition: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[async_trait]
impl Lines for Nodes {
    async fn next(&mut self, context: &SyncContext, limit: u64) -> Result<Page, SyncError> {
        use ackord_entities::graph::node::{Column, Entity, Visibility};
        let rows = Entity::find()
            .filter(Column::GraphId.eq(context.graph))
            .filter(Column::Visibility.eq(Visibility::Public))
            .filter(Column::Key.gt(self.after.as_str()))
            .order_by_asc(Column::Key)
            .limit(limit)
            .all(context.write.read())
            .await?;
        let mut page = Page { is_last: (rows.len() as u64) < limit, ..Page::default() };
        for row in rows {
            self.after.clone_from(&row.key);
            page.push(&NodeLine {
                id: row.id,
                key: row.key,
                concept: row.concept,
                node_type: row.node_type.to_value(),
                definition: row.definition,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })?;
        }
        Ok(page)
    }
}

/// Edges between nodes that everybody may see.
#[derive(Default)]
pub(super) struct Edges {
    after: Option<(String, String, String)>,
}

#[derive(Serialize)]
struct EdgeLine {
    #[serde(rename = "type")]
    relationship_type: String,
    source: String,
    target: String,
    weight: i64,
    stated: i64,
    justification: Option<String>,
    updated_at: DateTime<Utc>,
}

#[async_trait]
impl Lines for Edges {
    async fn next(&mut self, context: &SyncContext, limit: u64) -> Result<Page, SyncError> {
        let mut sql = Sql::new(context.write.backend())
            .text(
                "SELECT e.relationship_type, e.source_key, e.target_key, e.weight, e.stated, e.justification, e.updated_at \
                 FROM write_edges AS e JOIN write_nodes AS a ON a.graph_id = e.graph_id AND a.key = e.source_key \
                 JOIN write_nodes AS b ON b.graph_id = e.graph_id AND b.key = e.target_key \
                 WHERE a.visibility = 'public' AND b.visibility = 'public' AND e.graph_id = ",
            )
            .bind(context.graph);
        if let Some((source, target, relationship)) = &self.after {
            sql = sql
                .text(" AND (e.source_key, e.target_key, e.relationship_type) > (")
                .bind(source.as_str())
                .text(", ")
                .bind(target.as_str())
                .text(", ")
                .bind(relationship.as_str())
                .text(")");
        }
        let statement = sql
            .text(" ORDER BY e.source_key, e.target_key, e.relationship_type LIMIT ")
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .build();
        let rows = sea_orm::ConnectionTrait::query_all_raw(context.write.read(), statement).await?;
        let mut page = Page { is_last: (rows.len() as u64) < limit, ..Page::default() };
        for row in &rows {
            let line = EdgeLine {
                relationship_type: row.try_get("", "relationship_type")?,
                source: row.try_get("", "source_key")?,
                target: row.try_get("", "target_key")?,
                weight: row.try_get("", "weight")?,
                stated: row.try_get("", "stated")?,
                justification: row.try_get("", "justification")?,
                updated_at: row.try_get("", "updated_at")?,
            };
            page.push(&line)?;
            self.after = Some((line.source, line.target, line.relationship_type));
        }
        Ok(page)
    }
}
