"""MQTT as devices meet it: who gets in, what they may say and hear, and nonsense."""
import json
import socket
import struct
import uuid

import paho.mqtt.client as paho
import pytest

from fleet import Device, Product, Refused
from harness import WAIT_S, wait_until


# ---- who gets in

def test_a_device_by_its_secret_over_tls_and_plain(otad, product):
    secret = product.register("d1")["secret"]
    for tls in (True, False):
        device = Device(otad, product.key, "d1", secret, tls=tls).connect()
        assert device.nothing_due() == []
        device.disconnect()


@pytest.mark.parametrize("secret", ["wrong", "", "{secret}x", "{short}", "{SECRET}"])
def test_wrong_secrets_are_refused(otad, product, secret):
    right = product.register("d1", secret="right-and-proper-secret")["secret"]
    secret = secret.format(secret=right, short=right[:-1], SECRET=right.upper())
    with pytest.raises(Refused):
        Device(otad, product.key, "d1", secret).connect()


@pytest.mark.parametrize("username", ["d1", "{key}", "{key}/", "/d1", "{key}/d2", "{key}//d1", "{key}/d1/", "{key}/+", "+/d1",
                                      "{key}/#", "{KEY}/d1", "{key}/d1 ", "otad", "{key}/d1/x", "../{key}/d1"])
def test_usernames_that_are_not_this_device(otad, product, username):
    product.register("d1", secret="right-and-proper-secret")
    product.register("d2", secret="the-secret-of-another")
    username = username.format(key=product.key, KEY=product.key.upper())
    with pytest.raises(Refused):
        Device(otad, product.key, "d1", "right-and-proper-secret", username=username).connect()


def test_nobody_gets_in_without_a_name(otad):
    device = Device(otad, "p", "d", None)
    device.client.username_pw_set(None)
    with pytest.raises(Refused):
        device.connect()


def test_closed_enrolment(otad, product):
    with pytest.raises(Refused):
        Device(otad, product.key, "unknown", "whatever").connect()
    assert otad.pages(f"/devices?product={product.key}") == []


def test_open_enrolment(otad):
    product = Product(otad, enrolment="open")
    with pytest.raises(Refused):
        Device(otad, product.key, "new-1", "wrong").connect()
    device = Device(otad, product.key, "new-1", product.enrolment_secret).connect()
    assert otad.pages(f"/devices?product={product.key}") == []  # the first inform registers it
    device.inform("1.0.0")
    wait_until(lambda: [d["name"] for d in otad.pages(f"/devices?product={product.key}")] == ["new-1"])
    wait_until(lambda: otad.module_version(product.key, "new-1") == "1.0.0")
    campaign = product.campaign(product.upload())
    device.update(device.offer())
    otad.wait_state(campaign, "new-1", "succeeded")
    device.disconnect()


def test_the_enrolment_secret_of_another_product(otad):
    one, two = Product(otad, enrolment="open"), Product(otad, enrolment="open")
    with pytest.raises(Refused):
        Device(otad, one.key, "new-1", two.enrolment_secret).connect()


def test_enrolment_that_was_closed_again(otad):
    product = Product(otad, enrolment="open")
    otad.ok("PATCH", f"/products/{product.key}", {"enrolment": "closed"})
    with pytest.raises(Refused):
        Device(otad, product.key, "new-1", product.enrolment_secret).connect()


# ---- topics

class Eavesdropper:
    """A good device of one product with wishes for everything, and its neighbours."""

    def __init__(self, otad, devices):
        self.product = Product(otad)
        self.spy = devices(self.product.device("spy").connect())
        self.neighbour = devices(self.product.device("neighbour").connect())
        self.foreign = devices(Product(otad).device("spy").connect())


@pytest.fixture
def wishes(otad, devices):
    return Eavesdropper(otad, devices)


def test_wildcards_deliver_nothing_foreign(otad, wishes):
    spy, neighbour = wishes.spy, wishes.neighbour
    for topic in ("#", "ota/#", "+/+/+/offer", f"ota/{spy.product}/#", f"ota/{spy.product}/+/offer", "ota/+/neighbour/#",
                  f"ota/{spy.product}/neighbour/offer", f"ota/{spy.product}/neighbour/inform", "$SYS/#",
                  "$SYS/broker/clients/#", "$share/g/ota/#", "$share/g/#", "$otad/#", "otad/#"):
        spy.client.subscribe(topic, 1)
    campaign = wishes.product.campaign(wishes.product.upload())
    otad.wait_campaign(campaign, "running")
    neighbour.update(neighbour.offer())
    wishes.foreign.inform("1.0.0")
    wishes.foreign.settle()
    otad.wait_state(campaign, "neighbour", "succeeded")
    spy.update(spy.offer())
    otad.wait_state(campaign, "spy", "succeeded")
    assert set(spy.heard) <= {spy.topic(leaf) for leaf in ("offer", "progress", "inform", "request")}


