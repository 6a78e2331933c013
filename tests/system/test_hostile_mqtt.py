"""MQTT from devices that mean harm, or have lost their minds: what was said long ago, floods, and wishes beyond their own."""
import json

import paho.mqtt.client as paho
import pytest

from fleet import Device, Product
from harness import wait_until

FLOOD = 20_000


def ignored(otad):
    return otad.ok("GET", "/status")["counters"]["reports_ignored"]


def test_reports_of_an_update_that_is_over_are_replayed(otad, product, device):
    """Word for word, while it is over, and while the next one runs."""
    first = product.campaign(product.upload(version="1.2.0"))
    offer = device.offer("1.2.0")
    device.update(offer)
    over = otad.wait_state(first, "d1", "succeeded")
    old = [{"percent": 50}, {"percent": 100}, {"state": "installing"}, {"error": "flash"}, {"error": "rejected"}, {"percent": -4}]
    before = ignored(otad)
    for fields in old:
        device.progress(offer, **fields)
    device.settle()
    assert ignored(otad) > before
    assert otad.executions(first)["d1"] == over
    second = product.campaign(product.upload(version="1.3.0"))
    fresh = device.offer("1.3.0")
    for fields in old:
        device.progress(offer, **fields)
    device.settle()
    assert otad.executions(first)["d1"] == over
    assert otad.state_of(second) == "offered"
    device.update(fresh)
    otad.wait_state(second, "d1", "succeeded")


@pytest.mark.parametrize("number", ["-1", "999999999", "9223372036854775807", "9223372036854775808", "1e3", "0x1", " 1"])
def test_reports_of_updates_that_never_were(otad, product, device, number):
    campaign = product.campaign(product.upload())
    device.offer()
    for fields in ({"percent": 90}, {"error": "flash"}, {"state": "installing"}):
        device.say("progress", {"id": number, **fields})
    device.settle()
    row = otad.executions(campaign)["d1"]
    assert (row["state"], row["percent"]) == ("offered", 0)


def test_a_flood_of_progress_keeps_the_newest(otad, product, devices):
    """At QoS 0, as fast as it goes, up and down; others are served meanwhile, and what comes last at QoS 1 counts."""
    mad, good = (devices(product.device(name).connect()) for name in ("mad", "good"))
    for each in (mad, good):
        each.inform("1.1.0")
    campaign = product.campaign(product.upload())
    offer = mad.offer()
    for i in range(FLOOD):
        mad.client.publish(mad.topic("progress"), json.dumps({"id": offer["id"], "percent": i * 7 % 90}), qos=0)
        if i % 2000 == 0:
            assert otad.http("GET", "/health").status == 200
    good.update(good.offer())
    otad.wait_state(campaign, "good", "succeeded")
    mad.progress(offer, percent=95)
    mad.settle()
    row = otad.executions(campaign)["mad"]
    assert (row["state"], row["percent"]) == ("downloading", 95)
    mad.update(offer)
    otad.wait_state(campaign, "mad", "succeeded")


class Five:
    """A client of MQTT 5, which is told the reason of a refusal."""

    def __init__(self, otad, username, secret):
        self.codes, self.connected, self.granted = {}, [], {}
        self.client = paho.Client("five", protocol=paho.MQTTv5)
        self.client.username_pw_set(username, secret)
        self.client.on_connect = lambda *args: self.connected.append(args[3])
        self.client.on_subscribe = lambda _c, _u, mid, codes, *_: self.granted.__setitem__(mid, codes)
        self.client.connect("localhost", otad.mqtt_plain_port)
        self.client.loop_start()
        wait_until(lambda: self.connected, what="CONNACK")

    def refused(self, filter_):
        """Whether a subscription is."""
        _, mid = self.client.subscribe(filter_, 1)
        wait_until(lambda: mid in self.granted, what="SUBACK")
        return self.granted[mid][0].value >= 0x80

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def test_nobody_subscribes_to_what_is_not_its_own(otad, product):
    product.register("spy", secret="the-secret-of-the-spy")
    product.register("other", secret="the-secret-of-another")
    five = Five(otad, f"{product.key}/spy", "the-secret-of-the-spy")
    try:
        for filter_ in ("#", "+/#", "ota/#", f"ota/{product.key}/#", f"ota/{product.key}/+/offer", f"ota/{product.key}/other/offer",
                        "$SYS/#", "$SYS/broker/publish/messages/dropped", "$CONTROL/#", "$otad/v1/presence", "$sys/#", "$aws/#",
                        "/ota/#", "$share/g/ota/#", f"$share/g/ota/{product.key}/other/offer"):
            assert five.refused(filter_), filter_
        assert not five.refused(f"ota/{product.key}/spy/offer")
    finally:
        five.close()


def test_otads_own_name_opens_no_door(otad, product):
    """Its client id, with a device's good secret and without any; it goes on hearing what devices say."""
    secret = product.register("d1", secret="the-secret-of-d1")["secret"]
    for username, password in ((f"{product.key}/d1", secret), ("otad", secret), ("otad", "otad"), ("otad", None)):
        rc = []
        client = paho.Client("otad", clean_session=True)
        client.username_pw_set(username, password)
        client.on_connect = lambda *args, rc=rc: rc.append(args[3])
        client.connect("localhost", otad.mqtt_plain_port)
        client.loop_start()
        wait_until(lambda rc=rc: rc, what="CONNACK")
        client.loop_stop()
        assert rc[0] != 0, username
    device = Device(otad, product.key, "d1", secret).connect()
    device.settle()
    device.disconnect()
