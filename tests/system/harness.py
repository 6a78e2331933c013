"""What the system tests share: a server of their own, a device that speaks MQTT, files with telling bytes.

Nothing here sleeps for readiness: things are asked for until they answer, with a generous end.
"""
import base64
import hashlib
import http.client
import itertools
import json
import os
import queue
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("OTAD_BUILD") or ROOT / "build").resolve()
SANITIZED = BUILD.name in ("san", "tsan")
WAIT_S = 60
FINAL = {"succeeded", "failed", "timed_out", "rejected", "rolled_back", "cancelled", "superseded", "removed"}
SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


def wait_until(fn, timeout_s=WAIT_S, what=""):
    """The first true value of fn(); the end of waiting is a failure that shows the last value."""
    end = time.monotonic() + timeout_s
    while True:
        value = fn()
        if value:
            return value
        assert time.monotonic() < end, f"waited {timeout_s} s in vain for {what or fn}: last {value!r}"
        time.sleep(0.05)


def free_ports(n):
    """Ports the kernel gave out together, so that they differ."""
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


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


def pattern(size, seed=0):
    """Bytes that tell their position: big-endian counters, so that a piece shifted by one byte differs."""
    words = size // 4 + 1
    start = seed * 0x01010101
    return struct.pack(f">{words}I", *((start + i) & 0xFFFFFFFF for i in range(words)))[:size]


def esp_image(version="1.2.0", project="thermo", chip_id=5, payload=b"", hash_appended=True, spoil=None):
    """An ESP application image of two segments. spoil: "checksum", "hash" or "truncated"."""
    desc = struct.pack("<II8x32s32s16s16s32s32s72x", 0xABCD5432, 0, version.encode(), project.encode(), b"12:00:00",
                       b"Jan  1 2026", b"v5.1.2", hashlib.sha256(payload).digest())
    head = struct.pack("<BBBBI", 0xE9, 2, 2, 0x20, 0x403800EE)
    head += struct.pack("<B3sHBHH4sB", 0xEE, bytes(3), chip_id, 0, 0, 0xFFFF, bytes(4), int(hash_appended))
    code = pattern(1000) + payload
    code += bytes(-len(code) % 4)
    segments = [desc, code]
    image = head + b"".join(struct.pack("<II", 0x3C000020 + (i << 20), len(s)) + s for i, s in enumerate(segments))
    checksum = 0xEF
    for byte in b"".join(segments):
        checksum ^= byte
    image += bytes(-(len(image) + 1) % 16) + bytes([checksum ^ (1 if spoil == "checksum" else 0)])
    if hash_appended:
        digest = bytearray(hashlib.sha256(image).digest())
        digest[31] ^= 1 if spoil == "hash" else 0
        image += bytes(digest)
    return image[:len(image) // 2] if spoil == "truncated" else image


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    data: Any  # parsed when it is JSON, else bytes


def read_reply(connection):
    answer = connection.getresponse()
    body = answer.read()
    kind = answer.headers.get("Content-Type", "")
    return Reply(answer.status, answer.headers, json.loads(body) if "json" in kind and body else body)


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


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

    def __init__(self, root, settings=None, env=None):
        self.root = Path(root)
        self.data = self.root / "data"
        self.log_path = self.root / "otad.log"
        self.https_port, self.mqtt_port, self.mqtt_plain_port, self.http_port = free_ports(4)
        self.settings = {
            "https_port": self.https_port, "mqtt_port": self.mqtt_port, "mqtt_plain_port": self.mqtt_plain_port,
            "http_port": self.http_port, "public_url": f"https://localhost:{self.https_port}", **(settings or {}),
        }
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("OTAD_")} | (env or {})
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

    def start(self, until=None):
        """until: what to wait for instead of a good health."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.args, env=self.env, cwd=self.root, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        wait_until(lambda: self.runs() and (until or self.healthy)(), what="the start of otad")
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

    # ---- campaigns

    def campaign(self, campaign_id):
        return self.ok("GET", f"/campaigns/{campaign_id}")

    def executions(self, campaign_id):
        """By device name."""
        return {row["device"]: row for row in self.pages(f"/campaigns/{campaign_id}/executions")}

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

    def check_counts(self, campaign_id):
        """Invariant 9: the counts equal what counting the executions gives."""
        counted = {}
        for row in self.executions(campaign_id).values():
            counted[row["state"]] = counted.get(row["state"], 0) + 1
        counts = self.campaign(campaign_id)["counts"]
        assert {state: n for state, n in counts.items() if n} == counted

    def module_version(self, product, device, module="default"):
        modules = self.ok("GET", f"/devices/{product}/{device}")["modules"]
        found = [m["version"] for m in modules if m["module"] == module]
        return found[0] if found else None


class Product:
    """A product of one test's own, with short ways to its devices, firmware and campaigns."""

    numbers = itertools.count(1)

    def __init__(self, otad, **fields):
        self.otad = otad
        self.key = fields.pop("key", f"p{next(Product.numbers)}")
        self.made = otad.ok("POST", "/products", {"key": self.key, "protocol": "native", **fields})
        self.enrolment_secret = self.made.get("enrolment_secret")

    def register(self, name, **fields):
        return self.otad.ok("POST", "/devices", {"product": self.key, "name": name, **fields})

    def device(self, name, **more):
        """Registered, not connected."""
        secret = self.register(name, **{k: more.pop(k) for k in ("tags", "secret") if k in more})["secret"]
        return Device(self.otad, self.key, name, secret, **more)

    def upload(self, data=None, version="1.2.0", **query):
        data = pattern(5003) + f"{self.key} {version}".encode() if data is None else data
        query = urllib.parse.urlencode({"product": self.key, "version": version, **query})
        return self.otad.ok("PUT", f"/firmware?{query}", body=data)

    def campaign(self, *firmware, **fields):
        ids = [f["id"] if isinstance(f, dict) else f for f in firmware]
        return self.otad.ok("POST", "/campaigns", {"firmware": ids, **fields})["id"]


