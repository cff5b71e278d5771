# shellcheck shell=bash
# The user under whom the servers of one run live, and the folder for what they store. Sourced, not run.

# PostgreSQL refuses to run as root, and a broker need not: then both run as the user of Debian's package for PostgreSQL,
# else as nobody.
server_user() {
  if ((EUID != 0)); then
    id --user --name
  elif id postgres >/dev/null 2>&1; then
    echo postgres
  else
    echo nobody
  fi
}

# as_server SIGNAL COMMAND..: under the servers' user, from a folder that it can enter. Should this script be killed without
# a chance to clean up, the kernel sends the signal.
as_server() {
  local identity=() signal=$1
  shift
  if ((EUID == 0)); then identity=(--reuid="$server_user" --regid="$(id -g "$server_user")" --init-groups); fi
  cd / && exec setpriv "${identity[@]}" --pdeathsig "$signal" -- "$@"
}

# Sets server_user and run_folder, with a folder of that user's own in it for each server: under target/ where the user
# can get there. It cannot where a parent is closed to others (/root, a home with mode 700, while this runs as root): then
# in the folder for temporary files.
make_server_folder() {
  local parent name=ackord-tests
  server_user=$(server_user)
  for parent in "${target:?}/test-services" "${TMPDIR:-/tmp}"; do
    remove_left_overs "$parent" "$name"
    make_run_folder "$parent" "$name" || die "no folder can be made in $parent"
    mkdir -m 700 "$run_folder/postgres" "$run_folder/rabbitmq"
    if ((EUID == 0)); then chown "$server_user:" "$run_folder/postgres" "$run_folder/rabbitmq"; fi
    if (as_server KILL test -w "$run_folder/postgres"); then return; fi
    remove_run_folder
  done
  die "the user $server_user can write neither under target/ nor in ${TMPDIR:-/tmp}"
}
