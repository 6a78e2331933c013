#!/bin/sh
# run.sh BUILD: otad beside its peers on this machine, as docs/benchmarks.md describes: a table on stdout, and
# BUILD/bench/results.json. `make bench` calls it. QUICK=1 runs everything small and short: it shows that the harness
# works, and its figures mean nothing.
set -eu
build=${1:-build}
for program in otad bench/mqtt_files bench/growth; do
    [ -x "$build/$program" ] || {
        echo "run.sh: $build/$program is missing: run make all $build/bench/mqtt_files $build/bench/growth first" >&2
        exit 2
    }
done
for program in nginx wrk openssl; do
    # nginx lies where an ordinary user's PATH does not look
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || {
        echo "run.sh: $program is missing: sh conf/deps.sh bench" >&2
        exit 2
    }
done
build=$(cd "$build" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
# servers are started, awaited and ended as the system tests do it
export OTAD_BUILD="$build" PYTHONPATH="$here/../system" PYTHONDONTWRITEBYTECODE=1
exec timeout -k 20 "$([ -n "${QUICK:-}" ] && echo 120 || echo 660)" \
    "${PYTHON:-/usr/bin/python3}" "$here/bench.py" "$build/bench/results.json"
