"""Devices with Aliyun's older C SDK, iotkit-embedded: it subscribes at QoS 1, keeps its session over a disconnect, and pulls on
a topic whose answers it hears on that same topic."""
import contextlib
import hmac
import json
import queue
import threading
import urllib.parse

import paho.mqtt.client as paho
import pytest

from conftest import Factory
from files import pattern
from fleet import Product
from harness import WAIT_S

SECRET = "0123456789abcdef0123456789abcdef"
FOREVER = "2524608000000"  # the time that it signs


class Kit:
    """One device; the session is the broker's to keep."""

    def __init__(self, otad, product, name="dev01"):
        self.otad, self.product, self.name = otad, product, name
        self.messages = queue.Queue()  # (topic, payload, qos, retain)
        self.subscribed = threading.Semaphore(0)
        cid = f"{product}.{name}"
        client_id = (f"{cid}|timestamp={FOREVER},_v=sdk-c-3.0.1,securemode=3,signmethod=hmacsha256,lan=C,gw=0,ext=0|")
        text = f"clientId{cid}deviceName{name}productKey{product}timestamp{FOREVER}"
        self.client = paho.Client(client_id, clean_session=False)
        self.client.username_pw_set(f"{name}&{product}", hmac.new(SECRET.encode(), text.encode(), "sha256").hexdigest().upper())
        self.client.on_message = lambda _c, _u, m: self.messages.put((m.topic, m.payload.decode(), m.qos, m.retain))
        self.client.on_subscribe = lambda *_: self.subscribed.release()

    def connect(self):
        """Answers whether the broker had its session."""
        known = queue.Queue()
        self.client.on_connect = lambda _c, _u, flags, rc: known.put((rc, flags["session present"]))
        self.client.connect("localhost", self.otad.mqtt_plain_port, keepalive=60)
        self.client.loop_start()
        rc, present = known.get(timeout=WAIT_S)
        assert rc == 0
        return bool(present)

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()

    def ota(self, leaf):
        return f"/ota/device/{leaf}/{self.product}/{self.name}"

    def sys(self, leaf):
        return f"/sys/{self.product}/{self.name}/thing/{leaf}"

    def say(self, topic, text, qos=1):
        self.client.publish(topic, text, qos=qos).wait_for_publish(WAIT_S)

    def subscribe(self):
        """In the order and with the QoS that it does it, and what it says at once."""
        for topic, qos in ((self.ota("request"), 1), (self.ota("upgrade"), 1), (self.sys("config/get_reply"), 0),
                           (self.sys("config/push"), 0)):
            self.client.subscribe(topic, qos)
            assert self.subscribed.acquire(timeout=WAIT_S)
        self.say(self.sys("deviceinfo/update"), '{"id":"1","version":"1.0","params":[{"attrKey":"SYS_LP_SDK_VERSION",'
                 '"attrValue":"3.0.1","domain":"SYSTEM"}],"method":"thing.deviceinfo.update"}')
        self.say(self.ota("inform"), '{"id":"2","params":{"version":"app-1.0.0"}}')
        self.say(self.ota("inform"), '{"id":0,"params":{"version":"1.0.0"}}')

    def next(self):
        return self.messages.get(timeout=WAIT_S)

    def pull(self):
        """What it is answered, which must be the only thing that comes: its own words do not return to it."""
        self.say(self.ota("request"), '{"id":7,"params":{"version":"1.0.0"}}')
        topic, text, _, _ = self.next()
        body = json.loads(text)
        assert (topic, body["id"], body["message"]) == (self.ota("request"), 7, "success")
        return body["data"]

    def pushed(self):
        """What it reads out of the next push."""
        topic, text, qos, retain = self.next()
        assert (topic, qos, retain) == (self.ota("upgrade"), 1, False)
        assert len(topic) + len(text) < 2048
        body = json.loads(text)
        assert body["message"] == "success"
        return body["data"]


@pytest.fixture(scope="module")
def bare_otad():
    """Its URLs have no port: the SDK brings its own."""
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory({"public_url": "https://localhost"})
        factory.stop()


@pytest.fixture
def product(bare_otad):
    product = Product(bare_otad, protocol="aliyun", transfer="https")
    product.register("dev01", secret=SECRET)
    return product


@pytest.fixture
def kit(bare_otad, product, devices):
    return devices(Kit(bare_otad, product.key))


def without_url(data):
    """That says until when it is good, to the second."""
    return {key: value for key, value in data.items() if key != "url"}


def test_an_update(bare_otad, product, kit):
    assert not kit.connect()
    kit.subscribe()
    assert kit.pull() == {}
    firmware = product.upload(pattern(25_000), version="1.0.1")
    campaign = product.campaign(firmware)
    data = kit.pushed()
    assert (data["version"], data["size"], data["md5"]) == ("1.0.1", 25_000, firmware["md5"])
    assert without_url(kit.pull()) == without_url(data)

    url = urllib.parse.urlsplit(data["url"])
    assert (url.scheme, url.netloc) == ("https", "localhost")
    kit.say(kit.ota("progress"), '{"id":3,"params":{"step": "0","desc":"Enter in downloading state"}}', qos=0)
    reply = bare_otad.http("GET", f"{url.path}?{url.query}",
                           headers={"Accept": "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8"})
    assert (reply.status, reply.data) == (200, pattern(25_000))
    kit.say(kit.ota("progress"), '{"id":4,"params":{"step": "100"}}', qos=0)
    kit.say(kit.ota("inform"), '{"id":5,"params":{"version":"1.0.1"}}')
    bare_otad.wait_state(campaign, "dev01", "succeeded")
    assert kit.pull() == {}
    assert kit.messages.empty()


def test_it_comes_back_to_its_session(bare_otad, product, kit):
    """What it subscribed holds without being said again, and what became due while it was away comes once it is back."""
    assert not kit.connect()
    kit.subscribe()
    assert kit.pull() == {}
    kit.disconnect()
    campaign = product.campaign(product.upload(version="1.0.1"))
    bare_otad.wait_campaign(campaign, "running")
    assert kit.connect()
    data = kit.pushed()
    assert data["version"] == "1.0.1"
    kit.say(kit.ota("inform"), '{"id":5,"params":{"version":"1.0.1"}}')
    bare_otad.wait_state(campaign, "dev01", "succeeded")
    assert kit.pull() == {}
    assert kit.messages.empty()
