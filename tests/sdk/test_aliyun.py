"""Aliyun's own SDK for Node: in by its signature, and an update that is pushed on a topic it never subscribes to."""
import json
import re
import uuid

import pytest

from files import pattern
from fleet import Product

SECRET = "0123456789abcdef0123456789abcdef"
IMAGE = pattern(70_001, seed=3)
BLOCK = 10_240


class Fleet:
    """A product, its one device, and the orders of the script that plays it."""

    def __init__(self, otad, **fields):
        self.otad = otad
        self.product = Product(otad, key=f"a1{uuid.uuid4().hex[:9]}", protocol="aliyun", **fields)
        self.product.register("dev01", secret=SECRET)

    def orders(self, tls=False, secret=SECRET):
        broker = f"mqtts://localhost:{self.otad.mqtt_port}" if tls else f"mqtt://localhost:{self.otad.mqtt_plain_port}"
        return {"productKey": self.product.key, "deviceName": "dev01", "secret": secret, "broker": broker, "block": BLOCK,
                "https": self.otad.https_port}

    def start(self):
        self.firmware = self.product.upload(IMAGE, version="2.0.0")
        self.campaign = self.product.campaign(self.firmware)

    def push(self):
        """The live text of a push by MQTT, but for its id."""
        md5 = self.firmware["md5"]
        return (f'{{"code":"1000","data":{{"size":{len(IMAGE)},"streamId":{self.firmware["id"]},"sign":"{md5}","dProtocol":"mqtt",'
                f'"version":"2.0.0","signMethod":"Md5","streamFileId":1,"md5":"{md5}"}},"id":%s,"message":"success"}}')

    def update(self, script):
        """From the first word to the end of the update; the texts of the push and of the reply to get."""
        script.said("ready")
        self.start()
        push = script.said("push")
        assert (push["qos"], push["retain"]) == (0, False)  # nobody subscribed
        reply = script.said("reply")
        line = script.said("downloaded")
        assert (line["md5"], line["size"]) == (line["expected"], len(IMAGE))
        self.otad.wait_state(self.campaign, "dev01", "succeeded")
        none = json.loads(script.said("none")["text"])
        assert (none["code"], none["data"]) == ("1000", {})
        script.ended_well()
        return push["text"], reply["text"]


def granted(script):
    return [line["granted"] for line in script.said_so_far if line["event"] == "granted"]


@pytest.mark.parametrize("tls", [False, True])
def test_an_update_in_blocks_by_mqtt(otad, play, tls):
    fleet = Fleet(otad, transfer="mqtt")
    script = play(otad, "aliyun.cjs", **fleet.orders(tls))
    push, reply = fleet.update(script)
    assert re.fullmatch(re.escape(fleet.push()).replace("%s", r"\d{13}"), push)
    assert reply == fleet.push() % 123
    [first] = [line["text"] for line in script.said_so_far if line["event"] == "block"]
    assert first == (f'{{"code":200,"data":{{"fileToken":"default","bOffset":0,"fileLength":{len(IMAGE)},"bSize":{BLOCK}}},'
                     '"id":"0","message":"success"}')
    assert granted(script) == [[1]] * 16  # all that the SDK subscribes when it connects


def test_an_update_by_https(otad_without_port, play):
    otad = otad_without_port
    fleet = Fleet(otad, transfer="https")
    push, reply = fleet.update(play(otad, "aliyun.cjs", **fleet.orders()))
    data = json.loads(push)["data"]
    assert list(data) == ["size", "sign", "version", "url", "signMethod", "md5"]
    assert data["url"].startswith("https://localhost/")
    assert json.loads(reply)["data"].keys() == data.keys()


@pytest.mark.parametrize("tls", [False, True])
def test_a_wrong_secret_is_refused(otad, play, tls):
    script = play(otad, "aliyun.cjs", **Fleet(otad).orders(tls, secret=SECRET[::-1]))
    assert script.said("refused")["code"] in (4, 5)
