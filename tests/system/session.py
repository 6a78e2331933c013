"""A bare MQTT session, for devices of any protocol: it says and subscribes to only what it is told."""
import hashlib
import hmac
import queue
import threading
import uuid

import paho.mqtt.client as paho

from harness import WAIT_S


class Session:
    """Messages wait as (topic, qos, payload)."""

    def __init__(self, port, username=None, password=None, client_id=None, clean=True, context=None):
        self.port = port
        self.messages, self.granted = queue.Queue(), queue.Queue()
        self.connected, self.ended = threading.Event(), threading.Event()
        self.rc = self.session_present = None
        self.client = paho.Client(client_id or f"s-{uuid.uuid4().hex[:12]}", clean_session=clean)
        if username is not None:
            self.client.username_pw_set(username, password)
        if context:
            self.client.tls_set_context(context)
        self.client._reconnect_on_failure = False
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_subscribe = lambda _c, _u, _mid, granted: self.granted.put(granted)
        self.client.on_unsubscribe = lambda *_: self.granted.put(None)
        self.client.on_message = lambda _c, _u, m: self.messages.put((m.topic, m.qos, m.payload))

    def _on_connect(self, _client, _userdata, flags, rc):
        self.rc, self.session_present = rc, flags["session present"]
        self.connected.set()

    def _on_disconnect(self, *_):
        self.ended.set()
        self.connected.set()

    def connect(self):
        self.connected.clear()
        self.ended.clear()
        self.rc = None
        self.client.connect("localhost", self.port, keepalive=30)
        self.client.loop_start()
        assert self.connected.wait(WAIT_S), "no CONNACK"
        return self

    def refused(self):
        """The return code of CONNACK; None for a connection that was closed without one."""
        self.connect()
        self.client.loop_stop()
        assert self.rc != 0
        return self.rc

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()

    def subscribe(self, topic, qos=1):
        """What was granted."""
        self.client.subscribe(topic, qos)
        return self.granted.get(timeout=WAIT_S)[0]

    def unsubscribe(self, topic):
        self.client.unsubscribe(topic)
        self.granted.get(timeout=WAIT_S)

    def say(self, topic, payload, qos=1):
        info = self.client.publish(topic, payload, qos)
        info.wait_for_publish(WAIT_S)
        assert info.is_published(), f"no PUBACK on {topic}"

    def next(self):
        return self.messages.get(timeout=WAIT_S)


def native(otad, product, name, secret, **more):
    return Session(otad.mqtt_plain_port, f"{product}/{name}", secret, **more)


def aliyun_fields(product, name, secret, extra=",signmethod=hmacsha256,timestamp=2524608000000"):
    """Client id, user name and password as Link SDK has them."""
    cid = f"{product}.{name}"
    text = f"clientId{cid}deviceName{name}productKey{product}timestamp2524608000000"
    password = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest().upper()
    return {"client_id": f"{cid}|securemode=3{extra}|", "username": f"{name}&{product}", "password": password}


def aliyun(otad, product, name, secret, **more):
    return Session(otad.mqtt_plain_port, **{**aliyun_fields(product, name, secret), **more})


def aws_context(otad, product, name, folder):
    """A TLS context with a new certificate of the device's."""
    made = otad.ok("POST", f"/devices/{product}/{name}/certificate")
    pem = folder / f"{uuid.uuid4().hex}.pem"
    pem.write_text(made["certificate"] + made["key"])
    context = otad.tls()
    context.load_cert_chain(pem)
    return context


def aws(otad, product, name, folder, **more):
    return Session(otad.settings["mqtt_cert_port"], context=aws_context(otad, product, name, folder), **more)
