"""Thousands of slow downloads at once: the memory that each costs its server, and whether all get their share. The clients
(tls_clients.c) read a large file at a set rate into small buffers, so that the server always has more to send than it can."""
import json
import time
from pathlib import Path

from connections import settled_kb
from handshakes import PROGRAM
from meter import Meter, share
from mqtt_files import Talker
from peers import FILE, SIDES, Stage, cpu_s
from rows import Row
from turns import pairs

RATE = 20_000  # bytes a second of each
RECEIVE_BYTES = 16 * 1024
LARGE = FILE * 11  # nobody comes to its end
SETTLE_S = 3  # once all flow
LIMIT_S = 120


def slow_downloads(stage, server, path, count, seconds):
    """Kilobytes a download; how the slowest did beside the median, whose KB/s; CPU in % of a core, and of the machine what all
    others took."""
    before_kb = settled_kb(server)
    clients = Talker(stage, PROGRAM, "slow", server.port, server.target, stage.otad.ca, path, count, RATE, RECEIVE_BYTES,
                     LIMIT_S)
    assert clients.hear() == "flowing"
    time.sleep(SETTLE_S)
    meter = Meter(server=server.cpu_s, clients=lambda: cpu_s(clients.process.pid))
    assert clients.ask("begin") == "begun"
    time.sleep(seconds)
    kb = (server.pss_kb() - before_kb) / count
    used = meter.used()
    told = json.loads(clients.ask("end").split("RESULT ", 1)[1])
    assert clients.process.wait(30) == 0
    took_s = told["us"] / 1e6
    return {"kb": kb, "share": told["slowest"] / told["median"], "rate": told["median"] / took_s / 1e3,
            "cpu": used["server"] * 100 / took_s, "client": used["clients"] * 100 / took_s,
            "others": share(used["others"], took_s), "told": told}


def run(quick):
    rounds, count, seconds = (1, 500, 2) if quick else (2, 5000, 12)
    found = {name: [] for name in SIDES}
    for i in range(rounds):
        with Stage() as stage:  # new processes: a heap that has grown before would hide what this needs
            servers = stage.start_pair(file=LARGE)
            path = Path(stage.folder(), "bench.bin")
            path.write_bytes(LARGE)
            for server in servers if i % 2 else servers[::-1]:
                found[server.name].append(slow_downloads(stage, server, path, count, seconds))
    name = f"{count:,} slow downloads"

    def row(what, unit, key, **more):
        return Row(f"{name}: {what}", unit, *pairs(found, key, SIDES), **more)
    note = {side: [one["told"] for one in found[side]] for side in SIDES} | {"asked for": f"{RATE / 1e3:.0f} KB/s"}
    return [row("memory for each", "KB", "kb", goal=("difference", "<=", 20)),
            row("the slowest", "x median", "share", goal=("otad", ">=", 0.8), compare=False, note=note),
            row("the median", "KB/s", "rate"), row("CPU of server", "%", "cpu"), row("CPU of clients", "%", "client"),
            row("CPU of others", "%", "others", compare=False)]


if __name__ == "__main__":
    from bench import more_descriptors
    from rows import table
    more_descriptors()
    print(table(run(False)))
