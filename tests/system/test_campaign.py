"""A campaign from POST to its end with devices that speak MQTT, and what operators may do with it."""
import base64
import hashlib
import json
import re
import subprocess

import pytest

from files import pattern
from fleet import OFFER_FIELDS, Device, Product, SelfActing
from harness import problem, wait_until


# ---- the good way

def test_from_post_to_success(otad, product, device, tmp_path):
    data = pattern(70_001)
    firmware = product.upload(data)
    made = otad.api("POST", "/campaigns", {"name": "thermo 1.2.0", "firmware": [firmware["id"]]})
    assert made.status == 201
    campaign = made.data["id"]
    assert made.headers["Location"] == f"/api/v1/campaigns/{campaign}"
    assert made.data["state"] in ("scheduled", "preparing", "running") and made.data["name"] == "thermo 1.2.0"

    offer = device.offer()
    assert set(offer) >= OFFER_FIELDS - {"delta_from"} and set(offer) <= OFFER_FIELDS
    assert isinstance(offer["id"], str) and offer["id"].isdigit()
    assert (offer["version"], offer["module"], offer["size"]) == ("1.2.0", "default", 70_001)
    assert offer["sha256"] == hashlib.sha256(data).hexdigest()
    assert offer["md5"] == hashlib.md5(data).hexdigest()
    assert not offer.get("delta_from")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", offer["expires_at"])
    row = otad.wait_state(campaign, "d1", "offered")
    assert str(row["id"]) == offer["id"]

    reply = otad.fetch(offer["url"])
    assert reply.data == data
    (tmp_path / "app.bin").write_bytes(reply.data)
    (tmp_path / "s.bin").write_bytes(base64.b64decode(offer["signature"]))
    (tmp_path / "pub.pem").write_bytes(otad.api("GET", "/signing-key").data)
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", tmp_path / "pub.pem", "-signature", tmp_path / "s.bin",
                    tmp_path / "app.bin"], check=True, capture_output=True)

    device.progress(offer, percent=35)
    assert wait_until(lambda: otad.executions(campaign)["d1"]["percent"] == 35)
    assert otad.state_of(campaign) == "downloading"
    device.progress(offer, percent=100)
    device.progress(offer, state="downloaded")
    otad.wait_state(campaign, "d1", "downloaded")
    device.progress(offer, state="installing")
    otad.wait_state(campaign, "d1", "installing")
    assert otad.campaign(campaign)["state"] == "running"

    device.disconnect()
    again = Device(otad, product.key, "d1", device.secret).connect()
    again.inform("1.2.0")
    row = otad.wait_state(campaign, "d1", "succeeded")
    assert not row["reason"]
    ended = otad.wait_campaign(campaign, "completed")
    assert ended["percent"] == 100
    assert otad.counts(campaign) == {"succeeded": 1}
    assert again.nothing_due() == []
    again.disconnect()


def test_execution_fields(otad, product):
    product.register("d1")
    campaign = product.campaign(product.upload())
    otad.wait_campaign(campaign, "running")
    page = otad.ok("GET", f"/campaigns/{campaign}/executions")
    (row,) = page["items"]
    assert {"id", "device", "state", "percent", "reason", "detail"} <= set(row)
    assert (row["device"], row["state"], row["percent"]) == ("d1", "queued", 0)
    assert "next" in page


def test_executions_in_pages_and_by_state(otad, product, devices):
    for i in range(12):
        product.register(f"d{i:02}")
    there = devices(Device(otad, product.key, "x", product.register("x")["secret"]).connect())
    campaign = product.campaign(product.upload())
    there.offer()
    path = f"/campaigns/{campaign}/executions"
    assert len(otad.ok("GET", path + "?limit=5")["items"]) == 5
    assert [r["device"] for r in otad.pages(path + "?limit=5&state=queued")] == [f"d{i:02}" for i in range(12)]
    assert [r["device"] for r in otad.pages(path + "?state=offered")] == ["x"]
    assert otad.api("GET", path + "?state=asleep").status in (400, 422)
    otad.check_counts(campaign)


def test_100_percent_is_not_success(otad, product, device):
    campaign = product.campaign(product.upload())
    offer = device.offer()
    for percent in (50, 100, 100):
        device.progress(offer, percent=percent)
    device.progress(offer, state="installing")
    device.progress(offer, percent=100)
    device.settle()
    assert otad.state_of(campaign) == "installing"
    device.progress(offer, state="succeeded")  # its own word does not count either
    device.settle()
    assert otad.state_of(campaign) not in ("succeeded", "failed")


