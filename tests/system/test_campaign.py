"""A campaign from POST to its end, with devices that speak MQTT or HTTPS; the rules of rollout/execution.h."""
import base64
import hashlib
import json
import re
import subprocess

import pytest

from harness import Device, Product, SelfActing, basic, pattern, wait_until

OFFER_FIELDS = {"id", "version", "module", "size", "sha256", "md5", "signature", "url", "delta_from", "expires_at"}
LAZY = {"offer_timeout": "1h", "finish_timeout": "1h"}


@pytest.fixture
def device(product, devices):
    """Connected, on version 1.1.0."""
    one = devices(product.device("d1").connect())
    one.inform("1.1.0")
    return one


def state_of(otad, campaign, name="d1"):
    return otad.executions(campaign)[name]["state"]


# ---- the good way

def test_from_post_to_success(otad, product, device, tmp_path):
    data = pattern(70_001)
    firmware = product.upload(data)
    made = otad.api("POST", "/campaigns", {"name": "thermo 1.2.0", "firmware": [firmware["id"]]})
    assert made.status == 201
    campaign = made.data["id"]
    assert made.headers["Location"] == f"/api/v1/campaigns/{campaign}"
    assert made.data["state"] in ("preparing", "running") and made.data["name"] == "thermo 1.2.0"

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
    assert state_of(otad, campaign) == "downloading"
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
    assert {k: n for k, n in ended["counts"].items() if n} == {"succeeded": 1}
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
    assert state_of(otad, campaign) == "installing"
    device.progress(offer, state="succeeded")  # its own word does not count either
    device.settle()
    assert state_of(otad, campaign) not in ("succeeded", "failed")


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
    assert state_of(otad, campaign) != "succeeded"
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
    assert state_of(otad, campaign) != "offered"


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
    assert otad.ok("POST", f"/campaigns/{campaign}/start")["state"] in ("preparing", "running")
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
    assert state_of(otad, campaign) == "queued"
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
    assert state_of(otad, campaign) == "downloading"  # what runs may end
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
    assert state_of(otad, campaign) == "cancelled"  # invariant 1
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
    assert hit(tags={"site": "C"}) == []


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
    assert reply.status == 422, reply.data
    assert word in reply.data["detail"], reply.data
    assert len(otad.pages("/campaigns")) == before


# ---- campaigns that meet

def test_a_newer_campaign_supersedes_what_waits(otad, product):
    product.register("d1", secret="secret-of-d1")
    older = product.campaign(product.upload(version="1.2.0"))
    otad.wait_campaign(older, "running")
    newer = product.campaign(product.upload(version="1.3.0"))
    otad.wait_state(older, "d1", "superseded")
    otad.wait_campaign(older, "completed")
    device = Device(otad, product.key, "d1", "secret-of-d1").connect()
    device.inform("1.0.0")
    offer = device.offer()
    assert offer["version"] == "1.3.0"
    device.update(offer)
    otad.wait_state(newer, "d1", "succeeded")
    assert all(message["id"] in (None, offer["id"]) for message in device.nothing_due())
    device.disconnect()


def test_what_is_downloading_finishes_first(otad, product, device):
    older = product.campaign(product.upload(version="1.2.0"))
    first = device.offer("1.2.0")
    device.progress(first, percent=10)
    otad.wait_state(older, "d1", "downloading")
    newer = product.campaign(product.upload(version="1.3.0"))
    otad.wait_campaign(newer, "running")
    device.say("request", {})
    assert device.offer()["id"] == first["id"]
    assert state_of(otad, newer) == "queued"
    device.update(first)
    otad.wait_state(older, "d1", "succeeded")
    device.update(device.offer("1.3.0"))
    otad.wait_state(newer, "d1", "succeeded")


def test_campaigns_for_different_modules_do_not_supersede(otad, product):
    product.register("d1")
    one = product.campaign(product.upload(version="1.2.0"))
    two = product.campaign(product.upload(pattern(99), version="7", module="MCU"))
    otad.wait_campaign(one, "running")
    otad.wait_campaign(two, "running")
    assert (state_of(otad, one), state_of(otad, two)) == ("queued", "queued")


# ---- devices without MQTT, and devices that are off

def poll(otad, product, secret, version="1.0.0"):
    return otad.http("GET", f"/api/v1/device/offer?module=default&version={version}",
                     headers=basic(f"{product.key}/d1", secret))


