# shellcheck shell=bash
# Which Debian packages the tests need, and getting those that are missing. Sourced, not run.

# The folder with PostgreSQL's programs: Debian keeps the server out of PATH, one folder per version.
postgres_programs() {
  local initdb
  initdb=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort --version-sort | tail -n 1)
  [[ -x $initdb ]] || initdb=$(command -v initdb) || return
  dirname -- "$initdb"
}

# needs_own_postgres: whether this run starts a PostgreSQL of its own.
needs_own_postgres() { [[ -z ${ACKORD_TEST_POSTGRES_URL:-} && ${ACKORD_TEST_USE_DOCKER:-} != 1 ]]; }

# One package per line.
missing_packages() {
  # SQLite is compiled from C, and rustc links with cc.
  command -v "${CC:-cc}" >/dev/null || printf '%s\n' gcc libc6-dev
  if needs_own_postgres && ! postgres_programs >/dev/null; then printf '%s\n' postgresql; fi
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
  (apt-get install, without starting a server). Elsewhere install a C compiler and PostgreSQL 15 or later by hand, or
  name a running server:  ACKORD_TEST_POSTGRES_URL=postgres://USER:PASSWORD@HOST/DATABASE tests/run
TEXT
}