def test_success_may_come_without_any_report_between(otad, product, device):
    campaign = product.campaign(product.upload())
    device.offer()
    device.inform("1.2.0")
    otad.wait_state(campaign, "d1", "succeeded")


def test_every_module_must_report(otad, product, device):
    device.inform("1.0", module="MCU")
    device.settle()
    main, mcu = product.upload(pattern(1000)), product.upload(pattern(1001), version="2.0", module="MCU")
    campaign = product.campaign(main, mcu)
    offer = device.offer("1.2.0")
    device.update(offer)
    second = device.offer("2.0")
    assert (second["module"], second["sha256"]) == ("MCU", mcu["sha256"])
    assert otad.state_of(campaign) != "succeeded"
    device.inform("2.0", module="MCU")
    otad.wait_state(campaign, "d1", "succeeded")


# ---- what is not offered

def test_already_installed(otad, product, device):
    device.inform("1.2.0")
    device.settle()
    campaign = product.campaign(product.upload())
    row = otad.wait_state(campaign, "d1", "succeeded")
    assert row["reason"] == "already_installed"
    assert device.nothing_due() == []
    otad.wait_campaign(campaign, "completed")


def test_downgrade_is_not_offered(otad, product, device):
    device.inform("1.10.0")  # above 1.2.0, though not by the alphabet
    device.settle()
    campaign = product.campaign(product.upload())
    otad.wait_campaign(campaign, "running", "completed")
    assert device.nothing_due() == []
    assert otad.state_of(campaign) != "offered"


def test_downgrade_when_allowed(otad, product, device):
    device.inform("1.10.0")
    device.settle()
    campaign = product.campaign(product.upload(), policy={"allow_downgrade": True})
    device.update(device.offer("1.2.0"))
    otad.wait_state(campaign, "d1", "succeeded")


def test_nothing_due(product, device):
    assert device.nothing_due() == []


def test_request_is_answered_with_the_offer(otad, product, device):
    campaign = product.campaign(product.upload())
    offer = device.offer()
    for state in (None, "downloading"):
        if state:
            device.progress(offer, percent=10)
        device.say("request", {})
        assert device.offer()["id"] == offer["id"]
    assert otad.executions(campaign)["d1"]["id"] == int(offer["id"])


def test_the_device_of_another_product_is_left_alone(otad, product, device, devices):
    other = Product(otad)
    stranger = devices(other.device("d1").connect())
    campaign = product.campaign(product.upload())
    device.offer()
    assert stranger.nothing_due() == []
    assert list(otad.executions(campaign)) == ["d1"]


# ---- what an operator does

def test_pause_resume(otad, product, device):
    campaign = product.campaign(product.upload(), draft=True)
    assert otad.ok("POST", f"/campaigns/{campaign}/start")["state"] in ("scheduled", "preparing", "running")
    offer = device.offer()
    assert otad.ok("POST", f"/campaigns/{campaign}/pause")["state"] == "paused"
    late = product.device("late").connect()  # not of this campaign: it was fixed at the start
    assert late.nothing_due() == []
    late.disconnect()
    assert otad.campaign(campaign)["state"] == "paused"
    assert otad.ok("POST", f"/campaigns/{campaign}/resume")["state"] == "running"
    device.update(offer)
    otad.wait_campaign(campaign, "completed")


def test_a_paused_campaign_offers_nothing(otad, product, devices):
    product.register("d1", secret="secret-of-d1")
    campaign = product.campaign(product.upload())
    otad.wait_campaign(campaign, "running")
    otad.ok("POST", f"/campaigns/{campaign}/pause")
    device = devices(Device(otad, product.key, "d1", "secret-of-d1").connect())
    device.inform("1.0.0")
    assert device.nothing_due() == []
    assert otad.state_of(campaign) == "queued"
    otad.ok("POST", f"/campaigns/{campaign}/resume")
    device.update(device.offer())
    otad.wait_state(campaign, "d1", "succeeded")


def test_draft_and_start(otad, product, device):
    campaign = product.campaign(product.upload(), draft=True)
    assert otad.campaign(campaign)["state"] == "draft"
    assert device.nothing_due() == []
    assert otad.executions(campaign) == {}
    otad.ok("POST", f"/campaigns/{campaign}/start")
    device.update(device.offer())
    otad.wait_campaign(campaign, "completed")