def test_publishing_as_another_changes_nothing(otad, wishes):
    spy, neighbour = wishes.spy, wishes.neighbour
    campaign = wishes.product.campaign(wishes.product.upload(), target={"devices": ["neighbour"]})
    offer = neighbour.offer()
    neighbour.inform("1.1.0")
    for victim in (neighbour, wishes.foreign):
        spy.publish(victim.topic("inform"), {"version": "1.2.0"})
        spy.publish(victim.topic("progress"), {"id": offer["id"], "error": "flash"})
        spy.publish(victim.topic("offer"), {**offer, "url": "https://evil.example/"})
        spy.publish(victim.topic("request"), {})
    spy.publish(f"ota/{spy.product}/stranger/inform", {"version": "1.0.0"})
    spy.settle()
    neighbour.settle()
    wishes.foreign.settle()
    assert otad.executions(campaign)["neighbour"]["state"] == "offered"
    assert otad.module_version(neighbour.product, "neighbour") == "1.1.0"
    assert otad.module_version(wishes.foreign.product, "spy") is None
    assert otad.api("GET", f"/devices/{spy.product}/stranger").status == 404
    assert not any("evil" in m["url"] for m in neighbour.drain() if m["id"])


def test_a_will_on_the_topic_of_another(otad, wishes):
    neighbour = wishes.neighbour
    mean = wishes.product.device("mean")
    mean.client.will_set(neighbour.topic("inform"), json.dumps({"version": "6.6.6"}), qos=1)
    try:
        mean.connect()
        mean.power_off()
    except Refused:
        pass
    neighbour.inform("1.1.0")
    neighbour.settle()
    assert otad.module_version(neighbour.product, "neighbour") == "1.1.0"


def test_retained_messages_are_not_kept(otad, product):
    device = product.device("d1").connect()
    for leaf, payload in (("inform", {"version": "3.3.3"}), ("progress", {"percent": 1}), ("offer", {"id": None})):
        device.say(leaf, payload, retain=True)
    device.settle()
    device.disconnect()
    fresh = Device(otad, product.key, "d1", device.secret)
    retained = []
    on_message = fresh.client.on_message
    fresh.client.on_message = lambda c, u, m: (retained.append(m.topic) if m.retain else None, on_message(c, u, m))
    fresh.connect()
    fresh.client.subscribe(f"ota/{product.key}/d1/#", 1)
    fresh.settle()
    assert fresh.nothing_due() is not None
    assert retained == []
    fresh.disconnect()


def test_a_client_id_like_otads_own_does_no_harm(otad, product, devices):
    campaign = product.campaign(product.upload(), draft=True)
    good = devices(product.device("good").connect())
    for client_id in ("otad", "OTAD", f"{product.key}/good", "good"):
        name = f"bad-{uuid.uuid4().hex[:6]}"
        try:
            product.device(name, client_id=client_id).connect().disconnect()
        except Refused:
            pass
    good.settle()  # what devices say still arrives
    otad.ok("POST", f"/campaigns/{campaign}/start")
    good.update(good.offer())
    otad.wait_state(campaign, "good", "succeeded")
    assert otad.http("GET", "/health").status == 200


def test_every_session_of_a_device_gets_the_offer(otad, product, devices):
    first = devices(product.device("d1").connect())
    second = devices(Device(otad, product.key, "d1", first.secret).connect())
    campaign = product.campaign(product.upload())
    one, two = first.offer(), second.offer()
    assert one == two
    second.disconnect()
    first.update(one)  # still there
    otad.wait_state(campaign, "d1", "succeeded")


def test_a_device_with_one_session_left_is_there(otad, product, devices):
    first = devices(product.device("d1").connect())
    Device(otad, product.key, "d1", first.secret).connect().disconnect()
    first.settle()
    product.campaign(product.upload())
    assert first.offer()["version"] == "1.2.0"


# ---- nonsense

