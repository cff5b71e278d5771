//! Which servers a run of the tests must have.
//!
//! At a desk a test whose server is missing says so and ends early. With `ACKORD_TEST_REQUIRE_RABBITMQ=1`,
//! `ACKORD_TEST_REQUIRE_PROGRAMS=1` or `CI=true` it fails instead, so that no run counts a test that did nothing.

/// `amqp://USER:PASSWORD@HOST:PORT` of the RabbitMQ that the tests of a run share.
pub const RABBITMQ_URL: &str = "ACKORD_TEST_RABBITMQ_URL";
/// `http://USER:PASSWORD@HOST:PORT` of its management API; the user is an administrator.
pub const RABBITMQ_MANAGEMENT_URL: &str = "ACKORD_TEST_RABBITMQ_MANAGEMENT_URL";
/// `1` makes it a failure that no such server was given. So does `CI=true`.
pub const REQUIRE_RABBITMQ: &str = "ACKORD_TEST_REQUIRE_RABBITMQ";
/// `1` makes it a failure that a server which a test wants to start itself is not installed. So does `CI=true`.
pub const REQUIRE_PROGRAMS: &str = "ACKORD_TEST_REQUIRE_PROGRAMS";

/// What a test does without its server: it panics where `variable` or `CI` asks for the server, else it says that it is
/// left out and goes on with `None`.
pub(crate) fn left_out<T>(variable: &str, why: &str) -> Option<T> {
    let required = is(variable, "1") || is("CI", "true");
    assert!(!required, "{why}: run the tests with tests/run");
    eprintln!("left out: {why}");
    None
}

fn is(variable: &str, value: &str) -> bool {
    std::env::var(variable).is_ok_and(|set| set == value)
}