def report(otad, product, secret, **fields):
    return otad.http("POST", "/api/v1/device/report", json.dumps(fields),
                     {**basic(f"{product.key}/d1", secret), "Content-Type": "application/json"})


def test_over_https_alone(otad, product):
    secret = product.register("d1")["secret"]
    assert poll(otad, product, secret).status == 204
    assert poll(otad, product, "wrong").status == 401
    assert otad.http("GET", "/api/v1/device/offer").status == 401
    campaign = product.campaign(product.upload(pattern(5000)))
    otad.wait_campaign(campaign, "running")
    offer = wait_until(lambda: poll(otad, product, secret).data or None)
    assert set(offer) <= OFFER_FIELDS and offer["version"] == "1.2.0"
    otad.wait_state(campaign, "d1", "offered")
    assert poll(otad, product, secret).data["id"] == offer["id"]
    assert otad.fetch(offer["url"]).data == pattern(5000)
    for fields, state in (({"percent": 40}, "downloading"), ({"state": "installing"}, "installing")):
        assert report(otad, product, secret, id=offer["id"], **fields).status in (200, 204)
        otad.wait_state(campaign, "d1", state)
    assert poll(otad, product, secret, "1.2.0").status == 204  # the poll is a version report
    otad.wait_state(campaign, "d1", "succeeded")
    assert otad.module_version(product.key, "d1") == "1.2.0"


def test_bad_reports_over_https(otad, product):
    secret = product.register("d1")["secret"]
    campaign = product.campaign(product.upload())
    otad.wait_campaign(campaign, "running")
    offer = wait_until(lambda: poll(otad, product, secret).data or None)
    for fields in ({}, {"id": offer["id"], "percent": "many"}, {"id": offer["id"], "state": "asleep"}, {"id": []}):
        assert report(otad, product, secret, **fields).status in (200, 204, 400, 422), fields
    assert report(otad, product, "wrong", id=offer["id"], percent=5).status == 401
    other = Product(otad)
    stranger = other.register("d1")["secret"]
    assert report(otad, other, stranger, id=offer["id"], error="flash").status in (200, 204, 404, 409, 422)
    assert state_of(otad, campaign) == "offered"


def test_a_device_that_is_off_gets_its_offer_when_back(otad, product):
    device = product.device("d1").connect()
    device.inform("1.1.0")
    device.settle()
    device.disconnect()
    campaign = product.campaign(product.upload())
    otad.wait_campaign(campaign, "running")
    assert state_of(otad, campaign) == "queued"  # invariant 10: it costs nothing
    back = Device(otad, product.key, "d1", device.secret).connect()
    offer = back.offer()  # nothing said: being there is enough
    assert offer["version"] == "1.2.0"
    back.update(offer)
    otad.wait_state(campaign, "d1", "succeeded")
    back.disconnect()


def test_power_lost_while_downloading(otad, product):
    """Same offer again after it comes back: same id, no new attempt."""
    device = product.device("d1").connect()
    device.inform("1.1.0")
    campaign = product.campaign(product.upload())
    offer = device.offer()
    device.progress(offer, percent=30)
    otad.wait_state(campaign, "d1", "downloading")
    device.power_off()
    back = Device(otad, product.key, "d1", device.secret).connect()
    back.inform("1.1.0")
    again = back.offer()
    assert again["id"] == offer["id"]
    row = otad.executions(campaign)["d1"]
    assert (row["state"], row["percent"]) == ("downloading", 30)
    assert row.get("attempt", 1) == 1
    back.update(again)
    otad.wait_state(campaign, "d1", "succeeded")
    back.disconnect()


# ---- failures, attempts and clocks

def test_a_failed_attempt_is_retried_until_there_are_none(otad, product, device):
    campaign = product.campaign(product.upload(), policy={**LAZY, "max_attempts": 3, "retry_on": ["verify"],
                                                          "retry_after": "1s"})
    for attempt in (1, 2, 3):
        offer = device.offer()
        row = wait_until(lambda n=attempt: otad.executions(campaign)["d1"]
                         if otad.executions(campaign)["d1"].get("attempt", n) == n else None)
        assert row["state"] in ("offered", "downloading")
        device.progress(offer, error="verify", detail=f"bad digest {attempt}")
        if attempt < 3:
            otad.wait_state(campaign, "d1", "queued")
            device.drain()
    row = otad.wait_state(campaign, "d1", "failed")
    assert (row["reason"], row["detail"]) == ("verify", "bad digest 3")
    assert device.nothing_due() == []
    otad.wait_campaign(campaign, "completed")
    otad.check_counts(campaign)


