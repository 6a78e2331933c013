"""Handshakes a second, full and resumed, over both versions of TLS; and the CPU that one costs either end. tls_clients.c is
the client of both servers. A request for 64 bytes follows each, since the tickets of TLS 1.3 come with its answer."""
import json
import subprocess
from pathlib import Path

from downloads import PROTOCOLS, same_on_both
from harness import BUILD
from meter import Meter, children_cpu_s, share
from peers import CORES, FILE, SIDES, Stage
from rows import Row
from turns import by_turns, pairs

PROGRAM = BUILD / "bench" / "tls_clients"
CONNECTIONS = 16
GOALS = {"full": 0.7, "resumed": 0.9}


def handshakes(stage, server, path, version, kind, seconds):
    """Handshakes a second, microseconds of CPU for each of the server's and the client's, and what all others took."""
    meter = Meter(server=server.cpu_s, client=children_cpu_s)
    done = subprocess.run(list(map(str, [PROGRAM, "handshakes", server.port, server.target, stage.otad.ca, path, version, kind,
                                         CONNECTIONS, CORES, seconds])),
                          capture_output=True, text=True, timeout=seconds + 60, check=False)
    assert done.returncode == 0, (server.name, version, kind, done.stderr)
    used = meter.used()
    told = json.loads(done.stdout.split("RESULT ", 1)[1])
    n, took_s = told["handshakes"], told["us"] / 1e6
    # the first of each connection has nothing to resume
    assert n > CONNECTIONS and told["resumed"] == (n - CONNECTIONS if kind == "resumed" else 0), (server.name, told)
    return {"rate": n / took_s, "cpu": used["server"] * 1e6 / n, "client": used["client"] * 1e6 / n,
            "others": share(used["others"], took_s)}


def rows_of(name, found, goal, note):
    return [Row(name, "1/s", *pairs(found, "rate", SIDES), goal=("ratio", ">=", goal), note=note),
            Row(f"{name}: CPU of server", "us", *pairs(found, "cpu", SIDES)),
            Row(f"{name}: CPU of client", "us", *pairs(found, "client", SIDES)),
            Row(f"{name}: CPU of others", "%", *pairs(found, "others", SIDES), compare=False)]


def run(quick):
    rounds, seconds = (1, 1) if quick else (3, 3)
    rows = []
    with Stage() as stage:
        stage.start_pair()
        path = Path(stage.folder(), "bench.bin")
        path.write_bytes(FILE)
        for protocol, cipher in PROTOCOLS:
            note = {"negotiated": same_on_both(stage, stage.client_env(protocol), protocol, cipher)}
            for kind, goal in GOALS.items():
                found = by_turns({server.name: server for server in stage.servers}, rounds,
                                 lambda server, warms_up, version=protocol[-3:], kind=kind:
                                 handshakes(stage, server, path, version, kind, 1 if warms_up else seconds))
                rows += rows_of(f"handshakes, {kind}, {protocol}", found, goal, note)
    return rows


if __name__ == "__main__":
    from rows import table
    print(table(run(False)))
