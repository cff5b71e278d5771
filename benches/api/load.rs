//! Those who ask.

use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;

use crate::serve::Serve;

/// What asking came to.
pub(crate) struct Asked {
    /// The shortest wait first.
    pub(crate) waits: Vec<Duration>,
    /// From the first question to the last answer.
    pub(crate) took: Duration,
}

/// A connection of its own, which stays open.
fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).build().into()
}

fn get(agent: &Agent, serve: &Serve, path: &str) -> String {
    let request = agent.get(format!("{}{path}", serve.base));
    // Whatever is no 2xx is an error here.
    let mut response = request.header("authorization", format!("Bearer {}", serve.token)).call().unwrap();
    response.body_mut().read_to_string().unwrap()
}

/// Asks for `path` again and again over so many connections.
pub(crate) fn ask(serve: &Serve, path: &str, connections: usize, seconds: u32) -> Asked {
    let agents: Vec<Agent> = (0..connections).map(|_| agent()).collect();
    // Connections and plans are made before the clock runs.
    for agent in &agents {
        get(agent, serve, path);
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds.into());
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = agents
            .iter()
            .map(|agent| {
                scope.spawn(move || {
                    let mut waits = Vec::new();
                    while Instant::now() < end {
                        let asked = Instant::now();
                        get(agent, serve, path);
                        waits.push(asked.elapsed());
                    }
                    waits
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let took = begun.elapsed();
    waits.sort_unstable();
    Asked { waits, took }
}

/// The query of a page that is `depth` jobs behind the first.
pub(crate) fn deep(serve: &Serve, depth: usize) -> String {
    const PAGE: usize = 200;
    let agent = agent();
    let (mut query, mut behind) = (format!("limit={PAGE}"), 0);
    while behind < depth {
        let page: Value = serde_json::from_str(&get(&agent, serve, &format!("/jobs?{query}"))).unwrap();
        let cursor = page["next_cursor"].as_str().expect("there are more jobs");
        query = format!("limit={PAGE}&cursor={cursor}");
        behind += PAGE;
    }
    // As many as the first page has; the limit is no part of what a cursor stands for.
    query.replace(&format!("limit={PAGE}"), "limit=50")
}
