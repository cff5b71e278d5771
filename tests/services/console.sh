# shellcheck shell=bash
# What tests/run and .ci/run say, and how long it took. Sourced, not run.

say() { printf '%s: %s\n' "${program:?}" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# Microseconds of a clock; EPOCHREALTIME has the locale's decimal mark.
now_us() { printf '%s' "${EPOCHREALTIME//[!0-9]/}"; }

# Seconds with one decimal since the given reading of now_us.
seconds_since() {
  local tenths=$((($(now_us) - $1) / 100000))
  printf '%d.%d s' $((tenths / 10)) $((tenths % 10))
}

# phase NAME COMMAND [ARGUMENT..]: runs the command and says how long it took; its status is the command's.
phase() {
  local name=$1 start status=0
  shift
  start=$(now_us)
  "$@" || status=$?
  if ((status == 0)); then
    say "$name took $(seconds_since "$start")"
  else
    say "$name failed after $(seconds_since "$start")"
  fi
  return "$status"
}

# in_foreground COMMAND [ARGUMENT..]: runs the command in a process group of its own and waits for it, so that a signal
# reaches this script at once and stop_foreground can end the command with all that it started.
in_foreground() {
  local status=0
  set -m
  "$@" </dev/null &
  foreground=$!
  set +m
  wait "$foreground" || status=$?
  # What the command left running in its group.
  kill -KILL -- "-$foreground" 2>/dev/null || true
  foreground=
  return "$status"
}

# Ends what in_foreground runs: asks its group first (nextest then ends its tests), kills what is left after 15 s.
stop_foreground() {
  [[ -n ${foreground:-} ]] || return 0
  local group=-$foreground tries=150
  kill -TERM -- "$group" 2>/dev/null || true
  while ((tries-- > 0)) && kill -0 -- "$group" 2>/dev/null; do sleep 0.1; done
  kill -KILL -- "$group" 2>/dev/null || true
  wait "$foreground" 2>/dev/null || true
  foreground=
}

# A password.
random_word() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
