//! What the graph knows from the beginning, and what it learns later.

/// Topics with a document about each from the beginning.
pub(super) const KNOWN: [(&str, &str); 4] = [
    (
        "Leases",
        "A lease is an exclusive claim on a key that ends by itself. A worker renews the leases of its jobs every ten seconds. An expired \
         lease is taken over by the next job that asks for its key.",
    ),
    (
        "The outbox",
        "The outbox is a table of messages that wait for the broker. The relay publishes the messages of the outbox and deletes what the \
         broker has confirmed. A refused message stays in the outbox with its reason.",
    ),
    (
        "Dead letters",
        "A dead letter is a message that was given up with its cause. An operator replays dead letters after the cause is gone. The \
         archive keeps the dead letters of every queue.",
    ),
    (
        "Schedules",
        "A schedule is a row with a cron expression and a time zone. The scheduler inserts a job for each tick of a schedule. A skipped \
         tick of a schedule is recorded.",
    ),
];

/// Topics whose documents come later.
pub(super) const LOST: [(&str, &str); 4] = [
    (
        "Arctic glaciers",
        "A glacier is a body of ice that moves under its own weight. Arctic glaciers lose more ice in summer than they gain in winter. The \
         meltwater of arctic glaciers raises the level of the sea.",
    ),
    (
        "Coral reefs",
        "A coral reef is a ridge that corals build from lime. Coral reefs shelter a quarter of all fish in the ocean. Warm water bleaches \
         coral reefs within weeks.",
    ),
    (
        "Sourdough",
        "Sourdough is a dough that wild yeast raises. Bakers feed their sourdough with flour and water every day. A young sourdough smells \
         of yoghurt.",
    ),
    (
        "Steam engines",
        "A steam engine is a machine that turns heat into motion. The governor of a steam engine keeps its speed even. Steam engines drove \
         pumps before they drove trains.",
    ),
];
