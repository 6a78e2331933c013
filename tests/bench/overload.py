"""overload.py SECONDS RESULTS: what otad can do, and then twice that for a while: how much it serves, whom it sends away, what
others feel, and how much memory it takes. `make overload SECONDS=600` calls it.

Devices poll over plain HTTP, which costs the client little, and tell another version each time, so that every poll is a
write. Capacity is what 64 of them get who ask without a pause; the load is 3,000 that together would ask twice as often. Where
the machine's cores are too few for otad and such clients, less is asked: `asked_per_s` is what came."""
import json
import socket
import sys
import time
from pathlib import Path

from bench import machine, more_descriptors
from harness import basic, free_ports, status_kb, wait_until
from load import Task, polls, probe
from peers import CORES, Stage, cpu_s, machine_busy_s

DEVICES = 3000
BUSY = 64
CAPACITY_S = 20


def requests_of(product, name, secret):
    """Two polls that tell different versions, as bytes."""
    proof = basic(f"{product}/{name}", secret)["Authorization"]
    return [(f"GET /api/v1/device/offer?version=1.0.{i} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {proof}\r\n\r\n").encode()
            for i in range(2)]


def served(said):
    return sum(n for status, n in said["counts"].items() if status in ("200", "204"))


class Load:
    """All devices, shared out to as many processes as there are cores."""

    def __init__(self, address, requests, rate):
        self.tasks = [Task(polls, address, requests[i::CORES], rate / CORES) for i in range(CORES)]

    def stop(self):
        said = [task.stop() for task in self.tasks]
        counts = {}
        for status in sorted({status for one in said for status in one["counts"]}):
            counts[status] = sum(one["counts"].get(status, 0) for one in said)
        return {"counts": counts, "took_s": max(one["took_s"] for one in said),
                "p50_ms": max(one["p50_ms"] for one in said), "p99_ms": max(one["p99_ms"] for one in said)}


class Cpu:
    """Cores in use: where the clients took what otad would have needed, it shows here."""

    def __init__(self, otad):
        self.otad, self.began = otad, self.now(otad)

    @staticmethod
    def now(otad):
        return time.monotonic(), cpu_s(otad.pid), machine_busy_s()

    def used(self):
        at_s, otad_s, busy_s = (now - then for now, then in zip(self.now(self.otad), self.began))
        return {"otad": otad_s / at_s, "others": (busy_s - otad_s) / at_s}


def rss_kb(otad):
    return status_kb(otad.pid, "VmRSS")


def measure(stage, seconds):
    otad = stage.otad = stage.start_otad(http_port=stage.port)
    product = otad.ok("POST", "/products", {"key": "fleet", "protocol": "native", "enrolment": "open"})
    requests = [requests_of("fleet", f"d{n:05}", product["enrolment_secret"]) for n in range(DEVICES)]
    address = ("127.0.0.1", stage.port)
    context = stage.context()

    def connect():
        return context.wrap_socket(socket.create_connection(("127.0.0.1", otad.https_port), 30), server_hostname="localhost")

    # all are known and have a connection's worth of memory in the heap before anything counts
    warm = Load(address, requests, DEVICES / 4)
    time.sleep(8)
    warm.stop()
    task, calm_cpu = Task(polls, address, requests[:BUSY], None), Cpu(otad)
    time.sleep(CAPACITY_S)
    calm, calm_cpu = task.stop(), calm_cpu.used()
    capacity = served(calm) / calm["took_s"]
    quiet = Task(probe, connect, 0.02)
    time.sleep(10)
    alone = quiet.stop()

    start_kb, most_kb = rss_kb(otad), 0
    health, load = Task(probe, connect, 0.05), Load(address, requests, 2 * capacity)
    cpu, end = Cpu(otad), time.monotonic() + seconds
    while time.monotonic() < end:
        most_kb = max(most_kb, rss_kb(otad))
        assert otad.runs()
        time.sleep(0.5)
    said, cpu, felt = load.stop(), cpu.used(), health.stop()
    wait_until(otad.healthy, what="a good health afterwards")
    time.sleep(2)
    counters = otad.by_socket("GET", "/api/v1/status").data["counters"]
    return {"capacity_per_s": capacity, "capacity_p99_ms": calm["p99_ms"], "capacity_cpu": calm_cpu, "offered_per_s": 2 * capacity,
            "asked_per_s": sum(said["counts"].values()) / said["took_s"],
            "seconds": said["took_s"], "answers": said["counts"], "served_per_s": served(said) / said["took_s"],
            "shed_per_s": said["counts"].get("503", 0) / said["took_s"], "p50_ms": said["p50_ms"], "p99_ms": said["p99_ms"],
            "cpu": cpu,
            "health_alone": alone, "health": felt, "rss_start_kb": start_kb, "rss_most_kb": most_kb,
            "rss_end_kb": rss_kb(otad), "requests_shed": counters["requests_shed"],
            "connections_cut": counters["connections_cut"]}


def main():
    seconds, results = float(sys.argv[1]), Path(sys.argv[2])
    more_descriptors()
    with Stage() as stage:
        stage.port = free_ports(1)[0]
        found = measure(stage, seconds)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    assert found["served_per_s"] > 0 and not found["health"]["failures"], "it did not serve all the time"


if __name__ == "__main__":
    main()