class Refused(Exception):
    """The broker's answer to CONNECT was no."""


class Device:
    """A device with a paho client. Messages on its offer topic wait in `messages`, parsed."""

    def __init__(self, otad, product, name, secret, *, client_id=None, clean=True, tls=True, username=None):
        self.otad, self.product, self.name, self.secret = otad, product, name, secret
        self.messages = queue.Queue()
        self.heard = []  # topics of everything that came
        self.barriers = itertools.count(1)
        self.answered, self.subscribed = threading.Event(), threading.Event()
        self.rc = None
        self.port = otad.mqtt_port if tls else otad.mqtt_plain_port
        self.client = paho.Client(client_id or f"{name}-{uuid.uuid4().hex[:12]}", clean_session=clean)
        self.client.username_pw_set(username or f"{product}/{name}", secret)
        self.client.reconnect_delay_set(1, 2)
        if tls:
            self.client.tls_set(ca_certs=str(otad.ca))
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._on_message

    def topic(self, leaf):
        return f"ota/{self.product}/{self.name}/{leaf}"

    def _on_connect(self, client, _userdata, _flags, rc):
        self.rc = rc
        if rc == 0:
            client.subscribe(self.topic("offer"), 1)
            self.on_ready()
        self.answered.set()

    def _on_disconnect(self, _client, _userdata, _rc):
        self.subscribed.clear()

    def _on_message(self, _client, _userdata, message):
        self.heard.append(message.topic)
        if message.topic == self.topic("offer"):
            self.messages.put(json.loads(message.payload))

    def on_ready(self):
        """Subscribed, after a connect or a reconnect; for devices that speak by themselves."""

    def connect(self):
        self.answered.clear()
        self.client.connect("localhost", self.port, keepalive=30)
        self.client.loop_start()
        assert self.answered.wait(WAIT_S), "no CONNACK"
        if self.rc != 0:
            self.client.loop_stop()
            raise Refused(self.rc)
        assert self.subscribed.wait(WAIT_S), "no SUBACK"
        return self

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()

    def power_off(self):
        """Gone without a word, so that the broker sees a broken connection."""
        sock = self.client.socket()
        self.client.on_disconnect = None
        self.client._reconnect_on_failure = False
        if sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.client._sock_close()
        self.client.loop_stop()

    def publish(self, topic, payload, wait=True, **more):
        payload = payload if isinstance(payload, (bytes, str)) else json.dumps(payload)
        info = self.client.publish(topic, payload, qos=1, **more)
        if wait:
            info.wait_for_publish(WAIT_S)
            assert info.is_published(), f"no PUBACK on {topic}"

    def say(self, leaf, payload, **more):
        self.publish(self.topic(leaf), payload, **more)

    def inform(self, version, module="default", **more):
        self.say("inform", {"version": version, "module": module}, **more)

    def progress(self, offer, **fields):
        self.say("progress", {"id": offer["id"], **fields})

    def next(self, timeout_s=WAIT_S):
        return self.messages.get(timeout=timeout_s)

    def offer(self, version=None, skip=()):
        """The next offer (of this version, not of these ids): the same one may come more than once."""
        while True:
            message = self.next()
            if message["id"] and message["id"] not in skip and version in (None, message["version"]):
                return message

    def drain(self):
        """What has come and was not looked at."""
        messages = []
        while not self.messages.empty():
            messages.append(self.next())
        return messages

    def nothing_due(self):
        """Asks, and must be told that nothing is due; answers what else came before."""
        self.say("request", {})
        return list(iter(self.next, {"id": None}))

    def settle(self):
        """Returns when everything said before is in the store: what one client says keeps its order."""
        version = f"0.{next(self.barriers)}"
        self.inform(version, module="barrier")
        wait_until(lambda: self.otad.module_version(self.product, self.name, "barrier") == version)

    def update(self, offer):
        """Takes an offer to its end, as a good device does."""
        reply = self.otad.fetch(offer["url"])
        assert reply.status == 200
        assert hashlib.sha256(reply.data).hexdigest() == offer["sha256"]
        self.progress(offer, percent=50)
        self.progress(offer, percent=100)
        self.progress(offer, state="installing")
        self.inform(offer["version"])


