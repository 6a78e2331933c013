#!/usr/bin/python3
"""Kills otad at a random moment, again and again, under a load whose every acknowledgement is remembered; after each kill
everything that was acknowledged must be in the store.

  killloop.py [--rounds N] [--seed N] [reports] [rest] [uploads]

reports: QoS 1, at RATE a second, through a broker that lives on. rest: writes by four clients. uploads: files by three.
"""
import argparse
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from harness import BUILD, Otad, UnixConnection, free_ports, read_reply, wait_until
from torture import answers, check_store

RATE, DEVICES, CONNECTIONS, MODULES = 5000, 1000, 100, 16
KILL_AFTER_S = (0.05, 1.0)
DRAIN_S = 120


class PlainBroker:
    """A mosquitto without TLS and without us in it, which keeps what otad has not taken."""

    def __init__(self, folder, **limits):
        (self.port,) = free_ports(1)
        self.path = Path(folder) / "broker.conf"
        limits = {"max_inflight_messages": 1000, "max_queued_messages": 500_000, "max_queued_bytes": 1 << 28,
                  "sys_interval": 1, **limits}
        self.path.write_text(
            (f"user {os.environ.get('USER', 'root')}\n" if os.geteuid() == 0 else "")
            + f"listener {self.port} localhost\nallow_anonymous true\n"
            + "".join(f"{key} {value}\n" for key, value in limits.items()))
        self.process = None

    def start(self):
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        self.process = subprocess.Popen([program, "-c", str(self.path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def settings(self):
        return {"broker": "external", "mqtt_host": "localhost", "mqtt_port": self.port}

    def counter(self, topic):
        """Of $SYS/broker; 0 for one that has not changed for a minute, which the broker forgets."""
        done = subprocess.run(["mosquitto_sub", "-p", str(self.port), "-t", f"$SYS/broker/{topic}", "-C", "1", "-W", "5"],
                              capture_output=True, text=True, check=False)
        return int(done.stdout or 0)


class Load:
    """Clients that write until they are told to stop, each in a thread; what was answered with 2xx is in `known`."""

    def __init__(self, server, clients):
        self.server, self.clients = server, clients
        self.known, self.lock = {}, threading.Lock()
        self.numbers = itertools.count(1)
        self.asked = self.refused = 0

    def ask(self, method, path, body, headers=None):
        """The data of a 2xx, or None."""
        self.asked += 1
        connection = UnixConnection(self.server.data / "otad.sock")
        try:
            connection.request(method, "/api/v1" + path, body, headers or {})
            reply = read_reply(connection)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        self.refused += reply.status >= 300
        assert reply.status < 300 or reply.status >= 500, (method, path, reply)
        return reply.data if reply.status < 300 else None

    def remember(self, key, value):
        with self.lock:
            self.known[key] = value

    def run_until(self, ended):
        def live():
            while not ended.is_set():
                self.once(next(self.numbers))
        threads = [threading.Thread(target=live) for _ in range(self.clients)]
        for thread in threads:
            thread.start()
        return threads

    def make_product(self):
        assert self.ask("POST", "/products", json.dumps({"key": "p", "protocol": "native"}))


class Rest(Load):
    """A device is made, then told its place: both are looked for."""

    def once(self, i):
        name = f"d{i}"
        if self.ask("POST", "/devices", json.dumps({"product": "p", "name": name})):
            self.remember(name, None)
            site = f"site-{i}"
            if self.ask("PATCH", f"/devices/p/{name}", json.dumps({"tags": {"site": site}})):
                self.remember(name, site)

    def lost(self, db):
        there = {name: json.loads(tags).get("site") for name, tags in db.execute(
            "SELECT d.name, coalesce(json_group_object(t.key, t.value) FILTER (WHERE t.key IS NOT NULL), '{}') "
            "FROM device d LEFT JOIN device_tag t ON t.device_id = d.id GROUP BY d.id")}
        return [name for name, site in self.known.items() if name not in there or site not in (None, there[name])]


class Uploads(Load):
    def once(self, i):
        data = random.randbytes(random.randint(1000, 60_000))
        made = self.ask("PUT", f"/firmware?product=p&version=1.0.{i}", data)
        if made:
            assert made["sha256"] == hashlib.sha256(data).hexdigest()
            self.remember(made["id"], made["sha256"])

    def lost(self, db):
        there = dict(db.execute("SELECT id, sha256 FROM firmware"))
        return [key for key, sha256 in self.known.items() if there.get(key) != sha256]


def start(server):
    server.start(until=lambda: answers(server), pause_s=0.01)


def reader(server):
    """Reads beside otad, as its broker's plugin does."""
    return contextlib.closing(sqlite3.connect(f"file:{server.data}/otad.db?mode=ro", uri=True))


def check_files(server):
    """Of a server that has started again: nothing half done, and no bytes that no row names."""
    assert not list((server.data / "tmp").iterdir())
    assert not list(server.data.rglob("*.new"))
    with reader(server) as db:
        rows = {row[0] for row in db.execute("SELECT sha256 FROM firmware")}
    assert {path.name for path in (server.data / "blobs").rglob("*") if path.is_file()} == rows


def kill_writes(kind, rounds, folder, dice):
    """Rest or Uploads. Answers what it comes to."""
    server = Otad(folder, {"broker": "external", "mqtt_host": "localhost", "mqtt_port": 1})
    load = kind(server, 4 if kind is Rest else 3)
    try:
        start(server)
        load.make_product()
        for _ in range(rounds):
            ended = threading.Event()
            threads = load.run_until(ended)
            time.sleep(dice.uniform(*KILL_AFTER_S))
            server.kill()
            ended.set()
            for thread in threads:
                thread.join()
            check_store(server)
            with contextlib.closing(sqlite3.connect(server.root / "copy.db")) as db:
                lost = load.lost(db)
            assert not lost, f"lost: {lost}"
            start(server)
            check_files(server)
    finally:
        server.kill()
    return f"{rounds} kills, {load.asked} requests, {len(load.known)} of them acknowledged for good, 0 lost, {load.refused} refused"


class Reports:
    """The program of reports.c."""

    def __init__(self, port, rate, devices=DEVICES, connections=CONNECTIONS):
        self.process = subprocess.Popen([str(BUILD / "reports"), str(port), "p", str(devices), str(connections), str(rate)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def pause(self):
        """Each device's newest report, all of them acknowledged by the broker."""
        self.tell("pause")
        line = self.process.stdout.readline()
        assert line, "reports ended"
        return list(map(int, line.split()))

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def missing(server, newest):
    """Reports that the store should hold and does not: of each device the last MODULES can be told apart."""
    with reader(server) as db:
        there = {(name, module): int(version) for name, module, version in db.execute(
            "SELECT d.name, m.module, m.version FROM device_module m JOIN device d ON d.id = m.device_id")}
    return [(i, k) for i, last in enumerate(newest) for k in range(max(1, last - MODULES + 1), last + 1)
            if there.get((f"d{i:05}", f"m{k % MODULES}")) != k]


def kill_reports(rounds, folder, dice, rate=RATE):
    broker = PlainBroker(folder).start()
    server = Otad(folder, broker.settings())
    reports = None
    try:
        server.start()
        server.ok("POST", "/products", {"key": "p", "protocol": "native"})
        lines = ["product,name,secret"] + [f"p,d{i:05},secret-of-d{i:05}" for i in range(DEVICES)]
        server.ok("POST", "/devices:import", body="\n".join(lines) + "\n", headers={"Content-Type": "text/csv"})
        reports = Reports(broker.port, rate)
        newest, began, ran_s = [0] * DEVICES, time.monotonic(), 0
        for number in range(rounds):
            reports.tell("run")
            run_at = time.monotonic()
            time.sleep(dice.uniform(*KILL_AFTER_S))
            server.kill()
            start(server)
            newest = reports.pause()
            ran_s += time.monotonic() - run_at
            try:
                wait_until(lambda: not missing(server, newest), DRAIN_S, pause_s=0.1)
            except AssertionError:
                raise AssertionError(f"round {number + 1}: lost (device, report): {missing(server, newest)[:20]}") from None
        sent = broker.counter("publish/messages/sent")
        dropped = broker.counter("publish/messages/dropped")
        server.kill()
        check_store(server)
    finally:
        server.kill()
        if reports:
            reports.stop()
        broker.stop()
    total = sum(newest)
    return (f"{rounds} kills in {time.monotonic() - began:.0f} s, {total} reports acknowledged ({total / ran_s:.0f}/s while "
            f"running), 0 lost, {dropped} dropped by the broker, {sent - total} delivered again or of the broker's own")


KINDS = {"reports": kill_reports, "rest": lambda *args: kill_writes(Rest, *args),
         "uploads": lambda *args: kill_writes(Uploads, *args)}


def run(kind, rounds, seed):
    folder = tempfile.mkdtemp(prefix="otad-")
    try:
        return KINDS[kind](rounds, folder, random.Random(seed))
    except AssertionError as e:
        log = Path(folder) / "otad.log"
        raise AssertionError(f"{kind}, seed {seed}: {e}\n{log.read_text()[-4000:] if log.exists() else ''}") from e
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="*", choices=[[], *KINDS])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    for kind in args.kind or KINDS:
        print(f"kill: {kind}: {run(kind, args.rounds, args.seed)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
