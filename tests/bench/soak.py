"""soak.py HOURS RESULTS: otad with its broker for hours, under all it is made for at once, and how memory and descriptors of
both grow meanwhile. `make soak HOURS=24` calls it; fractions are fine.

Again and again a file is uploaded, brought to fleets of otad-sim over MQTT by a campaign, and withdrawn when the next is
there. Beside that devices poll over HTTP, files are fetched whole and broken off, clients drip, logins fail. After a tenth of the
time (at most an hour) samples begin: the slope of each is that of least squares, with its standard error.

It fails when otad or its broker ended, a campaign did not, a file came wrong, the health is bad at the end, or descriptors are
left when all clients have gone."""
import contextlib
import hashlib
import http.client
import json
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench import machine, more_descriptors
from files import pattern
from harness import BUILD, basic, free_ports, status_kb, wait_until
from load import Task, drippers, polls
from overload import requests_of
from peers import Stage

FLEETS = {"native": 60, "aliyun": 30}
POLLERS = 40
DRIPPERS = 50
SAMPLE_S = 10
KEPT = 3  # versions of a product that are not withdrawn yet
FILE_BYTES = 300_000
SPARE_DESCRIPTORS = 64  # each thread's connection to the store, and the files that are kept open for blocks over MQTT


def slope(points):
    """(a second, its standard error) of [(seconds, value)]; None for fewer than three."""
    n = len(points)
    if n < 3:
        return None
    mean_x, mean_y = (sum(p[i] for p in points) / n for i in (0, 1))
    sxx = sum((x - mean_x) ** 2 for x, _ in points)
    b = sum((x - mean_x) * (y - mean_y) for x, y in points) / sxx
    rest = sum((y - mean_y - b * (x - mean_x)) ** 2 for x, y in points)
    return b, math.sqrt(rest / (n - 2) / sxx)


class Samples:
    def __init__(self, pids):
        self.pids, self.began, self.rows = pids, time.monotonic(), []

    def take(self):
        row = {"s": round(time.monotonic() - self.began, 1)}
        for name, pid in self.pids.items():
            row[f"{name}_rss_kb"] = status_kb(pid, "VmRSS")
            row[f"{name}_anon_kb"] = status_kb(pid, "RssAnon")
            row[f"{name}_fds"] = len(os.listdir(f"/proc/{pid}/fd"))
        self.rows.append(row)
        return row

    def slopes(self, after_s):
        """An hour's worth: bytes for memory, descriptors for those."""
        found = {}
        for key in self.rows[0]:
            unit = 3600 * 1024 if key.endswith("_kb") else 3600
            fit = slope([(row["s"], row[key]) for row in self.rows if row["s"] >= after_s]) if key != "s" else None
            if fit:
                found[key.replace("_kb", "_bytes") + "_per_h"] = {"slope": fit[0] * unit, "standard_error": fit[1] * unit}
        return found


class Worker(threading.Thread):
    """Does its step again and again; the first thing that goes wrong is kept, and ends it."""

    def __init__(self, name, stop, step):
        super().__init__(name=name)
        self.ending, self.step, self.done, self.wrong = stop, step, 0, None
        self.start()

    def run(self):
        while not self.ending.is_set():
            try:
                self.step()
                self.done += 1
            except Exception as e:  # whatever it is, it is the result
                self.wrong = f"{self.name}: {type(e).__name__}: {e}"
                return


