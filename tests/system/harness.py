"""What the system tests share: waiting, processes, and a server of their own.

Nothing here sleeps for readiness: things are asked for until they answer, with a generous end.
"""
import base64
import datetime
import errno
import http.client
import json
import mmap
import os
import random
import signal
import socket
import ssl
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("OTAD_BUILD") or ROOT / "build").resolve()
SANITIZED = BUILD.name in ("san", "tsan")
WAIT_S = 60
FINAL = {"succeeded", "failed", "timed_out", "rejected", "rolled_back", "cancelled", "superseded", "removed"}
SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


def wait_until(fn, timeout_s=WAIT_S, what="", pause_s=0.05):
    """The first true value of fn(); the end of waiting is a failure that shows the last value."""
    end = time.monotonic() + timeout_s
    while True:
        value = fn()
        if value:
            return value
        assert time.monotonic() < end, f"waited {timeout_s} s in vain for {what or fn}: last {value!r}"
        time.sleep(pause_s)


PORTS = iter(random.sample(range(20000, 32000), 12000))


def free_ports(n):
    """Free ports, no one twice, and below those that the kernel gives to outgoing connections."""
    found = []
    while len(found) < n:
        port = next(PORTS)
        with socket.socket() as s:
            try:
                s.bind(("", port))
            except OSError as e:
                if e.errno != errno.EADDRINUSE:
                    raise
                continue
        found.append(port)
    return found