class SelfActing(Device):
    """A device that updates itself whenever it is offered something, and keeps at it over every outage. While `go` is
    clear it halts in the middle of its downloads."""

    def __init__(self, *args, version="1.0.0", go=None, **more):
        super().__init__(*args, **more)
        self.version = version
        self.go = go or threading.Event()
        if go is None:
            self.go.set()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._live, daemon=True)

    def on_ready(self):
        self.inform(self.version, wait=False)

    def connect(self):
        super().connect()
        self.thread.start()
        return self

    def disconnect(self):
        self.ended.set()
        self.thread.join(WAIT_S)
        super().disconnect()

    def _live(self):
        while not self.ended.is_set():
            try:
                message = self.messages.get(timeout=0.2)
            except queue.Empty:
                continue
            if message["id"] and message["version"] != self.version:
                self._take(message)

    def _take(self, offer):
        for percent in (0, 30, 60):
            self._report(offer, percent=percent)
        while not (self.go.wait(0.2) and self._download(offer)):
            if self.ended.wait(0.2):
                return
        self._report(offer, percent=100)
        self._report(offer, state="installing")
        self.version = offer["version"]
        self.inform(self.version, wait=False)

    def _report(self, offer, **fields):
        self.say("progress", {"id": offer["id"], **fields}, wait=False)

    def _download(self, offer):
        try:
            reply = self.otad.fetch(offer["url"])
        except (OSError, http.client.HTTPException):
            return False
        return reply.status == 200 and hashlib.sha256(reply.data).hexdigest() == offer["sha256"]
