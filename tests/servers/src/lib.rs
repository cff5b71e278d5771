//! RabbitMQ and Postgres servers of a test: private, on loopback, to be killed.
