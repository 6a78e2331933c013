"""A product of one test's own, and its devices: paho clients that do as they are told, or act by themselves."""
import hashlib
import http.client
import itertools
import json
import queue
import socket
import struct
import threading
import urllib.parse
import uuid

import paho.mqtt.client as paho

from files import DATA, pattern
from harness import WAIT_S, wait_until


OFFER_FIELDS = {"id", "version", "module", "size", "sha256", "md5", "signature", "url", "delta_from", "expires_at"}


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


class Shelf:
    """A public product with one file of telling bytes."""

    def __init__(self, otad):
        self.otad = otad
        self.product = Product(otad, public=True)
        self.row = self.product.upload(DATA, filename=f"{self.product.key}.bin")
        self.target = f"/firmware/{self.product.key}.bin"
        self.etag = self.get().headers["ETag"]

    def get(self, method="GET", **headers):
        return self.otad.http(method, self.target, headers={k.replace("_", "-"): v for k, v in headers.items()})


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
            self.client.tls_set_context(otad.tls())
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
    clear it halts in the middle of its downloads. Without TLS: an SSLEOFError would end paho's thread for good."""

    def __init__(self, *args, version="1.0.0", go=None, **more):
        super().__init__(*args, **{"tls": False, **more})
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
            elif message["id"]:
                self.inform(self.version, wait=False)  # whoever offers what is here already has missed a report

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
