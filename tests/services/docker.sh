# shellcheck shell=bash
# The same servers from the official images, where ACKORD_TEST_USE_DOCKER=1 asks for it. Sourced, not run.

containers=()

# Exports ACKORD_TEST_POSTGRES_URL. The settings are those of tests/services/postgres.sh, for its reasons.
start_postgres_in_docker() {
  local password container address
  password=$(random_word)
  container=$(POSTGRES_PASSWORD=$password docker run --detach --rm --publish 127.0.0.1::5432 \
    --env POSTGRES_USER=ackord --env POSTGRES_PASSWORD postgres:17 \
    -c fsync=off -c full_page_writes=off -c max_connections=300) || die 'docker run failed'
  containers+=("$container")
  # While the image sets itself up its server listens on a socket file only; over TCP only the final one answers.
  wait_for_container PostgreSQL docker exec "$container" pg_isready --quiet --host 127.0.0.1 --username ackord
  address=$(published "$container" 5432)
  export ACKORD_TEST_POSTGRES_URL="postgres://ackord:$password@$address/postgres"
}

# Exports ACKORD_TEST_RABBITMQ_URL and ACKORD_TEST_RABBITMQ_MANAGEMENT_URL. The settings are those of
# tests/services/rabbitmq.sh.
start_rabbitmq_in_docker() {
  local password container arguments='-rabbit collect_statistics_interval 200 -rabbit quorum_tick_interval 200'
  password=$(random_word)
  container=$(RABBITMQ_DEFAULT_PASS=$password docker run --detach --rm --publish 127.0.0.1::5672 \
    --publish 127.0.0.1::15672 --env RABBITMQ_DEFAULT_USER=ackord --env RABBITMQ_DEFAULT_PASS \
    --env RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="$arguments" rabbitmq:4-management) || die 'docker run failed'
  containers+=("$container")
  wait_for_container RabbitMQ docker exec "$container" rabbitmq-diagnostics --quiet check_port_connectivity
  ACKORD_TEST_RABBITMQ_URL=amqp://ackord:$password@$(published "$container" 5672)
  ACKORD_TEST_RABBITMQ_MANAGEMENT_URL=http://ackord:$password@$(published "$container" 15672)
  export ACKORD_TEST_RABBITMQ_URL ACKORD_TEST_RABBITMQ_MANAGEMENT_URL
}

# wait_for_container SERVER COMMAND..: until the command succeeds.
wait_for_container() {
  local server=$1 deadline=$((SECONDS + 120))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || die "$server in its container did not become ready within 120 s"
    sleep 0.2
  done
}

# published CONTAINER PORT: the address on this machine.
published() { docker port "$1" "$2/tcp" | head -n 1; }

stop_containers() {
  local container
  for container in "${containers[@]}"; do
    docker rm --force --volumes "$container" >/dev/null || say "the container $container could not be removed"
  done
  containers=()
}
