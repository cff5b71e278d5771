//! RabbitMQ: the conformance suite, and what only a server can do to a client.

mod anew;
mod conformance;
mod connecting;
mod consuming;
mod declaring;
mod fixture;
mod forging;
mod publishing;
mod unanswered;
