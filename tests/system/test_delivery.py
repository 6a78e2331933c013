"""What the broker's plugin hands to a device's sessions, and with which QoS."""
import uuid

import pytest

from fleet import Device
from harness import WAIT_S
from session import Session


class Listener(Session):
    """A session of a native device; topics are named by their last level."""

    def __init__(self, otad, product, name, secret, **more):
        super().__init__(otad.mqtt_plain_port, f"{product}/{name}", secret, **more)
        self.product, self.name = product, name

    def topic(self, leaf):
        return f"ota/{self.product}/{self.name}/{leaf}"

    def subscribe(self, leaf, qos):
        return super().subscribe(self.topic(leaf), qos)

    def unsubscribe(self, leaf):
        super().unsubscribe(self.topic(leaf))

    def ask(self):
        """Asks whether anything is due; answers the QoS of what comes, which must be the one answer."""
        self.client.publish(self.topic("request"), b"{}", 1)
        topic, qos, payload = self.next()
        assert (topic, payload) == (self.topic("offer"), b'{"id":null}')
        return qos


@pytest.fixture
def listener(otad, product, devices):
    secret = product.register("d1")["secret"]

    def make(**more):
        return devices(Listener(otad, product.key, "d1", secret, **more).connect())
    return make


def test_an_answer_to_one_who_never_subscribed(listener):
    assert listener().ask() == 0


def test_an_offer_to_one_who_never_subscribed(product, listener):
    one = listener()
    product.campaign(product.upload())
    topic, qos, payload = one.next()
    assert (topic, qos) == (one.topic("offer"), 0)
    assert b'"version":"1.2.0"' in payload


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("leaf", ["offer", "#", "+"])
def test_the_lesser_of_what_is_meant_and_what_was_granted(listener, leaf, qos):
    one = listener()
    assert one.subscribe(leaf, qos) == qos
    assert one.ask() == min(qos, 1)


def test_the_best_of_several_subscriptions(listener):
    one = listener()
    for leaf, qos in (("offer", 0), ("#", 1), ("+", 0), ("inform", 1)):
        one.subscribe(leaf, qos)
    assert one.ask() == 1
    one.unsubscribe("#")
    assert one.ask() == 0
    one.subscribe("offer", 1)
    assert one.ask() == 1
    one.unsubscribe("offer")
    one.unsubscribe("+")
    assert one.ask() == 0  # to one who is subscribed no more


def test_nobody_hears_what_devices_say(product, listener):
    """Not even a device itself: some protocols have the answer on the topic of the question."""
    one, two = listener(), listener()
    for session in (one, two):
        session.subscribe("#", 1)
        session.subscribe("request", 1)
    one.client.publish(one.topic("inform"), b'{"version":"1.0.0"}', 1)
    assert one.ask() == 1
    assert two.next()[0] == two.topic("offer")  # the answer goes to every session
    assert one.messages.empty() and two.messages.empty()


def test_so_many_subscriptions_and_no_more(listener):
    one = listener()
    for i in range(99):
        assert one.subscribe(f"x{i}", 1) == 1
    assert one.subscribe("offer", 1) == 1
    assert one.subscribe("y", 1) == 0x80
    assert one.subscribe("x7", 0) == 0  # one that is there already
    assert one.ask() == 1
    one.unsubscribe("x8")
    assert one.subscribe("y", 1) == 1


def test_a_filter_that_is_longer_than_any_topic(listener):
    one = listener()
    assert one.subscribe("x" * 5000, 1) == 1
    assert one.ask() == 0


def test_a_session_that_comes_back(listener):
    """The broker keeps what it had subscribed to, and the plugin with it."""
    one = listener(client_id=f"keeps-{uuid.uuid4().hex}", clean=False)
    one.subscribe("offer", 1)
    one.disconnect()
    for _ in range(2):
        one.connect()
        assert one.session_present and one.ask() == 1
        one.disconnect()


def test_a_session_that_came_back_clean(listener):
    client_id = f"cleans-{uuid.uuid4().hex}"
    one = listener(client_id=client_id, clean=False)
    one.subscribe("offer", 1)
    one.disconnect()
    two = listener(client_id=client_id)
    assert not two.session_present and two.ask() == 0
    two.disconnect()
    three = listener(client_id=client_id, clean=False)
    assert not three.session_present and three.ask() == 0


def test_a_connection_in_the_place_of_another(listener):
    """The same client id: what had been subscribed to stays, or goes, as the broker has it."""
    client_id = f"same-{uuid.uuid4().hex}"
    one = listener(client_id=client_id, clean=False)
    one.subscribe("offer", 1)
    two = listener(client_id=client_id, clean=False)
    assert one.ended.wait(WAIT_S)
    assert two.session_present and two.ask() == 1
    three = listener(client_id=client_id)
    assert two.ended.wait(WAIT_S)
    assert not three.session_present and three.ask() == 0


def test_a_session_that_outlived_the_broker(make_otad):
    """Its subscriptions are the broker's alone then: it is served all the same."""
    otad = make_otad()
    otad.ok("POST", "/products", {"key": "p", "protocol": "native"})
    secret = otad.ok("POST", "/devices", {"product": "p", "name": "d1"})["secret"]
    one = Listener(otad, "p", "d1", secret, client_id="keeps", clean=False).connect()
    one.subscribe("offer", 1)
    one.disconnect()
    otad.restart()
    one.connect()
    assert one.session_present and one.ask() == 0
    one.disconnect()


# ---- large and long

def test_a_message_of_128_kib_is_looked_at_and_a_longer_one_is_not(otad, product, devices):
    device = devices(Device(otad, product.key, "d1", product.register("d1")["secret"], tls=False).connect())
    before = otad.ok("GET", "/status")["counters"]["mqtt_bad"]
    for size in (131072, 131073):
        device.say("inform", b"{" + b" " * (size - 1))
    device.settle()
    assert otad.ok("GET", "/status")["counters"]["mqtt_bad"] - before == 1