def test_cancel(otad, product, device):
    product.register("away")
    campaign = product.campaign(product.upload())
    offer = device.offer()
    device.progress(offer, percent=10)
    otad.wait_state(campaign, "d1", "downloading")
    assert otad.ok("POST", f"/campaigns/{campaign}/cancel")["state"] == "cancelled"
    otad.wait_state(campaign, "away", "cancelled")
    assert otad.state_of(campaign) == "downloading"  # what runs may end
    device.update(offer)
    otad.wait_state(campaign, "d1", "succeeded")
    otad.check_counts(campaign)
    assert otad.campaign(campaign)["state"] == "cancelled"


def test_cancel_with_force(otad, product, device):
    campaign = product.campaign(product.upload())
    offer = device.offer()
    device.progress(offer, percent=10)
    otad.wait_state(campaign, "d1", "downloading")
    otad.ok("POST", f"/campaigns/{campaign}/cancel", {"force": True})
    otad.wait_state(campaign, "d1", "cancelled")
    device.inform("1.2.0")
    device.settle()
    assert otad.state_of(campaign) == "cancelled"  # invariant 1
    lines = otad.pages(f"/devices/{product.key}/d1/timeline")
    assert "late_success" in [line["kind"] for line in lines]


@pytest.mark.parametrize("action, states", [
    ("start", ["running", "paused", "completed", "cancelled"]), ("pause", ["draft", "paused", "completed", "cancelled"]),
    ("resume", ["draft", "running", "completed", "cancelled"]), ("cancel", ["completed", "cancelled"]),
])
def test_actions_out_of_order(otad, product, action, states):
    firmware = product.upload()
    product.register("away")
    for state in states:
        campaign = product.campaign(firmware, draft=True, target={"devices": ["away"]})
        path = f"/campaigns/{campaign}"
        if state != "draft":
            otad.ok("POST", path + "/start")
            otad.wait_campaign(campaign, "running")
        if state == "paused":
            otad.ok("POST", path + "/pause")
        if state == "cancelled":
            otad.ok("POST", path + "/cancel")
        if state == "completed":
            otad.ok("DELETE", f"/devices/{product.key}/away")
            otad.wait_campaign(campaign, "completed")
            product.register("away")
        reply = otad.api("POST", f"{path}/{action}")
        assert reply.status == 409, (state, action, reply.data)
        assert otad.campaign(campaign)["state"] == state
        if state not in ("cancelled", "completed"):
            otad.ok("POST", path + "/cancel")


def test_a_removed_device(otad, product):
    product.register("d1")
    campaign = product.campaign(product.upload())
    otad.wait_campaign(campaign, "running")
    otad.ok("DELETE", f"/devices/{product.key}/d1")
    otad.wait_state(campaign, "d1", "removed")
    otad.check_counts(campaign)
    otad.wait_campaign(campaign, "completed")


# ---- targets

