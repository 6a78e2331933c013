"""bench.py RESULTS DOCS: every row, as a table on stdout and as JSON in RESULTS; where nothing was cut short, in DOCS/benchmarks.md
and .json too. run.sh calls it."""
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import campaigns
import connections
import downloads
import drippers
import fleet_mqtt
import growth
import handshakes
import million
import mqtt_files
import report
import slow
from harness import BUILD
from rows import table

SUITES = [downloads.run, slow.run, handshakes.run, connections.run, million.run, campaigns.run, mqtt_files.run,
          fleet_mqtt.run, growth.run, drippers.run]


def first_line(*command):
    if not shutil.which(command[0]):
        return "none"
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return (done.stdout + done.stderr).splitlines()[0].strip()


def congestion():
    """TCP's congestion control between two ends of this loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def machine():
    model = [line.split(": ", 1)[1] for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return {"cpu": model[0] if model else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release(),
            "congestion control": congestion(),
            "otad": first_line(BUILD / "otad", "--version"), "nginx": first_line("nginx", "-v"),
            "openssl": first_line("openssl", "version"), "wrk": first_line("wrk", "-v"),
            "mosquitto": first_line("mosquitto", "-h"), "node": first_line("node", "--version")}


def more_descriptors():
    """Thousands of connections, here and in the servers, which inherit this."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main():
    quick, results, docs = bool(os.environ.get("QUICK")), *map(Path, sys.argv[1:3])
    os.environ["PATH"] += ":/usr/sbin"
    # so that an end from outside still ends the servers and removes their folders
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended before all was measured"))
    more_descriptors()
    started = time.time()
    rows = []
    for suite in SUITES:
        found = suite(quick)
        print(f"{time.time() - started:.0f} s: {suite.__module__}\n{table(found, judged=not quick)}\n", file=sys.stderr, flush=True)
        rows += found
    found = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)), "took_s": round(time.time() - started),
             "quick": quick, "machine": machine(), "rows": [row.as_json() for row in rows]}
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(report.as_json(found))
    print(table(rows, judged=not quick))
    if quick:
        print("QUICK: only the harness was tried; these figures mean nothing")
    else:
        report.publish(found, table(rows), docs)


if __name__ == "__main__":
    main()