def test_success_at_the_second_attempt(otad, product, device):
    campaign = product.campaign(product.upload(), policy={**LAZY, "max_attempts": 2, "retry_on": ["flash"],
                                                          "retry_after": "1s"})
    device.progress(device.offer(), error="flash")
    otad.wait_state(campaign, "d1", "queued")
    device.drain()
    device.update(device.offer())
    otad.wait_state(campaign, "d1", "succeeded")


def test_a_reason_that_is_not_retried(otad, product, device):
    campaign = product.campaign(product.upload(), policy={**LAZY, "max_attempts": 3, "retry_on": ["download"],
                                                          "retry_after": "1s"})
    device.progress(device.offer(), error="space", detail="no room")
    assert otad.wait_state(campaign, "d1", "failed")["reason"] == "space"


@pytest.mark.parametrize("word", "download verify flash boot power space incompatible expired server unknown".split())
def test_reasons(otad, product, device, word):
    campaign = product.campaign(product.upload(), policy={**LAZY, "max_attempts": 1})
    device.progress(device.offer(), error=word)
    assert otad.wait_state(campaign, "d1", "failed")["reason"] == word


def test_reasons_of_a_devices_own(otad, product, device):
    campaign = product.campaign(product.upload(), policy={**LAZY, "max_attempts": 1})
    device.progress(device.offer(), error="gremlins", detail="in the flash \u2026 \" ' <b>")
    row = otad.wait_state(campaign, "d1", "failed")
    assert row["reason"] == "unknown"
    assert "in the flash \u2026 \" ' <b>" in row["detail"]


def test_a_device_that_says_no(otad, product, device):
    campaign = product.campaign(product.upload(), policy={**LAZY, "max_attempts": 3})
    device.progress(device.offer(), error="rejected", detail="the user said no")
    row = otad.wait_state(campaign, "d1", "rejected")
    assert row["reason"] == "rejected"


def test_the_offer_clock(otad, product, device):
    campaign = product.campaign(product.upload(), policy={"offer_timeout": "1s", "finish_timeout": "1h", "max_attempts": 1})
    device.offer()
    otad.wait_state(campaign, "d1", "timed_out")
    otad.wait_campaign(campaign, "completed")


def test_the_finish_clock(otad, product, device):
    campaign = product.campaign(product.upload(), policy={"offer_timeout": "1h", "finish_timeout": "2s", "max_attempts": 1})
    device.progress(device.offer(), percent=10)
    otad.wait_state(campaign, "d1", "timed_out")


def test_after_a_clock_another_attempt(otad, product, device):
    campaign = product.campaign(product.upload(), policy={
        "offer_timeout": "2s", "finish_timeout": "1h", "max_attempts": 2, "retry_on": ["timed_out"], "retry_after": "1s"})
    device.offer()
    wait_until(lambda: otad.executions(campaign)["d1"]["attempt"] == 2)
    device.update(device.offer())
    otad.wait_state(campaign, "d1", "succeeded")


def test_clocks_do_not_run_for_a_device_that_is_away(otad, product, device):
    """Two devices, one clock: when the one that is there has timed out, the one that is away still waits."""
    product.register("away")
    campaign = product.campaign(product.upload(), policy={"offer_timeout": "1s", "finish_timeout": "1s", "max_attempts": 1})
    otad.wait_state(campaign, "d1", "timed_out")
    assert state_of(otad, campaign, "away") == "queued"
    assert otad.campaign(campaign)["state"] == "running"


def test_late_success_changes_nothing_final(otad, product, device):
    campaign = product.campaign(product.upload(), policy={"offer_timeout": "1s", "finish_timeout": "1h", "max_attempts": 1})
    device.offer()
    otad.wait_state(campaign, "d1", "timed_out")
    device.inform("1.2.0")
    device.settle()
    assert state_of(otad, campaign) == "timed_out"
    lines = otad.pages(f"/devices/{product.key}/d1/timeline")
    assert [line["kind"] for line in lines].count("late_success") == 1
    otad.check_counts(campaign)