def alive(pid):
    """True for a process that still runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid):
    """(pid, name) of every process below pid."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, tail = stat.read_text().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        child, name = head.split(" (", 1)
        children.setdefault(int(tail.split()[1]), []).append((int(child), name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += [child for child, _ in below]
    return found


def status_kb(pid, field):
    """A line of /proc/PID/status that counts kilobytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)


def moment(at_ms):
    """As otad writes it."""
    at = datetime.datetime.fromtimestamp(at_ms // 1000, datetime.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}Z"


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    data: Any  # parsed when it is JSON, else bytes


def read_reply(connection):
    answer = connection.getresponse()
    body = answer.read()
    kind = answer.headers.get("Content-Type", "")
    return Reply(answer.status, answer.headers, json.loads(body) if "json" in kind and "ndjson" not in kind and body else body)


def receive(sock, end):
    """Everything up to and with end."""
    data = b""
    while not data.endswith(end):
        more = sock.recv(65536)
        assert more, f"closed after {data!r}"
        data += more
    return data


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def problem(reply, status, *words):
    """An error as RFC 9457 has it, which names what is at fault."""
    assert reply.status == status, (reply.status, reply.data)
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert reply.data["status"] == status
    assert reply.data["title"] and reply.data["detail"]
    for word in words:
        assert word in f"{reply.data.get('field')}: {reply.data['detail']}", reply.data


def seconds(span):
    """Of a span as otad writes it: 30s, 10m, 2h, 7d."""
    return int(span[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[span[-1]]


class Clock:
    """What the processes that preload clock.c see on the wall: it stands, and goes on when it is told to."""

    def __init__(self, path):
        self.env = {"LD_PRELOAD": str(BUILD / "testclock.so"), "TESTCLOCK": str(path)}
        if SANITIZED:
            self.env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        path.write_bytes(bytes(8))
        path.chmod(0o644)
        with path.open("r+b") as file:
            self.file = mmap.mmap(file.fileno(), 8)
        self.set(int(time.time() * 1000))

    def set(self, now_ms):
        """One store of eight bytes."""
        self.now_ms = now_ms
        memoryview(self.file).cast("q")[0] = now_ms * 1_000_000


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=WAIT_S)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Otad:
    """A server of its own: data directory, ports and log under root, which should be a short path (Unix sockets)."""

    def __init__(self, root, settings=None, env=None, clock=False):
        self.root = Path(root)
        self.data = self.root / "data"
        self.log_path = self.root / "otad.log"
        self.https_port, self.mqtt_port, self.mqtt_plain_port, self.http_port = free_ports(4)
        self.settings = {
            "https_port": self.https_port, "mqtt_port": self.mqtt_port, "mqtt_plain_port": self.mqtt_plain_port,
            "http_port": self.http_port, "public_url": f"https://localhost:{self.https_port}", **(settings or {}),
        }
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("OTAD_")} | (env or {})
        self.clock = Clock(self.root / "clock") if clock else None
        self.env |= self.clock.env if clock else {}
        self.extra_args = []
        self.process = None

    # ---- the process

    @property
    def args(self):
        options = [arg for key, value in self.settings.items() for arg in ("-o", f"{key}={value}")]
        return [str(BUILD / "otad"), "-d", str(self.data), *options, *self.extra_args]

    @property
    def pid(self):
        return self.process.pid

    def start(self, until=None, pause_s=0.05):
        """until: what to wait for instead of a good health."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.args, env=self.env, cwd=self.root, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        wait_until(lambda: self.runs() and (until or self.healthy)(), what="the start of otad", pause_s=pause_s)
        return self

    def runs(self):
        assert self.process.poll() is None, f"otad ended with {self.process.returncode}:\n{self.log(40)}"
        return True

    def healthy(self):
        return self.health() == 0

    def answers(self):
        """HTTPS is served, whatever the health."""
        try:
            return self.http("GET", "/health").status in (200, 503)
        except (OSError, http.client.HTTPException):
            return False

    def health(self):
        return subprocess.run([str(BUILD / "otad"), "health", "-d", str(self.data)], env=self.env, timeout=WAIT_S,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode

    def stop(self, sig=signal.SIGTERM):
        """Asks it to end, and insists that it does so well and leaves no process behind."""
        if self.process is None:
            return
        below = descendants(self.pid)
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            code = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.process = None
        assert code == 0, f"otad ended with {code}:\n{self.log(40)}"
        wait_until(lambda: not any(alive(pid) for pid, _ in below), what=f"the end of {below}")
        found = [word for word in SANITIZER_WORDS if word in self.log()]
        assert not found, f"{found} in the log:\n{self.log(60)}"

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self, sig=signal.SIGTERM):
        if sig == signal.SIGKILL:
            self.kill()
        else:
            self.stop(sig)
        return self.start()

    def broker_pid(self):
        """The managed mosquitto's process id, or None while there is none."""
        pids = [pid for pid, name in descendants(self.pid) if name == "mosquitto" and alive(pid)]
        return pids[0] if pids else None

    def log(self, lines=None):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return text if lines is None else "\n".join(text.splitlines()[-lines:])

    # ---- HTTPS

    @property
    def ca(self):
        return self.data / "certs" / "ca.pem"

    @property
    def token(self):
        return (self.data / "admin.token").read_text().strip()

    def tls(self):
        return ssl.create_default_context(cafile=str(self.ca))

    def connection(self):
        return http.client.HTTPSConnection("localhost", self.https_port, timeout=WAIT_S, context=self.tls())

    def raw(self):
        """A TLS socket with nothing said yet."""
        plain = socket.create_connection(("localhost", self.https_port), timeout=WAIT_S)
        return self.tls().wrap_socket(plain, server_hostname="localhost")

    def http(self, method, target, body=None, headers=None):
        connection = self.connection()
        try:
            connection.request(method, target, body=body, headers=headers or {})
            return read_reply(connection)
        finally:
            connection.close()

    def fetch(self, url, headers=None, method="GET"):
        """The reply to the URL of an offer, which must be one of this server's."""
        parts = urllib.parse.urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("https", f"localhost:{self.https_port}"), url
        return self.http(method, url[len("https://") + len(parts.netloc):], headers=headers)

    def api(self, method, path, json_body=None, *, body=None, headers=None, token=None):
        """One call under /api/v1. token "" sends none; None sends the administrator's."""
        all_headers = {}
        if token != "":
            all_headers["Authorization"] = f"Bearer {token or self.token}"
        if json_body is not None:
            body = json.dumps(json_body)
            all_headers["Content-Type"] = "application/json"
        return self.http(method, "/api/v1" + path, body, {**all_headers, **(headers or {})})

    def ok(self, method, path, json_body=None, **more):
        """The same, which must go well; answers the data alone."""
        reply = self.api(method, path, json_body, **more)
        assert 200 <= reply.status < 300, f"{method} {path} {json_body}: {reply.status} {reply.data}"
        return reply.data

    def by_socket(self, method, path, body=None, headers=None):
        connection = UnixConnection(self.data / "otad.sock")
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return read_reply(connection)
        finally:
            connection.close()

    def curl(self, *args, check=True, stdin=None):
        done = subprocess.run(["curl", "-sS", "--cacert", str(self.ca), *map(str, args)], input=stdin,
                              capture_output=True, timeout=3 * WAIT_S)
        assert not check or done.returncode == 0, f"curl {args}: {done.returncode} {done.stderr.decode()}"
        return done

    def url(self, target):
        return f"https://localhost:{self.https_port}{target}"

    def pages(self, path):
        """Every item of a list, page after page."""
        items, after = [], None
        while True:
            more = f"{'&' if '?' in path else '?'}after={urllib.parse.quote(str(after))}" if after else ""
            page = self.ok("GET", path + more)
            items += page["items"]
            after = page.get("next")
            if not after:
                return items

    # ---- time, of a server with clock=True

    def later(self, span="0s"):
        """So much time goes by, a millisecond at least, and what it brings is done."""
        self.at(self.clock.now_ms + max(1, 1000 * seconds(span)))

    def at(self, now_ms):
        """The clock stands there, and what that brings is done."""
        self.clock.set(now_ms)
        self.by_socket("PATCH", f"/api/v1/products/{self.ticker()}", "{}")
        wait_until(self.ticked, what="the tick", pause_s=0.002)

    def ticker(self):
        """A product to write to: that wakes whoever ticks."""
        if not hasattr(self, "ticking"):
            self.ticking = self.ok("POST", "/products", {"key": "ticker", "protocol": "native"})["key"]
        return self.ticking

    def ticked(self):
        return self.by_socket("GET", "/api/v1/status").data["ticked_at"] == moment(self.clock.now_ms)

    # ---- campaigns

    def campaign(self, campaign_id):
        return self.ok("GET", f"/campaigns/{campaign_id}")

    def executions(self, campaign_id):
        """By device name."""
        return {row["device"]: row for row in self.pages(f"/campaigns/{campaign_id}/executions")}

    def state_of(self, campaign_id, device="d1"):
        return self.executions(campaign_id)[device]["state"]

    def wait_state(self, campaign_id, device, *states):
        """The execution once it is in one of these states."""
        def look():
            row = self.executions(campaign_id).get(device)
            assert not row or row["state"] in states or row["state"] not in FINAL, f"{row}, not {states}"
            return row if row and row["state"] in states else None
        return wait_until(look, what=f"{device} {states} in campaign {campaign_id}")

    def wait_campaign(self, campaign_id, *states):
        def look():
            campaign = self.campaign(campaign_id)
            return campaign if campaign["state"] in states else None
        return wait_until(look, what=f"campaign {campaign_id} {states}")

    def counts(self, campaign_id):
        """Those that are not 0."""
        return {state: n for state, n in self.campaign(campaign_id)["counts"].items() if n}

    def wait_counts(self, campaign_id, expected, timeout_s=WAIT_S):
        seen = {}

        def reached():
            seen.update(now=self.counts(campaign_id))
            return seen["now"] == expected
        try:
            wait_until(reached, timeout_s)
        except AssertionError:
            raise AssertionError(f"campaign {campaign_id} has {seen['now']}, not {expected}") from None

    def check_counts(self, campaign_id):
        """Invariant 9: the counts equal what counting the executions gives."""
        counted = {}
        for row in self.executions(campaign_id).values():
            counted[row["state"]] = counted.get(row["state"], 0) + 1
        assert self.counts(campaign_id) == counted

    def module_version(self, product, device, module="default"):
        """None for a device that is not known, or has not reported that module."""
        reply = self.api("GET", f"/devices/{product}/{device}")
        modules = reply.data["modules"] if reply.status == 200 else []
        found = [m["version"] for m in modules if m["module"] == module]
        return found[0] if found else None
