"""How executions move: failures, attempts, clocks, rollbacks, and reports that change nothing (rollout/execution.h)."""
import json
import re

import pytest

from harness import wait_until

LAZY = {"offer_timeout": "1h", "finish_timeout": "1h"}


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
    assert otad.state_of(campaign, "away") == "queued"
    assert otad.campaign(campaign)["state"] == "running"


def test_late_success_changes_nothing_final(otad, product, device):
    campaign = product.campaign(product.upload(), policy={"offer_timeout": "1s", "finish_timeout": "1h", "max_attempts": 1})
    device.offer()
    otad.wait_state(campaign, "d1", "timed_out")
    device.inform("1.2.0")
    device.settle()
    assert otad.state_of(campaign) == "timed_out"
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
    assert otad.state_of(campaign) == "installing"
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
    assert otad.state_of(campaign) == "installing"
    device.inform("1.2.0")
    otad.wait_state(campaign, "d1", "succeeded")
    device.progress(offer, error="flash")
    device.progress(offer, percent=5)
    device.inform("1.1.0")
    device.inform("1.2.0")
    device.settle()
    assert otad.state_of(campaign) == "succeeded"
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