def test_targets(otad, product):
    for i in range(6):
        product.register(f"d{i}", tags={"site": "AB"[i % 2], "floor": str(i // 3)})
    firmware = product.upload()

    def hit(**target):
        campaign = product.campaign(firmware, target=target)
        otad.wait_campaign(campaign, "running", "completed")
        names = sorted(otad.executions(campaign))
        otad.ok("POST", f"/campaigns/{campaign}/cancel") if names else None
        return names
    assert hit() == [f"d{i}" for i in range(6)]
    assert hit(product=product.key) == [f"d{i}" for i in range(6)]
    assert hit(devices=["d1", "d4"]) == ["d1", "d4"]
    assert hit(tags={"site": "A"}) == ["d0", "d2", "d4"]
    assert hit(tags={"site": "A", "floor": "1"}) == ["d4"]
    assert hit(devices=["d0", "d1"], tags={"site": "B"}) == ["d1"]
    assert hit(tags={"site!": "A"}) == ["d1", "d3", "d5"]
    assert hit(tags={"site": "A", "floor": True}) == hit(tags={"floor": True, "site!": "B"})
    assert hit(tags={"floor": False}) == [f"d{i}" for i in range(6) if f"d{i}" not in hit(tags={"floor": True})]


@pytest.mark.parametrize("fields, word", [
    ({}, "firmware"), ({"firmware": []}, "firmware"), ({"firmware": 1}, "firmware"), ({"firmware": ["1"]}, "firmware"),
    ({"firmware": [999999]}, "firmware"), ({"firmware": ["{id}", "{id}"]}, "firmware"), ({"firmware": [-1]}, "firmware"),
    ({"firmware": ["{id}"], "colour": "blue"}, "colour"), ({"firmware": ["{id}"], "name": 7}, "name"),
    ({"firmware": ["{id}"], "name": "x" * 1000}, "name"), ({"firmware": ["{id}"], "draft": "yes"}, "draft"),
    ({"firmware": ["{id}"], "target": []}, "target"), ({"firmware": ["{id}"], "target": {"colour": 1}}, "colour"),
    ({"firmware": ["{id}"], "target": {"product": "no-such"}}, "product"),
    ({"firmware": ["{id}"], "target": {"devices": "d1"}}, "devices"),
    ({"firmware": ["{id}"], "target": {"devices": ["no-such-device"]}}, "no-such-device"),
    ({"firmware": ["{id}"], "target": {"devices": [7]}}, "devices"),
    ({"firmware": ["{id}"], "target": {"tags": ["a"]}}, "tags"),
    ({"firmware": ["{id}"], "target": {"tags": {"a": 1}}}, "tags"),
    ({"firmware": ["{id}"], "policy": {"colour": 1}}, "colour"),
    ({"firmware": ["{id}"], "policy": {"offer_timeout": "soon"}}, "offer_timeout"),
    ({"firmware": ["{id}"], "policy": {"offer_timeout": "-1s"}}, "offer_timeout"),
    ({"firmware": ["{id}"], "policy": {"offer_timeout": 30}}, "offer_timeout"),
    ({"firmware": ["{id}"], "policy": {"max_attempts": 0}}, "max_attempts"),
    ({"firmware": ["{id}"], "policy": {"max_attempts": "3"}}, "max_attempts"),
    ({"firmware": ["{id}"], "policy": {"retry_on": ["bad luck"]}}, "retry_on"),
    ({"firmware": ["{id}"], "policy": {"allow_downgrade": 1}}, "allow_downgrade"),
])
def test_campaigns_that_are_refused(otad, product, fields, word):
    firmware = product.upload()
    product.register("d1")
    before = len(otad.pages("/campaigns"))
    reply = otad.api("POST", "/campaigns", json.loads(json.dumps(fields).replace('"{id}"', str(firmware["id"]))))
    problem(reply, 422, word)
    assert len(otad.pages("/campaigns")) == before


def test_ext_data(otad, product):
    firmware = product.upload()["id"]
    words = {"_package_udi": '{"z":"1/2"}', "b": "", "a": "\u00e9 : b"}
    made = otad.ok("POST", "/campaigns", {"firmware": [firmware], "draft": True, "ext_data": words})
    seen = otad.ok("GET", f"/campaigns/{made['id']}")["ext_data"]
    assert seen == words and list(seen) == list(words)
    assert otad.campaign(product.campaign(firmware, draft=True))["ext_data"] is None
    assert otad.campaign(product.campaign(firmware, draft=True, ext_data={}))["ext_data"] is None
    room = 4096 - len('{"k":""}')
    product.campaign(firmware, draft=True, ext_data={"k": "x" * room})
    for bad in ({"k": "x" * (room + 1)}, {"sign": "1"}, {"k": "streamFileId"}, {"k": 1}, {"k": None}, {"k": {}}, {"": "1"},
                {'a"b': "1"}, {"a\\": "1"}, {"x" * 65: "1"}, ["k"], "k"):
        body = {"firmware": [firmware], "draft": True, "ext_data": bad}
        problem(otad.api("POST", "/campaigns", body), 422, "ext_data")


def test_counts_with_many_devices(otad, product):
    """Thirty that act, five that are away, three that fail."""
    fleet = [product.device(f"good{i:02}") for i in range(30)]
    fleet = [SelfActing(otad, product.key, d.name, d.secret) for d in fleet]
    bad = [product.device(f"bad{i}").connect() for i in range(3)]
    for i in range(5):
        product.register(f"away{i}")
    for device in fleet:
        device.connect()
    campaign = product.campaign(product.upload(), policy={"max_attempts": 1})
    for device in bad:
        device.progress(device.offer(), error="power")
    expected = {"succeeded": 30, "failed": 3, "queued": 5}
    otad.wait_counts(campaign, expected)
    otad.check_counts(campaign)
    assert otad.campaign(campaign)["percent"] == 100 * 33 // 38
    for device in fleet + bad:
        device.disconnect()
