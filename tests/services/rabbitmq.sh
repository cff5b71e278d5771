# shellcheck shell=bash
# A private RabbitMQ for one run: on loopback, on free ports, under an ordinary user, with a port mapper of its own (Erlang
# would leave one behind) and its data in a folder that goes away. Sourced, not run.

# launch_rabbitmq: starts it and goes on; await_rabbitmq waits for it. It needs the folder of make_server_folder.
launch_rabbitmq() {
  rabbitmq_bin=$(rabbitmq_programs) || die 'RabbitMQ is missing'
  rabbitmq_folder=$run_folder/rabbitmq
  rabbitmq_log=$rabbitmq_folder/output
  epmd_program=$rabbitmq_bin/epmd
  [[ -x $epmd_program ]] || epmd_program=$(command -v epmd) || die "Erlang's epmd is missing"
  # A RabbitMQ under target/ may lie where only root can reach it.
  rabbitmq_identity=as_server
  if ! (as_server KILL test -x "$rabbitmq_bin/rabbitmq-server"); then rabbitmq_identity=as_ourselves; fi
  # A password, because every user of the machine can reach the loopback.
  rabbitmq_password=$(random_word)
  rabbitmq_tries=10
  launch_on_four_ports
}

# Exports ACKORD_TEST_RABBITMQ_URL and ACKORD_TEST_RABBITMQ_MANAGEMENT_URL. Another run may take a port between any check
# and our bind, so the bind is the check.
await_rabbitmq() {
  until rabbitmq_is_up; do
    if ((--rabbitmq_tries == 0)) || ! grep --quiet --ignore-case 'eaddrinuse\|address in use' "$rabbitmq_log"; then
      tail -n 30 "$rabbitmq_log" >&2
      die 'RabbitMQ did not start'
    fi
    launch_on_four_ports
  done
  export ACKORD_TEST_RABBITMQ_URL="amqp://ackord:$rabbitmq_password@127.0.0.1:$rabbitmq_port"
  export ACKORD_TEST_RABBITMQ_MANAGEMENT_URL="http://ackord:$rabbitmq_password@127.0.0.1:$((rabbitmq_port + 1))"
}

# Below the range that the kernel gives to clients: AMQP, management, Erlang's distribution, the port mapper.
launch_on_four_ports() {
  rabbitmq_port=$((20000 + RANDOM % 3000 * 4))
  find "$rabbitmq_folder" -mindepth 1 -delete
  write_rabbitmq_settings
  : >"$rabbitmq_log"
  set -m
  (rabbitmq_environment "$epmd_program" -address 127.0.0.1 -port $((rabbitmq_port + 3))) </dev/null >>"$rabbitmq_log" 2>&1 &
  epmd=$!
  (rabbitmq_environment "$rabbitmq_bin/rabbitmq-server" -noinput) </dev/null >>"$rabbitmq_log" 2>&1 &
  rabbitmq=$!
  set +m
}

# Figures of the management API and of queues follow quickly, because tests wait for them; the tests' machine may have a
# full disk.
write_rabbitmq_settings() {
  cat >"$rabbitmq_folder/rabbitmq.conf" <<TEXT
listeners.tcp.1 = 127.0.0.1:$rabbitmq_port
management.tcp.ip = 127.0.0.1
management.tcp.port = $((rabbitmq_port + 1))
loopback_users = none
default_user = ackord
default_pass = $rabbitmq_password
collect_statistics_interval = 200
disk_free_limit.absolute = 1MB
TEXT
  echo '[{rabbit,[{quorum_tick_interval,200}]}].' >"$rabbitmq_folder/advanced.config"
  echo '[rabbitmq_management].' >"$rabbitmq_folder/enabled_plugins"
  # Only who knows it may command the node.
  random_word >"$rabbitmq_folder/.erlang.cookie"
  chmod 400 "$rabbitmq_folder/.erlang.cookie"
  if [[ $rabbitmq_identity == as_ourselves ]]; then return; fi
  if ((EUID == 0)); then chown -R "${server_user:?}:" "$rabbitmq_folder"; fi
}

# rabbitmq_environment COMMAND..: becomes the command. With RABBITMQ_ALLOW_INPUT the script becomes the server instead of
# watching it, so that our signals reach the server.
rabbitmq_environment() {
  local arguments='+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -start_epmd false'
  "$rabbitmq_identity" KILL env --ignore-environment \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME="$rabbitmq_folder" \
    ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$((rabbitmq_port + 3)) \
    RABBITMQ_DIST_PORT=$((rabbitmq_port + 2)) RABBITMQ_NODENAME=ackord@localhost \
    RABBITMQ_CONFIG_FILE="$rabbitmq_folder/rabbitmq.conf" \
    RABBITMQ_ADVANCED_CONFIG_FILE="$rabbitmq_folder/advanced.config" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$rabbitmq_folder/enabled_plugins" RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_MNESIA_BASE="$rabbitmq_folder/data" RABBITMQ_LOG_BASE="$rabbitmq_folder/log" \
    RABBITMQ_PID_FILE="$rabbitmq_folder/pid" RABBITMQ_ALLOW_INPUT=1 \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="$arguments -kernel inet_dist_use_interface {127,0,0,1}" "$@"
}

as_ourselves() {
  local signal=$1
  shift
  cd / && exec setpriv --pdeathsig "$signal" -- "$@"
}

# Up when it speaks AMQP and its management API takes our password, which no other server would.
rabbitmq_is_up() {
  local deadline=$((SECONDS + 120)) login
  login=$(printf 'ackord:%s' "$rabbitmq_password" | base64 --wrap=0)
  while kill -0 "$rabbitmq" 2>/dev/null && ((SECONDS < deadline)); do
    if api_answers "$login" && speaks_amqp; then return; fi
    sleep 0.1
  done
  stop_rabbitmq
  return 1
}

# A refused connection is no news, so these keep quiet.
api_answers() (
  { exec 3<>"/dev/tcp/127.0.0.1/$((rabbitmq_port + 1))"; } 2>/dev/null || return
  printf 'GET /api/overview HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic %s\r\n\r\n' "$1" >&3
  read -r -t 10 _ status _ <&3 && [[ $status == 200 ]]
)

# The client's greeting; a server that takes it answers with a frame of type 1.
speaks_amqp() (
  { exec 3<>"/dev/tcp/127.0.0.1/$rabbitmq_port"; } 2>/dev/null || return
  printf 'AMQP\0\0\t\1' >&3
  LC_ALL=C read -r -t 10 -n 1 first <&3 && [[ $first == $'\1' ]]
)

# At once: the data goes away with the folder.
stop_rabbitmq() {
  local process
  for process in "${rabbitmq:-}" "${epmd:-}"; do
    [[ -n $process ]] || continue
    kill -KILL "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  rabbitmq='' epmd=''
}