def test_rolled_back(otad, product, device):
    campaign = product.campaign(product.upload(), policy={**LAZY, "max_attempts": 1, "rollback_confirm": "1s"})
    offer = device.offer()
    device.progress(offer, percent=100)
    device.progress(offer, state="installing")
    device.inform("1.1.0")
    otad.wait_state(campaign, "d1", "rolled_back")


def test_a_reconnect_before_the_reboot_is_no_rollback(otad, product, device):
    campaign = product.campaign(product.upload(), policy={**LAZY, "max_attempts": 1, "rollback_confirm": "1h"})
    offer = device.offer()
    device.progress(offer, state="installing")
    device.inform("1.1.0")
    device.settle()
    assert state_of(otad, campaign) == "installing"
    device.inform("1.2.0")
    otad.wait_state(campaign, "d1", "succeeded")


def test_rolled_back_in_the_hold_off(otad, product, device):
    campaign = product.campaign(product.upload(), policy={**LAZY, "max_attempts": 1, "health_hold_off": "1h"})
    device.update(device.offer())
    otad.wait_state(campaign, "d1", "testing")
    device.inform("1.1.0")
    otad.wait_state(campaign, "d1", "rolled_back")


def test_hold_off_that_ends_well(otad, product, device):
    campaign = product.campaign(product.upload(), policy={**LAZY, "health_hold_off": "2s"})
    device.update(device.offer())
    otad.wait_state(campaign, "d1", "testing")
    device.inform("1.2.0")
    otad.wait_state(campaign, "d1", "succeeded")


# ---- reports that change nothing

def test_backwards_doubled_and_foreign_reports(otad, product, device, devices):
    campaign = product.campaign(product.upload(), policy=LAZY)
    offer = device.offer()
    neighbour = devices(product.device("d2").connect())
    device.progress(offer, percent=60)
    device.progress(offer, percent=60)
    device.progress(offer, percent=20)
    neighbour.progress(offer, error="flash")  # somebody else's id
    device.progress({"id": "999999"}, error="flash")
    neighbour.settle()
    device.settle()
    row = otad.executions(campaign)["d1"]
    assert (row["state"], row["percent"]) == ("downloading", 60)
    device.progress(offer, state="installing")
    device.progress(offer, percent=70)
    device.progress(offer, state="downloading")
    device.progress(offer, state="downloaded")
    device.settle()
    assert state_of(otad, campaign) == "installing"
    device.inform("1.2.0")
    otad.wait_state(campaign, "d1", "succeeded")
    device.progress(offer, error="flash")
    device.progress(offer, percent=5)
    device.inform("1.1.0")
    device.inform("1.2.0")
    device.settle()
    assert state_of(otad, campaign) == "succeeded"
    otad.check_counts(campaign)


def test_a_report_without_an_id_is_of_what_runs(otad, product, device):
    campaign = product.campaign(product.upload(), policy=LAZY)
    device.offer()
    device.say("progress", {"percent": 12})
    wait_until(lambda: otad.executions(campaign)["d1"]["percent"] == 12)


def test_timeline_tells_the_story(otad, product, device):
    campaign = product.campaign(product.upload())
    device.update(device.offer())
    otad.wait_state(campaign, "d1", "succeeded")
    lines = otad.pages(f"/devices/{product.key}/d1/timeline")
    for line in lines:
        assert line["kind"] and re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", line["at"])
    text = json.dumps(lines)
    for word in ("registered", "1.1.0", "offered", "downloading", "installing", "succeeded", "1.2.0"):
        assert word in text, word


def test_counts_with_many_devices(otad, product):
    """Thirty that act, five that are away, three that fail."""
    fleet = [product.device(f"good{i:02}") for i in range(30)]
    fleet = [SelfActing(otad, product.key, d.name, d.secret) for d in fleet]
    bad = [product.device(f"bad{i}").connect() for i in range(3)]
    for i in range(5):
        product.register(f"away{i}")
    for device in fleet:
        device.connect()
    campaign = product.campaign(product.upload(), policy={**LAZY, "max_attempts": 1})
    for device in bad:
        device.progress(device.offer(), error="power")
    expected = {"succeeded": 30, "failed": 3, "queued": 5}
    wait_until(lambda: {k: n for k, n in otad.campaign(campaign)["counts"].items() if n} == expected)
    otad.check_counts(campaign)
    assert otad.campaign(campaign)["percent"] == 100 * 33 // 38
    for device in fleet + bad:
        device.disconnect()
