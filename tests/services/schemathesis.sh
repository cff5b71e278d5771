# shellcheck shell=bash
# The client that asks the API from outside by its own OpenAPI document: from PyPI, in an environment of its own under target/, which is
# kept from run to run as long as the version is the same. Sourced, not run.

schemathesis_version=4.32.5

# Makes the environment, unless it is there. 1: there is no Python for it, or PyPI cannot be reached; 2: it went wrong otherwise.
# What went wrong stands in schemathesis_failure.
install_schemathesis() {
  local home=${target:?}/schemathesis-$schemathesis_version log python
  schemathesis_program=$home/bin/schemathesis
  # Written last: an installation that was interrupted is made again.
  [[ -e $home/complete ]] && return
  python=$(python_with_venv) || {
    schemathesis_failure='there is no Python with venv (python3-venv)'
    return 1
  }
  rm -rf "$home"
  mkdir -p "$home"
  log=$home/installation.log
  if "$python" -m venv "$home/" >"$log" 2>&1 && in_foreground "$home/bin/pip" install "schemathesis==$schemathesis_version" >>"$log" 2>&1; then
    touch "$home/complete"
    return
  fi
  schemathesis_failure="schemathesis $schemathesis_version cannot be installed: $(tail -n 1 "$log"); all of it is in $log"
  # pip says so when a connection fails.
  if grep -qE 'Retrying \(Retry|Network is unreachable|Could not fetch URL' "$log"; then return 1; fi
  return 2
}

# Tells the tests where it is. In CI only a network that is not there is a reason to leave it out.
offer_schemathesis() {
  local status=0
  [[ -n ${ACKORD_TEST_SCHEMATHESIS:-} ]] && return
  install_schemathesis || status=$?
  case $status in
    0) export ACKORD_TEST_SCHEMATHESIS=$schemathesis_program ACKORD_TEST_REQUIRE_SCHEMATHESIS=1 ;;
    1) say "left out are the tests that ask the API from outside: $schemathesis_failure" ;;
    *)
      if [[ ${CI:-} == true ]]; then die "$schemathesis_failure"; fi
      say "left out are the tests that ask the API from outside: $schemathesis_failure"
      ;;
  esac
}
