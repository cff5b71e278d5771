#!/usr/bin/env bash
# What the program costs as a process: start-up time, memory and work while it idles, memory under load.
# Prints a Markdown table for docs/performance.md.
#
#   cargo build --release && benches/process.sh
#
#   ACKORD=PATH    another program than target/release/ackord
#   STARTS=N       starts to measure (20)
#   IDLE=SECONDS   how long the idle process is watched (10)
#   JOBS=N         synthesis jobs of the load (200)
set -euo pipefail
cd "$(dirname "$0")/.."

ackord=$(realpath "${ACKORD:-target/release/ackord}")
starts=${STARTS:-20}
idle=${IDLE:-10}
jobs=${JOBS:-200}

mkdir -p target/tmp
folder=$(mktemp -d target/tmp/process-XXXXXX)
pid=
finish() {
    if [ -n "$pid" ]; then kill "$pid" 2>/dev/null && wait "$pid" || true; fi
    rm -rf "$folder"
}
trap finish EXIT
export ACKORD_LOG_FORMAT=json

now_us() { printf '%s' "${EPOCHREALTIME/[.,]/}"; }

# Starts `ackord up` on a database and waits until its worker takes work. Sets pid and took_us.
start() {
    local begun line pipe=$folder/log
    rm -f "$pipe"
    mkfifo "$pipe"
    begun=$(now_us)
    "$ackord" up --log info --database "sqlite:$1" >"$folder/answer" 2>"$pipe" &
    pid=$!
    # Kept open, so that the program never writes into a closed pipe; what follows is read away.
    exec 3<"$pipe"
    while read -r line <&3; do
        case $line in *'the worker takes work'*) break ;; esac
    done
    took_us=$(($(now_us) - begun))
    if ! kill -0 "$pid" 2>/dev/null; then
        echo "ackord up ended at its start" >&2
        exit 1
    fi
    cat <&3 >"$folder/rest" &
    exec 3<&-
}

stop() {
    kill "$pid"
    wait "$pid"
    pid=
}

# Of numbers on stdin, one a line: `median (lowest to highest)`, divided by $1, with $2 digits.
series() {
    sort -n | awk -v by="$1" -v digits="$2" '{ value[NR] = $1 / by }
        END { f = "%." digits "f"; printf f " (" f " to " f ")", value[int(NR / 2) + 1], value[1], value[NR] }'
}

memory_mb() { awk -v field="$1:" '$1 == field { printf "%.1f", $2 * 1024 / 1e6 }' "/proc/$pid/status"; }

# Nanoseconds on a processor, and times that a thread went to sleep of itself: over all threads.
cpu_ns() { cat /proc/"$pid"/task/*/schedstat | awk '{ sum += $1 } END { printf "%d", sum }'; }
sleeps() { cat /proc/"$pid"/task/*/status | awk '$1 == "voluntary_ctxt_switches:" { sum += $2 } END { printf "%d", sum }'; }

measure_starts() { # $1: new or same
    local number
    for number in $(seq "$starts"); do
        if [ "$1" = new ]; then rm -rf "$folder"/db; fi
        start "$folder/db/ackord.db"
        echo "$took_us"
        stop
    done
}

measure_starts new >"$folder/new"
measure_starts same >"$folder/same"

start "$folder/db/ackord.db"
sleep 5
idle_memory=$(memory_mb VmRSS)
cpu_before=$(cpu_ns) sleeps_before=$(sleeps)
sleep "$idle"
idle_cpu=$((($(cpu_ns) - cpu_before) / 1000 / idle))
idle_sleeps=$((($(sleeps) - sleeps_before) / idle))
idle_calls="not measured (no strace)"
if command -v strace >/dev/null && timeout -s INT "$idle" strace -f -qq -c -o "$folder/calls" -p "$pid" 2>/dev/null || [ -s "$folder/calls" ]; then
    idle_calls=$(awk -v seconds="$idle" '$NF == "total" { printf "%.0f", $(NF - 2) / seconds }' "$folder/calls")
fi
stop

# Load: the repository's own documents, and many syntheses over them at once.
load_memory="not measured" load_peak="not measured"
if "$ackord" import --help >/dev/null 2>&1; then
    start "$folder/db/ackord.db"
    "$ackord" import --database "sqlite:$folder/db/ackord.db" README.md docs >/dev/null
    for number in $(seq "$jobs"); do
        "$ackord" publish synthesis --database "sqlite:$folder/db/ackord.db" \
            --payload "{\"topic\": \"job $number\"}" >/dev/null
    done
    while [ "$("$ackord" jobs list --state queued,running,retrying,deferred --limit 1 --json --database "sqlite:$folder/db/ackord.db" | grep -c '"id"')" -gt 0 ]; do
        sleep 0.2
    done
    load_memory=$(memory_mb VmRSS) load_peak=$(memory_mb VmHWM)
    stop
fi

cat <<TABLE
| the process \`ackord up\` | figure |
|---|---|
| from its start to taking work, new database, ms ($starts starts) | $(series 1000 1 <"$folder/new") |
| from its start to taking work, database of an earlier run, ms ($starts starts) | $(series 1000 1 <"$folder/same") |
| resident memory, idle for 5 s, MB | $idle_memory |
| processor time while idle, µs per s | $idle_cpu |
| threads put to sleep while idle, per s | $idle_sleeps |
| system calls while idle, per s | $idle_calls |
| resident memory after $jobs syntheses, MB | $load_memory |
| resident memory at the peak of them, MB | $load_peak |
TABLE
