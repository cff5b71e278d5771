# shellcheck shell=bash
# Which Debian packages the tests need, and getting those that are missing. Sourced, not run.

# The folder with PostgreSQL's programs: Debian keeps the server out of PATH, one folder per version.
postgres_programs() {
  local initdb
  initdb=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort --version-sort | tail -n 1)
  [[ -x $initdb ]] || initdb=$(command -v initdb) || return
  dirname -- "$initdb"
}

# The folder with rabbitmq-server and rabbitmqctl: of the RabbitMQ that was asked for, else Debian's (those in its PATH are
# wrappers that want to be root and write to /var), else anybody's.
rabbitmq_programs() {
  local server
  if [[ -n ${ACKORD_TEST_RABBITMQ_HOME:-} ]]; then
    server=$ACKORD_TEST_RABBITMQ_HOME/bin/rabbitmq-server
  else
    server=/usr/lib/rabbitmq/bin/rabbitmq-server
    [[ -x $server ]] || server=$(command -v rabbitmq-server) || return
  fi
  [[ -x $server ]] && dirname -- "$server"
}

# Debian keeps it where an ordinary user's PATH may not lead.
has_pgbouncer() { command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer ]]; }

# A Python that has pika; the one in PATH need not be the one that Debian's packages are for.
python_with_pika() {
  local python
  for python in "${ACKORD_TEST_PYTHON:-python3}" /usr/bin/python3; do
    if command -v "$python" >/dev/null && "$python" -c 'import pika' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  return 1
}

# A Python that can make an environment of its own: Debian has that in a package by itself.
python_with_venv() {
  local python
  for python in "${ACKORD_TEST_PYTHON:-python3}" python3 /usr/bin/python3; do
    if command -v "$python" >/dev/null && "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  return 1
}

# Whether this machine's packages are to be used: not where other servers are named or Docker is asked for.
wants_packages() {
  [[ ${ACKORD_TEST_USE_DOCKER:-} != 1 && -z ${ACKORD_TEST_POSTGRES_URL:-}${ACKORD_TEST_RABBITMQ_URL:-} ]]
}

# What the tests start by themselves, one package per line.
missing_server_packages() {
  postgres_programs >/dev/null || echo postgresql
  has_pgbouncer || echo pgbouncer
  rabbitmq_programs >/dev/null || echo rabbitmq-server
  python_with_pika >/dev/null || printf '%s\n' python3 python3-pika
}

# What asks the API from outside comes from PyPI, into an environment of its own.
missing_client_packages() { python_with_venv >/dev/null || printf '%s\n' python3 python3-venv; }

# One package per line.
missing_packages() {
  # SQLite is compiled from C, and rustc links with cc.
  command -v "${CC:-cc}" >/dev/null || printf '%s\n' gcc libc6-dev
  if [[ -n ${rabbitmq_suite:-} ]] && ! command -v patchelf >/dev/null; then echo patchelf; fi
  if wants_packages; then
    missing_server_packages
    missing_client_packages
  fi | sort --unique
}

install_missing_packages() {
  local packages
  mapfile -t packages < <(missing_packages)
  ((${#packages[@]} > 0)) || return 0
  say "installing ${packages[*]}"
  as_root "${services:?}/install" "${packages[@]}" || die "$(install_by_hand "${packages[@]}")"
  mapfile -t packages < <(missing_packages)
  ((${#packages[@]} == 0)) || die "still missing after the installation: ${packages[*]}"
}

# as_root COMMAND..: directly, or with sudo, which may ask for a password where there is a terminal to ask on.
as_root() {
  if ((EUID == 0)); then
    "$@"
  elif ! command -v sudo >/dev/null; then
    return 1
  elif [[ -t 0 ]]; then
    sudo -- "$@"
  else
    sudo --non-interactive -- "$@"
  fi
}

install_by_hand() {
  cat <<TEXT
these packages are missing and could not be installed from here: $*
  As root, on Debian or Ubuntu:  tests/services/install $*
  (apt-get install, without starting a server). Elsewhere install a C compiler, PostgreSQL 15 or later with pgbouncer,
  RabbitMQ 3.10 or later and a Python with pika by hand; or name running servers (docs/testing.md, "Variables"), or let
  Docker start them:  ACKORD_TEST_USE_DOCKER=1 tests/run. The tests that break servers are then left out.
TEXT
}