class Fleet:
    """A product, devices of otad-sim, and campaigns one after the other."""

    def __init__(self, stage, otad, protocol, devices):
        self.otad, self.key, self.devices, self.files, self.number = otad, f"soak-{protocol}", devices, [], 0
        product = otad.ok("POST", "/products", {"key": self.key, "protocol": protocol, "enrolment": "open"})
        out = stage.enter_context(tempfile.TemporaryFile("w+"))
        self.sim = subprocess.Popen(
            [BUILD / "otad-sim", "--mqtt", f"localhost:{otad.mqtt_port}", "--ca", otad.ca, "--protocol", protocol,
             "--product", self.key, "--secret", product["enrolment_secret"], "--devices", str(devices), "--version", "1.0.0",
             "--install-ms", "200", "--reboot", "--reboot-ms", "200", "--drop-pct", "10", "--mqtt-drop-pct", "10",
             "--until", "stopped", "--json", "--quiet"], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        stage.callback(self.end)
        wait_until(lambda: len(otad.pages(f"/devices?product={self.key}&limit=1000")) == devices, 60, "the fleet")

    def end(self):
        if self.sim.poll() is None:
            self.sim.terminate()
            self.sim.wait(30)

    def step(self):
        self.number += 1
        data = os.urandom(64) + pattern(FILE_BYTES, seed=self.number)
        version = f"2.0.{self.number}"
        file = self.otad.ok("PUT", f"/firmware?product={self.key}&version={version}", body=data)
        campaign = self.otad.ok("POST", "/campaigns", {"firmware": [file["id"]]})["id"]

        def completed():
            assert self.sim.poll() is None, "otad-sim ended"
            now = self.otad.by_socket("GET", f"/api/v1/campaigns/{campaign}").data
            return now if now["state"] in ("completed", "stopped", "cancelled") else None
        counts = wait_until(completed, 600, f"campaign {campaign}", pause_s=0.5)["counts"]
        assert counts["succeeded"] == self.devices, counts
        self.files.append(file["id"])
        if len(self.files) > KEPT:
            self.otad.ok("DELETE", f"/firmware/{self.files.pop(0)}?force=1")


class Downloads:
    def __init__(self, otad, context):
        self.otad, self.context, self.data = otad, context, pattern(2_000_000, seed=3)
        otad.ok("POST", "/products", {"key": "shelf", "protocol": "native", "public": True})
        otad.ok("PUT", "/firmware?product=shelf&version=1&filename=soak.bin", body=self.data)

    def step(self):
        """Whole, or broken off somewhere."""
        connection = http.client.HTTPSConnection("localhost", self.otad.https_port, timeout=60, context=self.context)
        with contextlib.closing(connection):
            connection.request("GET", "/firmware/soak.bin")
            answer = connection.getresponse()
            if random.random() < 0.3:
                answer.read(random.randrange(len(self.data)))
                return
            assert hashlib.sha256(answer.read()).digest() == hashlib.sha256(self.data).digest(), "wrong bytes"
        time.sleep(0.2)


def wrong_logins(otad):
    def step():
        for headers in ({"Authorization": "Bearer wrong"}, basic("soak-native/sim-00001", "wrong")):
            assert otad.http("GET", "/api/v1/device/offer", headers=headers).status in (401, 429)
        time.sleep(0.5)
    return step


def load(stage, otad):
    """All that goes on, as (threads, processes)."""
    context, stop = otad.tls(), threading.Event()
    port = otad.settings["http_port"]
    product = otad.ok("POST", "/products", {"key": "polls", "protocol": "native", "enrolment": "open"})

    def over_tcp():
        return socket.create_connection(("127.0.0.1", port), 5)

    def over_tls():
        return context.wrap_socket(socket.create_connection(("127.0.0.1", otad.https_port), 5), server_hostname="localhost")
    head = b"GET /health HTTP/1.1\r\nX: " + b"x" * 5000
    # processes are forked before there are threads
    tasks = {"polls": Task(polls, ("127.0.0.1", port), [requests_of("polls", f"d{n}", product["enrolment_secret"])
                                                        for n in range(POLLERS)], POLLERS),
             "drippers": Task(drippers, [(over_tcp, head), (over_tls, head)], DRIPPERS)}
    fleets = {protocol: Fleet(stage, otad, protocol, devices) for protocol, devices in FLEETS.items()}
    workers = [Worker(protocol, stop, fleet.step) for protocol, fleet in fleets.items()]
    workers += [Worker("downloads", stop, Downloads(otad, context).step), Worker("wrong logins", stop, wrong_logins(otad))]
    stage.callback(stop.set)
    return stop, workers, tasks, fleets


def soak(stage, seconds):
    otad = stage.otad = stage.start_otad(http_port=free_ports(1)[0])
    pids = {"otad": otad.pid, "mosquitto": otad.broker_pid()}
    samples, wrong = Samples(pids), []
    empty = samples.take()
    stop, workers, tasks, fleets = load(stage, otad)
    end = time.monotonic() + seconds
    while time.monotonic() < end and not wrong:
        time.sleep(min(SAMPLE_S, max(0, end - time.monotonic())))
        if otad.process.poll() is not None or otad.broker_pid() != pids["mosquitto"]:
            wrong.append("otad or its broker ended")
            break
        samples.take()
        wrong += [worker.wrong for worker in workers if worker.wrong]
    warm_s = min(seconds / 10, 3600)
    found = {"hours": seconds / 3600, "samples": len(samples.rows), "after_s": warm_s, "slopes": samples.slopes(warm_s)}
    stop.set()
    for worker in workers:
        worker.join(620)
    wrong += [worker.wrong for worker in workers if worker.wrong and worker.wrong not in wrong]
    said = {name: task.stop() for name, task in tasks.items()}
    for fleet in fleets.values():
        fleet.end()
    if otad.process.poll() is None:
        wrong += settle(otad, samples, empty)
        found["counters"] = otad.by_socket("GET", "/api/v1/status").data["counters"]
    return {**found, "done": {worker.name: worker.done for worker in workers}, "tasks": said, "empty": empty,
            "wrong": wrong, "rows": samples.rows}


def settle(otad, samples, empty):
    """What is left when all have gone: connections that broke off end within a minute or two."""
    def gone():
        row = samples.take()
        return all(row[key] <= empty[key] + SPARE_DESCRIPTORS for key in row if key.endswith("_fds"))
    wrong = []
    with contextlib.suppress(AssertionError):
        wait_until(gone, 150, pause_s=5)
    row = samples.rows[-1]
    wrong += [f"{key}: {row[key]} at the end, {empty[key]} before" for key in row
              if key.endswith("_fds") and row[key] > empty[key] + SPARE_DESCRIPTORS]
    return wrong + ([] if otad.health() == 0 else ["the health is bad at the end"])


def main():
    seconds, results = float(sys.argv[1]) * 3600, Path(sys.argv[2])
    more_descriptors()
    with Stage() as stage:
        found = soak(stage, seconds)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")
    print(json.dumps({key: value for key, value in found.items() if key != "rows"}, indent=1))
    for name, fit in found["slopes"].items():
        print(f"{name:28} {fit['slope']:14.1f} +- {fit['standard_error']:.1f}")
    if found["wrong"]:
        sys.exit("soak: " + "; ".join(found["wrong"]))


if __name__ == "__main__":
    main()
