"""Things of AWS IoT: a client with a certificate that asks and is answered, and the little CBOR that streams need."""
import json
import queue
import ssl
import struct
import tempfile
import threading
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho

from fleet import Refused
from harness import WAIT_S


def cbor(value):
    def head(major, n):
        size = next((i for i, limit in enumerate((24, 1 << 8, 1 << 16, 1 << 32)) if n < limit), 4)
        return bytes([major << 5 | n]) if size == 0 else bytes([major << 5 | 23 + size]) + struct.pack(">Q", n)[-(1 << size - 1):]
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    return head(0, value)


def from_cbor(data):
    def item(at):
        major, n = data[at] >> 5, data[at] & 31
        at += 1
        if n >= 24:
            size = 1 << n - 24
            n = int.from_bytes(data[at:at + size], "big")
            at += size
        if major == 0:
            return n, at
        if major in (2, 3):
            raw = data[at:at + n]
            return (raw if major == 2 else raw.decode()), at + n
        values = []
        for _ in range(n * (major - 3)):
            value, at = item(at)
            values.append(value)
        return (values if major == 4 else dict(zip(values[::2], values[1::2]))), at
    value, end = item(0)
    assert end == len(data), "bytes behind the value"
    return value


class Message(NamedTuple):
    topic: str  # below $aws/things/{thing}/
    data: Any
    qos: int
    retain: bool


class Rejected(Exception):
    """The answer was a no: its body is the argument."""

    @property
    def body(self):
        return self.args[0]

    @property
    def code(self):
        return self.body.get("code")


def certificate(otad, product, name, folder):
    """A key and a certificate of the device CA, as files."""
    made = otad.ok("POST", f"/devices/{product}/{name}/certificate")
    path = Path(folder) / f"{name}-{uuid.uuid4().hex[:8]}.pem"
    path.write_text(made["key"] + made["certificate"])
    return path


class Thing:
    """Connected by its certificate. It subscribes to what it is told to; whatever comes waits in `inbox`, and what was passed
    over while something else was waited for in `kept`."""

    def __init__(self, otad, name, pem, subscribe=(), port=None, client_id=None):
        self.otad, self.name = otad, name
        self.base = f"$aws/things/{name}/"
        self.inbox, self.kept = queue.Queue(), []
        self.wanted = [(self.base + leaf if not leaf.startswith("$") else leaf, qos) for leaf, qos in subscribe]
        self.granted, self.rc = None, None
        self.answered, self.subscribed = threading.Event(), threading.Event()
        self.port = port or otad.settings["mqtt_cert_port"]
        self.client = paho.Client(client_id or name)
        tls = otad.tls()
        if pem:
            tls.load_cert_chain(pem)
        self.client.username_pw_set("?SDK=NodeJSv2&Version=1.2.3")  # as AWS's SDKs do; it means nothing
        self.client.tls_set_context(tls)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = lambda _c, _u, m: self.inbox.put(self._read(m))

    def _on_connect(self, client, _userdata, _flags, rc):
        self.rc = rc
        if rc == 0 and self.wanted:
            client.subscribe(self.wanted)
        self.answered.set()

    def _on_subscribe(self, _client, _userdata, _mid, granted):
        self.granted = list(granted)
        self.subscribed.set()

    def _read(self, message):
        assert message.topic.startswith(self.base), message.topic
        leaf = message.topic[len(self.base):]
        data = from_cbor(message.payload) if leaf.endswith("/cbor") else json.loads(message.payload)
        return Message(leaf, data, message.qos, bool(message.retain))

    def connect(self):
        """Turns the loop by hand until CONNACK: with TLS 1.3 a no to a certificate comes after the handshake."""
        try:
            self.client.connect("localhost", self.port, keepalive=60)
            while not self.answered.is_set():
                if self.client.loop(0.05) != paho.MQTT_ERR_SUCCESS:
                    raise ConnectionError("no CONNACK")
        except (ssl.SSLError, ConnectionError) as no:
            raise Refused(no) from no
        if self.rc != 0:
            raise Refused(self.rc)
        self.client.loop_start()
        assert not self.wanted or self.subscribed.wait(WAIT_S), "no SUBACK"
        return self

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()

    def publish(self, leaf, payload, qos=1):
        if not isinstance(payload, bytes):
            payload = json.dumps(payload)
        info = self.client.publish(leaf if leaf.startswith("$") else self.base + leaf, payload, qos)
        info.wait_for_publish(WAIT_S)
        assert info.is_published(), f"no PUBACK on {leaf}"

    def next(self, *leaves):
        """The next message on one of these topics; others are kept."""
        for i, message in enumerate(self.kept):
            if message.topic in leaves:
                return self.kept.pop(i)
        while True:
            message = self.inbox.get(timeout=WAIT_S)
            if message.topic in leaves:
                return message
            self.kept.append(message)

    def ask(self, leaf, body=None):
        """The accepted answer's body; a rejected one is an exception."""
        body = {} if body is None else body
        self.publish(leaf, body)
        message = self.next(f"{leaf}/accepted", f"{leaf}/rejected")
        if message.topic.endswith("/rejected"):
            raise Rejected(message.data)
        return message.data

    def stream(self, name, verb, body, form="cbor"):
        """Sends a request; the answers come on data, description or rejected."""
        if not isinstance(body, bytes):
            body = cbor(body) if form == "cbor" else json.dumps(body).encode()
        self.publish(f"streams/{name}/{verb}/{form}", body)

    def stream_answer(self, name, what, form="cbor"):
        message = self.next(*(f"streams/{name}/{w}/{form}" for w in (what, "rejected")))
        if "/rejected/" in message.topic:
            raise Rejected(message.data)
        assert message.qos == 0 or what != "data"
        return message.data

    def quiet(self):
        """Everything that was said to it, and what that leads to, has come: what is left over. Answers keep their order."""
        self.ask("jobs/get", {"clientToken": uuid.uuid4().hex})
        left, self.kept = self.kept, []
        return left


def things_folder():
    return tempfile.TemporaryDirectory(prefix="otad-things-")
