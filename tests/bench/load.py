"""Clients that press on a server: devices that poll at a rate of their own choice, drippers, and one who measures what others
feel. Each in a process of its own, so that none waits for another's Python."""
import contextlib
import heapq
import multiprocessing
import random
import selectors
import socket
import statistics
import time

FORK = multiprocessing.get_context("fork")


class Task:
    """target(stop, say, ...) in a process, until stop is set; what it says last is its result."""

    def __init__(self, target, *args):
        self.event = FORK.Event()
        self.here, there = FORK.Pipe()
        self.process = FORK.Process(target=target, args=(self.event, there.send, *args), daemon=True)
        self.process.start()
        there.close()

    def stop(self):
        self.event.set()
        said = self.here.recv() if self.here.poll(60) else None
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
        return said


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


# ---- what others feel

def probe(stop, say, connect, pause_s):
    """Milliseconds of GET /health, each on one kept connection of TLS; a status that is not 200 is a failure."""
    times, failures, sock = [], 0, None
    while not stop.is_set():
        started = time.perf_counter()
        try:
            if sock is None:
                sock = connect()
                started = time.perf_counter()
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if sock.recv(65536).startswith(b"HTTP/1.1 200 "):
                times.append((time.perf_counter() - started) * 1000)
            else:
                failures += 1
        except OSError:
            failures, sock = failures + 1, None
        stop.wait(pause_s)
    say({"n": len(times), "failures": failures, "p50_ms": statistics.median(times) if times else None,
         "p99_ms": quantile(times, 0.99) if times else None, "max_ms": max(times, default=None)})


# ---- drippers

def drippers(stop, say, kinds, count, pause_s=1.0):
    """count connections that send a byte each second, and begin anew when they are cut; they come within ten seconds, so that
    they are not cut all at once. kinds: of (connect, bytes)."""
    due = [(time.monotonic() + random.uniform(0, 10), i, None, 0) for i in range(count)]
    heapq.heapify(due)
    cut = 0
    while not stop.is_set():
        at, i, sock, sent = heapq.heappop(due)
        stop.wait(max(0, at - time.monotonic()))
        connect, data = kinds[i % len(kinds)]
        try:
            if sock is None:
                sock, sent = connect(), 0
                sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.send(data[sent % len(data):][:1])
            sent += 1
        except OSError:
            cut += sock is not None
            sock = None
        heapq.heappush(due, (max(at + pause_s, time.monotonic() - 1), i, sock, sent))
    say({"cut": cut})


# ---- devices that poll

class Device:
    def __init__(self, requests):
        self.requests = requests  # by turns
        self.sock, self.turn, self.at, self.buffer = None, 0, 0.0, b""


def polls(stop, say, address, requests, rate):
    """Each of len(requests) devices has a connection, and asks again when its time has come and it has its answer. rate: of
    all, a second; None: at once. Says how often which status came, and how many seconds it took."""
    select, devices, due = selectors.EpollSelector(), [Device(one) for one in requests], []
    period_s = len(devices) / rate if rate else 0
    counts, began, times = {}, time.monotonic(), []
    for n, device in enumerate(devices):
        heapq.heappush(due, (began + random.uniform(0, period_s), n))

    def count(what):
        counts[what] = counts.get(what, 0) + 1

    def again(n, at):
        heapq.heappush(due, (max(at + period_s, time.monotonic() - 2 * period_s), n))

    def broken(n, device):
        count("broken")
        if device.sock is not None:
            select.unregister(device.sock)
            device.sock.close()
            device.sock = None
        again(n, device.at + 1)

    def ask(n, device, at):
        device.at, device.began = at, time.monotonic()
        try:
            if device.sock is None:
                device.sock = socket.create_connection(address, timeout=5)
                device.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                select.register(device.sock, selectors.EVENT_READ, n)
            device.sock.send(device.requests[device.turn % len(device.requests)])
            device.turn += 1
        except OSError:
            broken(n, device)

    def heard(n, device):
        try:
            data = device.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            broken(n, device)
            return
        count(data[9:12].decode())  # answers to polls are shorter than a segment
        times.append((time.monotonic() - device.began) * 1000)
        again(n, device.at)

    while not stop.is_set():
        now = time.monotonic()
        for _ in range(64):
            if not due or due[0][0] > now:
                break
            at, n = heapq.heappop(due)
            ask(n, devices[n], at)
        wait_s = min(0.1, max(0, due[0][0] - time.monotonic())) if due else 0.1
        for key, _ in select.select(wait_s):
            heard(key.data, devices[key.data])
    took_s = time.monotonic() - began
    say({"took_s": took_s, "counts": counts, "p50_ms": statistics.median(times) if times else None,
         "p99_ms": quantile(times, 0.99) if times else None})
