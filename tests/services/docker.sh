# shellcheck shell=bash
# The same PostgreSQL from the official image, where ACKORD_TEST_USE_DOCKER=1 asks for it. Sourced, not run.

# Exports ACKORD_TEST_POSTGRES_URL. The settings are those of tests/services/postgres.sh, for its reasons.
start_postgres_in_docker() {
  local password address
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  container=$(POSTGRES_PASSWORD=$password docker run --detach --rm --publish 127.0.0.1::5432 \
    --env POSTGRES_USER=ackord --env POSTGRES_PASSWORD postgres:17 \
    -c fsync=off -c full_page_writes=off -c max_connections=300) || die 'docker run failed'
  wait_for_container
  address=$(docker port "$container" 5432/tcp | head -n 1) || die 'the container publishes no port'
  export ACKORD_TEST_POSTGRES_URL="postgres://ackord:$password@$address/postgres"
}

# While the image sets itself up its server listens on a socket file only; over TCP only the final one answers.
wait_for_container() {
  local deadline=$((SECONDS + 60))
  until docker exec "$container" pg_isready --quiet --host 127.0.0.1 --username ackord; do
    ((SECONDS < deadline)) || die 'PostgreSQL in the container did not become ready within 60 s'
    sleep 0.2
  done
}

stop_container() {
  [[ -n ${container:-} ]] || return 0
  docker rm --force --volumes "$container" >/dev/null || say "the container $container could not be removed"
  container=
}