DEEP = b'{"id":' + b"[" * 4000 + b"]" * 4000 + b"}"
NONSENSE = [
    b"", b" ", b"\x00", b"\xff\xfe\xfd", b"{", b"}", b"null", b"true", b"7", b'"x"', b"[]", b"[{}]", b"{}x", b'{"id":}',
    b'{"id":null}', b'{"id":{}}', b'{"id":[]}', b'{"id":-1}', b'{"id":1e300}', b'{"id":"x"}', b'{"id":"' + b"9" * 400 + b'"}',
    b'{"id":"0"}', b'{"id":"1","percent":"50%"}', b'{"id":"1","percent":-1}', b'{"id":"1","percent":101}',
    b'{"id":"1","percent":1e9}', b'{"id":"1","percent":NaN}', b'{"id":"1","state":7}', b'{"id":"1","state":""}',
    b'{"id":"1","state":"flying"}', b'{"id":"1","error":7}', b'{"id":"1","error":""}', b'{"id":"1","detail":{}}',
    b'{"id":"1","error":"flash","detail":"\\u0000"}', b'{"id":"1","error":"flash","detail":"\xff"}',
    b'{"version":7}', b'{"version":""}', b'{"version":null}', b'{"version":"' + b"v" * 5000 + b'"}', b'{"version":"\\u0000"}',
    b'{"version":"1.0","module":7}', b'{"version":"1.0","module":""}', b'{"version":"1.0","module":"../x"}',
    b'{"version":"1.0","module":"' + b"m" * 5000 + b'"}', b'{"module":"default"}', b'{"version":"1","version":"2"}',
    b'{"version":"%s%n%x"}', b"'; DROP TABLE device; --", DEEP, struct.pack("<64Q", *range(64)), b"x" * 100_000,
]


def counters(value, path=""):
    """Every number of a JSON value, by its path."""
    if isinstance(value, dict):
        return {k: n for key, below in value.items() for k, n in counters(below, f"{path}/{key}").items()}
    return {path: value} if isinstance(value, (int, float)) and not isinstance(value, bool) else {}


def test_nonsense_is_counted_and_changes_nothing(make_otad):
    otad = make_otad()
    product = Product(otad)
    device = product.device("d1").connect()
    device.inform("1.1.0")
    campaign = product.campaign(product.upload())
    offer = device.offer()
    before = counters(otad.ok("GET", "/status"))
    lines = len(otad.log().splitlines())
    for leaf in ("inform", "progress", "request"):
        for payload in NONSENSE:
            device.say(leaf, payload)
    for topic in ("ota", "ota/", f"ota/{product.key}", f"ota/{product.key}/d1", device.topic(""), device.topic("x"),
                  device.topic("inform/x"), device.topic("offer")):
        device.publish(topic, b'{"version":"9.9.9"}')
    device.settle()
    after = counters(otad.ok("GET", "/status"))
    bad = [key for key in after if "bad" in key]
    assert bad and all(after[key] - before[key] >= len(NONSENSE) for key in bad), after
    added = len(otad.log().splitlines()) - lines
    assert added < 30, "a line a message"  # once a minute and device
    row = otad.executions(campaign)["d1"]
    assert (row["state"], row["percent"]) == ("offered", 0)
    device.update(offer)
    otad.wait_state(campaign, "d1", "succeeded")
    device.disconnect()


def test_a_flood_of_nonsense_does_not_stop_the_others(otad, product, devices):
    mad, good = (devices(product.device(name).connect()) for name in ("mad", "good"))
    for i in range(3000):
        mad.say("progress", b"{%d" % i, wait=False)
    campaign = product.campaign(product.upload(), target={"devices": ["good"]})
    good.update(good.offer())
    otad.wait_state(campaign, "good", "succeeded")
    mad.settle()


def test_very_large_messages(otad, product):
    device = product.device("d1", tls=False).connect()
    for size in (300_000, 3_000_000):
        device.say("inform", b"x" * size, wait=False)
    device.disconnect()
    again = Device(otad, product.key, "d1", device.secret).connect()
    again.inform("1.0.0")
    again.settle()
    assert otad.module_version(product.key, "d1") == "1.0.0"
    again.disconnect()


def test_bytes_that_are_not_mqtt(otad):
    for payload in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"\x10\xff\xff\xff\x7f", b"\x10\x02\x00\x04", bytes(range(256))):
        with socket.create_connection(("localhost", otad.mqtt_plain_port), timeout=WAIT_S) as sock:
            sock.sendall(payload)
    assert otad.http("GET", "/health").status == 200


def test_protocol_versions(otad, product):
    secret = product.register("d1")["secret"]
    for version in (paho.MQTTv31, paho.MQTTv311):
        device = Device(otad, product.key, "d1", secret)
        device.client._protocol = version
        device.connect()
        device.settle()
        device.disconnect()
