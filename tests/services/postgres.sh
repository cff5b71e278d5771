# shellcheck shell=bash
# A private PostgreSQL for one run: on loopback, on a free port, without a socket file, under an ordinary user, with its
# data in a folder that goes away. Sourced, not run.

# Exports ACKORD_TEST_POSTGRES_URL. It needs the folder of make_server_folder.
start_postgres() {
  postgres_bin=$(postgres_programs) || die 'PostgreSQL is missing'
  postgres_log=$run_folder/postgres/log
  init_postgres || { tail -n 20 "$postgres_log" >&2 && die 'initdb failed'; }
  launch_on_free_port
}

# A password, because every user of the machine can reach the loopback; sent as it is, because it goes no further and a
# hashed login costs each test tens of milliseconds in an unoptimised client.
init_postgres() {
  local password_file=$run_folder/postgres/password
  postgres_password=$(random_word)
  printf '%s\n' "$postgres_password" >"$password_file"
  if ((EUID == 0)); then chown "${server_user:?}:" "$password_file"; fi
  (as_server QUIT "$postgres_bin/initdb" --pgdata="$run_folder/postgres/data" --username=ackord --pwfile="$password_file" \
    --auth=password --encoding=UTF8 --locale=C --no-sync) >"$postgres_log" 2>&1
}

# Ports below the range that the kernel gives to clients. Another run may take the same one between any check and our
# bind, so the bind is the check.
launch_on_free_port() {
  local tries=20 port
  while ((tries-- > 0)); do
    port=$((20000 + RANDOM % 12000))
    : >"$postgres_log"
    launch_postgres "$port"
    if postgres_is_up; then
      export ACKORD_TEST_POSTGRES_URL="postgres://ackord:$postgres_password@127.0.0.1:$port/postgres"
      return
    fi
    grep -q 'could not create any TCP/IP sockets' "$postgres_log" || break
  done
  tail -n 20 "$postgres_log" >&2
  die 'PostgreSQL did not start'
}

# fsync is off: it guards against a machine that loses power, and the data does not outlive this run anyway. Commits still
# reach the kernel one by one, so a test may kill the server and find what was committed.
launch_postgres() {
  local settings=(
    -c listen_addresses=127.0.0.1 -c port="$1" -c unix_socket_directories=
    -c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0
    -c max_connections=300 -c shared_buffers=128MB -c jit=off
  )
  set -m
  (as_server QUIT "$postgres_bin/postgres" -D "$run_folder/postgres/data" "${settings[@]}") \
    </dev/null >>"$postgres_log" 2>&1 &
  postgres=$!
  set +m
}

# The server writes "ready" into the eighth line of its pid file. Asking the port instead could reach another server.
postgres_is_up() {
  local deadline=$((SECONDS + 60)) pid_file=$run_folder/postgres/data/postmaster.pid
  while kill -0 "$postgres" 2>/dev/null; do
    [[ $(sed -n '8{s/ *$//;p}' "$pid_file" 2>/dev/null) == ready ]] && return
    ((SECONDS < deadline)) || break
    sleep 0.05
  done
  stop_postgres
  return 1
}

# At once, without a checkpoint: the data goes away with the folder.
stop_postgres() {
  [[ -n ${postgres:-} ]] || return 0
  kill -QUIT "$postgres" 2>/dev/null || true
  wait "$postgres" 2>/dev/null || true
  postgres=
}
