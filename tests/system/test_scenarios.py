"""Whole campaigns, from the first device to the last, over hours and days of a clock that the tests move. Each happens in
otad and in model.py at once, and both are compared after every step."""
import contextlib
import datetime
import os
import random
import signal
import zoneinfo

import pytest

from conftest import Factory
from harness import BUILD, wait_until
from model import FAILURES, FINISHED, ms, window_open
from world import World

pytestmark = pytest.mark.skipif(not (BUILD / "testclock.so").exists(), reason="make builds testclock.so for `make system`")

ONE = {"max_attempts": 1}
FOREVER = {"offer_timeout": "100d", "finish_timeout": "100d"}


@pytest.fixture(scope="module")
def otad():
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        server = factory(clock=True)
        server.up_since = server.clock.now_ms
        yield server
        factory.stop()


@pytest.fixture
def world(otad):
    return World(otad)


@pytest.fixture
def firmware(world):
    return world.upload("2.0.0"), "2.0.0"


def in_wave(campaign, wave):
    return [name for name, x in campaign.executions.items() if x.wave == wave]


# ---- waves

def test_a_canary_of_ten_then_everyone(world, firmware):
    names = world.devices(40)
    c = world.campaign(firmware, waves=[{"count": 10, "soak": "30m"}, {"percent": 100}])
    canary = in_wave(c, 0)
    assert len(canary) == 10
    for name in set(names) - set(canary):
        assert world.poll(name, "1.0.0") is None
    for name in canary[:-1]:
        world.takes(name, c)
    world.step("nine of ten")
    world.later("1h")
    assert c.wave == 0
    world.takes(canary[-1], c)
    world.step("ten of ten")
    world.later("29m")
    assert c.wave == 0
    world.later("1m")
    assert c.wave == 1
    for name in set(names) - set(canary):
        world.takes(name, c)
    world.step("everyone")
    assert c.state == "completed"


@pytest.mark.parametrize("then, state", [("pause", "paused"), ("cancel", "cancelled")])
def test_a_canary_that_fails_stops(world, firmware, then, state):
    world.devices(12)
    c = world.campaign(firmware, waves=[{"count": 5, "success_pct": 80}, {"percent": 100}], policy={**ONE, "wave_failed": then})
    canary = in_wave(c, 0)
    world.fails(canary[0], c)
    world.step("one failure is allowed")
    assert c.state == "running"
    world.fails(canary[1], c)
    world.step("two are not")
    assert (c.state, c.cause) == (state, "threshold")
    assert world.poll(canary[2], "1.0.0") is None
    if state == "paused":
        world.act(c, "advance")
        assert (c.state, c.wave) == ("running", 1)
        for name in canary[2:] + in_wave(c, 1):
            world.takes(name, c)
        world.step("all the rest")
        assert c.state == "completed"


def test_failures_while_a_campaign_is_paused(world, firmware):
    """They are judged when it goes on: nobody is left who could meet its wave's success."""
    world.devices(4)
    c = world.campaign(firmware, waves=[{"count": 2}, {"percent": 100}], policy=ONE)
    canary = in_wave(c, 0)
    offers = {name: world.poll(name, "1.0.0") for name in canary}
    world.act(c, "pause")
    for name in canary:
        world.say(name, world.of(c, name), offers[name]["id"], error="boot")
    world.step("both fail")
    world.act(c, "resume")
    world.later("1s")
    assert (c.state, c.cause, c.wave) == ("paused", "threshold", 0)
    world.act(c, "advance")
    assert (c.state, c.wave) == ("running", 1)


def test_a_rule_stops_in_the_report_that_crosses_it(world, firmware):
    names = world.devices(20)
    rules = [{"on": ["failed", "timed_out"], "pct": 25, "min_finished": 8}]
    c = world.campaign(firmware, policy={**ONE, "stop": rules})
    for i, name in enumerate(names):
        offer = world.poll(name, "1.0.0")
        if c.state != "running":
            assert offer is None
        elif i % 4 == 3:
            world.fails(name, c)
        else:
            world.takes(name, c)
        world.step(name)
    assert (c.state, c.cause) == ("paused", "threshold") and c.count(*FINISHED) == 8
    world.act(c, "resume")
    for name in names[8:]:
        if c.state == "running":
            world.takes(name, c)
    world.step("the rest")
    assert c.state == "completed"


def test_site_by_site(world, firmware):
    for i in range(12):
        world.device(f"d{i:03}", "1.0.0", site="ABC"[i % 3])
    waves = [{"tags": {"site": "B"}, "success_pct": 75}, {"tags": {"site": "C"}, "soak": "2h"}, {"percent": 100}]
    c = world.campaign(firmware, waves=waves, policy=ONE)
    for wave in (0, 1, 2):
        names = in_wave(c, wave)
        assert c.wave == wave and len(names) == 4
        assert {world.model.devices[name].tags["site"] for name in names} == {"BCA"[wave]}
        for name in names[:3]:
            world.takes(name, c)
        world.step("three of four")
        assert c.wave == (1 if wave == 0 else wave)
        if wave == 0:
            world.fails(names[3], c)
        else:
            world.takes(names[3], c)
        world.step("the fourth")
        if wave == 1:
            world.later("119m")
            assert c.wave == 1
            world.later("1m")
    assert c.state == "completed"


# ---- windows, rate, slots

def clock_change(zone, after_ms, forward):
    """The next moment at which that zone's clocks are put on (or back)."""
    z, at = zoneinfo.ZoneInfo(zone), after_ms // 3600_000 * 3600

    def offset(s):
        return datetime.datetime.fromtimestamp(s, z).utcoffset()
    while not (offset(at + 3600) > offset(at) if forward else offset(at + 3600) < offset(at)):
        at += 3600
    return (at + 3600) * 1000


@pytest.mark.parametrize("forward", [True, False])
def test_nights_only_in_two_zones_across_a_clock_change(make_clocked, forward):
    otad = make_clocked()
    otad.at(clock_change("Europe/Berlin", otad.clock.now_ms + 3 * 86400_000, forward) - 2 * 86400_000)
    world = World(otad)
    firmware = world.upload("2.0.0"), "2.0.0"
    zones = {"b": "Europe/Berlin", "s": "Asia/Shanghai"}
    for i in range(48):
        for letter, zone in zones.items():
            world.device(f"{letter}{i:03}", "1.0.0", tz=zone)
    world.device("nowhere", "1.0.0")
    window = {"from": "22:00", "to": "02:30", "tz": "device"}
    c = world.campaign(firmware, policy={"window": window, **FOREVER})
    world.to(world.now // 3600_000 * 3600_000 + 900_000)
    offered, world.patient = {}, False
    for _ in range(4 * 24):
        for letter, zone in zones.items():
            waits = [x.device.name for x in c.executions.values() if x.state == "queued" and x.device.name[0] == letter]
            got = world.poll(waits[0], "1.0.0") if waits else None
            if got:
                wall = datetime.datetime.fromtimestamp(world.now // 1000, zoneinfo.ZoneInfo(zone))
                offered.setdefault(letter, []).append(f"{wall:%d %H:%M}")
        assert world.poll("nowhere", "1.0.0") is None
        world.glide(ms("1h"))
    world.step("four days")
    hours = {letter: {text[3:5] for text in texts} for letter, texts in offered.items()}
    assert hours == {letter: {"22", "23", "00", "01", "02"} for letter in zones}
    nights = [sum(text.startswith(day) and text[3:5] == "02" for text in offered["b"])
              for day in sorted({text[:2] for text in offered["b"]})]
    assert (0 if forward else 2) in nights  # the hour that is skipped, or comes twice


def test_a_window_by_weekdays(world, firmware):
    names = world.devices(60)
    window = {"days": ["sat", "sun"], "from": "23:00", "to": "01:00", "tz": "Asia/Kolkata"}
    c = world.campaign(firmware, policy={"window": window, **FOREVER})
    got, world.patient = 0, False
    for _ in range(8 * 24):
        if window_open(window, {}, world.now):
            assert world.poll(names[got], "1.0.0")
            got += 1
        else:
            assert world.poll(names[-1], "1.0.0") is None
        world.glide(ms("1h"))
    world.step("eight days")
    assert got >= 4 and c.state == "running"


def test_sixty_a_minute_for_two_hundred_pollers(world, firmware):
    names = world.devices(200)
    c = world.campaign(firmware, policy={"rate_per_minute": 60, **FOREVER})
    given, i, world.patient = [], 0, False
    for _ in range(260):
        while i < len(names) and world.poll(names[i], "1.0.0"):
            given.append(world.now)
            i += 1
        world.glide(1000)
    world.step("all have asked")
    assert len(given) == 200 and c.count("offered") == 200
    assert all(sum(at <= other < at + 60_000 for other in given) <= 60 for at in given)
    assert given[-1] - given[0] <= 200 * 61_000 / 60 + 2000


@pytest.mark.parametrize("by_poll", [False, True])
def test_slots_with_silent_devices(world, firmware, by_poll):
    names = world.devices(8)
    c = world.campaign(firmware, policy={"max_in_flight": 2, "lease": "10m", **FOREVER})
    first, second = names[:2]
    for name in (first, second):
        world.say(name, world.of(c, name), world.poll(name, "1.0.0")["id"], percent=10)
    assert world.poll(names[2], "1.0.0") is None
    world.later("9m")
    world.say(second, world.of(c, second), percent=20)
    assert world.poll(names[2], "1.0.0") is None
    world.step("both are at work")
    world.later("2m")
    assert world.poll(names[2], "1.0.0")
    assert world.poll(names[3], "1.0.0") is None
    world.step("the first was silent, and its place is another's")
    if by_poll:
        assert world.poll(first, "1.0.0")
    else:
        world.say(first, world.of(c, first), percent=50)
    world.say(second, world.of(c, second), state="installing")
    world.poll(second, "2.0.0")
    assert world.poll(names[3], "1.0.0") is None
    world.step("it is heard again, and counts again")
    world.poll(first, "2.0.0")
    assert world.poll(names[3], "1.0.0")
    assert world.poll(names[4], "1.0.0") is None
    world.step("two are at work")
    world.later("11m")
    for name in names[4:6]:
        assert world.poll(name, "1.0.0")
    world.step("those two were silent")


# ---- attempts

def test_three_attempts_with_backoff(world, firmware):
    world.device("d1", "1.0.0")
    c = world.campaign(firmware, policy={"retry_after": "10m"})
    for pause in (10, 20, None):
        world.fails("d1", c, "download")
        world.step("an attempt fails")
        if pause:
            assert world.poll("d1", "1.0.0") is None
            world.later(f"{pause * 60 - 1}s")
            assert world.poll("d1", "1.0.0") is None
            world.later("1s")
    assert world.of(c, "d1").state == "failed" and c.state == "completed"
    world.poll("d1", "2.0.0")
    world.step("late")
    assert c.late_success == 1


@pytest.mark.parametrize("clock", ["offer_timeout", "finish_timeout"])
def test_clocks_end_attempts(world, firmware, clock):
    world.device("d1", "1.0.0")
    c = world.campaign(firmware, policy={clock: "2h", "max_attempts": 2, "retry_after": "5m"})
    for attempt in (1, 2):
        offer = world.poll("d1", "1.0.0")
        if clock == "finish_timeout":
            world.say("d1", world.of(c, "d1"), offer["id"], percent=10)
            world.later("1h")
            world.say("d1", world.of(c, "d1"), offer["id"], percent=100)
            world.later("59m")
        else:
            world.later("119m")
        assert world.of(c, "d1").active
        world.later("1m")
        assert world.of(c, "d1").state == ("queued" if attempt == 1 else "timed_out")
        world.later("5m")


def test_rollbacks(world, firmware):
    """The old version in testing at once, in installing when it holds."""
    for name in ("soon", "holds", "passes", "quiet"):
        world.device(name, "1.0.0")
    c = world.campaign(firmware, policy={**ONE, "health_hold_off": "30m", "rollback_confirm": "5m"})
    ids = {}
    for name in c.executions:
        ids[name] = world.poll(name, "1.0.0")["id"]
        world.say(name, world.of(c, name), ids[name], state="installing")
    world.poll("holds", "1.0.0")
    world.poll("passes", "1.0.0")
    world.step("two have come back too early")
    world.later("4m")
    for name in ("soon", "passes", "quiet"):
        world.poll(name, "2.0.0")
    world.step("three say the new version")
    world.later("1m")
    world.poll("soon", "1.0.0")
    world.step("one goes back")
    world.later("5m")
    world.poll("passes", "2.0.0")
    world.later("30m")
    assert [world.of(c, name).state for name in ("soon", "holds", "passes", "quiet")] == \
        ["rolled_back", "rolled_back", "succeeded", "failed"]


def test_quarantine_after_three_campaigns(world, firmware):
    world.device("d1", "1.0.0")
    for failures in (1, 2, 3):
        c = world.campaign(firmware, policy={**ONE, "quarantine_for": "6h"})
        world.fails("d1", c)
        world.step(f"{failures} in a row")
    c = world.campaign(firmware)
    assert world.poll("d1", "1.0.0") is None
    world.later("359m")
    assert world.poll("d1", "1.0.0") is None
    world.later("1m")
    world.takes("d1", c)
    world.step("it has rested")


def test_rest_begins_at_once(world, firmware):
    """What waits already is not offered in the report that puts the device to rest."""
    world.device("d1", "1.0.0")
    c = world.campaign(firmware, policy={**ONE, "quarantine_after": 1})
    offer = world.poll("d1", "1.0.0")
    d = world.campaign((world.upload("3.0.0"), "3.0.0"))
    world.say("d1", world.of(c, "d1"), offer["id"], error="power")
    world.step("it fails, and rests")
    assert world.poll("d1", "1.0.0") is None
    assert [world.of(x, "d1").state for x in (c, d)] == ["failed", "queued"]
    world.later("1d")
    world.takes("d1", d)
    world.step("a day after")


# ---- versions

def test_five_missed_releases_and_one_offer(world):
    world.device("d1", "1.0.0")
    for i in range(1, 6):
        c = world.campaign((world.upload(f"1.{i}.0"), f"1.{i}.0"))
        world.later("7d")
    offer = world.poll("d1", "1.0.0")
    assert offer["version"] == "1.5.0"
    assert [x.state for x in world.model.executions(world.model.devices["d1"])] == ["superseded"] * 4 + ["offered"]
    world.poll("d1", "1.5.0")
    assert world.poll("d1", "1.5.0") is None
    world.step("it is done")
    assert c.state == "completed"


def test_stepping_stones(world):
    for name, version in (("old", "1.0.0"), ("newer", "1.6.0"), ("unknown", ""), ("lost", "0.1.0")):
        world.device(name, version)
    world.upload("1.2.0", requires=">=1.0.0")
    world.upload("1.5.0", requires=">=1.1.0")
    goal = world.upload("2.0.0", requires=">=1.5.0"), "2.0.0"
    c = world.campaign(goal)
    assert world.of(c, "lost").state == "failed"
    assert world.poll("newer", "1.6.0")["version"] == "2.0.0"
    world.fails("old", c, "download")
    world.step("an attempt at the first stone")
    world.later("10m")
    assert world.poll("old", "1.0.0")["version"] == "1.2.0"
    assert world.poll("old", "1.2.0")["version"] == "1.5.0"
    assert world.of(c, "old").attempt == 1
    assert world.poll("old", "1.5.0")["version"] == "2.0.0"
    world.poll("old", "2.0.0")
    world.step("by two stones")
    assert world.poll("unknown", "1.5.0")["version"] == "2.0.0"
    world.step("it has said what it has")


@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("error", ["verify", "flash", "download"])
def test_a_delta_falls_back(world, firmware, attempts, error):
    world.upload("2.0.0", delta_from="1.0.0")
    world.device("d1", "1.0.0")
    world.device("d2", "1.1.0")
    c = world.campaign(firmware, policy={"max_attempts": attempts})
    offer = world.poll("d1", "1.0.0")
    assert offer["delta_from"] == "1.0.0"
    assert world.poll("d2", "1.1.0")["delta_from"] is None
    world.say("d1", world.of(c, "d1"), offer["id"], error=error)
    world.step("the delta fails")
    for _ in range(attempts + 2):
        offer = world.poll("d1", "1.0.0")
        if offer:
            assert (offer["delta_from"] is None) == (error != "download")
            world.say("d1", world.of(c, "d1"), offer["id"], error="download")
            world.step("so does what came after")
        world.later("2h")
    assert world.of(c, "d1").state == "failed"


def test_pins_pauses_and_downgrades(world, firmware):
    for name, version in (("pinned", "1.0.0"), ("paused", "1.0.0"), ("beyond", "3.0.0"), ("there", "2.0.0")):
        world.device(name, version)
    world.change("pinned", pinned="1.5.0")
    world.change("paused", paused=True)
    c = world.campaign(firmware)
    assert [world.poll(x.device.name, x.device.version) for x in c.executions.values()] == [None] * 4
    world.change("pinned", pinned=None)
    world.change("paused", paused=False)
    world.takes("pinned", c)
    world.takes("paused", c)
    world.step("both are free")
    c = world.campaign(firmware, policy={"allow_downgrade": True})
    world.takes("beyond", c)
    world.step("back down")
    assert c.state == "completed"


# ---- who comes, and when

def test_dynamic_joiners(world, firmware):
    world.device("early", "1.0.0", site="A")
    world.device("other", "1.0.0", site="B")
    world.device("tester", "1.0.0", site="B", beta="1")
    c = world.campaign(firmware, target={"tags": {"site": "A"}, "version": "<2.0.0", "dynamic": True},
                       waves=[{"tags": {"beta": "1"}}, {"percent": 100}])
    world.later("1d")
    world.device("late", "1.0.0", site="A")
    world.device("beta", "", site="A", beta="1")
    assert world.poll("beta", "1.0.0")["version"] == "2.0.0"
    world.device("new", "2.0.0", site="A")
    world.step("three more have come")
    assert set(c.executions) == {"early", "late", "beta"}
    world.poll("beta", "2.0.0")
    world.step("the first wave is through")
    for name in ("early", "late"):
        world.takes(name, c)
    world.step("all are done, and it goes on")
    assert c.state == "running"
    world.change("other", tags={"site": "A"})
    assert world.poll("other", "1.0.0")
    world.step("one moved house")
    assert set(c.executions) == {"early", "late", "beta", "other"}
    newer = world.upload("3.0.0"), "3.0.0"
    d = world.campaign(newer, target={"tags": {"site": "A"}, "dynamic": True})
    world.device("last", "1.0.0", site="A")
    world.step("the newest takes in who comes")
    assert "last" in d.executions and "last" not in c.executions
    world.act(c, "cancel")
    world.act(d, "cancel")


def test_end_at(world, firmware):
    names = world.devices(5)
    c = world.campaign(firmware, policy={"start_at": world.in_("1d"), "end_at": world.in_("2d"), "finish_timeout": "3h"})
    assert world.poll(names[0], "1.0.0") is None
    world.device("later", "1.0.0")
    world.later("1d")
    assert c.state == "running" and len(c.executions) == 6
    world.later("23h")
    for name in names[:2]:
        offer = world.poll(name, "1.0.0")
        world.say(name, world.of(c, name), offer["id"], percent=10)
    world.poll(names[2], "1.0.0")
    world.later("1h")
    assert (c.state, c.cause) == ("cancelled", "end")
    assert [x.state for x in c.executions.values()] == \
        ["downloading", "downloading", "offered", "cancelled", "cancelled", "cancelled"]
    world.poll(names[0], "2.0.0")
    world.later("3h")
    world.later("1d")
    assert [x.state for x in c.executions.values()][:3] == ["succeeded", "timed_out", "timed_out"]


@pytest.mark.parametrize("action", ["cancel", "force"])
def test_cancelled_by_hand(world, firmware, action):
    names = world.devices(4)
    c = world.campaign(firmware, policy={"confirm": "operator"})
    assert (c.state, c.cause) == ("paused", "approval")
    assert world.poll(names[0], "1.0.0") is None
    world.act(c, "resume")
    for name in names[:2]:
        world.poll(name, "1.0.0")
    world.act(c, action)
    world.say(names[0], world.of(c, names[0]), error="power")
    world.poll(names[1], "2.0.0")
    world.step("what was under way")
    assert [x.state for x in c.executions.values()][2:] == ["cancelled", "cancelled"]


def test_replace(world, firmware):
    names = world.devices(4)
    c = world.campaign(firmware)
    for name, state in zip(names, ("", "downloading", "installing")):
        offer = world.poll(name, "1.0.0")
        if state:
            world.say(name, world.of(c, name), offer["id"], state=state)
    newer = world.upload("3.0.0"), "3.0.0"
    d = world.campaign(newer, policy={"replace": True})
    assert [x.state for x in c.executions.values()] == ["superseded", "superseded", "installing", "superseded"]
    for name in names:
        world.poll(name, "1.0.0")
    world.step("all but one hear of the newer")
    world.later("1h")
    world.poll(names[2], "1.0.0")
    world.step("that one goes back, and on")
    assert {x.state for x in d.executions.values()} == {"offered"}


def test_pushes_to_devices_that_are_there(world, firmware, devices):
    """Who has a session gets its offer when it becomes due; who has none, when it asks."""
    there = devices(world.product.device("there").connect())
    there.inform("1.0.0")
    there.settle()
    world.model.device("there", "1.0.0").there = True
    world.device("away", "1.0.0")
    c = world.campaign(firmware, policy={"retry_after": "1h", "start_at": world.in_("5h"), "health_hold_off": "1d"})
    assert there.drain() == []
    world.later("5h")
    offer = there.offer()
    assert offer["version"] == "2.0.0"
    there.progress(offer, error="power")
    there.settle()
    world.model.report(world.of(c, "there"), error="power")
    world.step("its first attempt fails")
    assert there.drain() == []
    world.later("1h")
    assert there.offer()["id"] == offer["id"]
    there.progress(offer, state="installing")
    there.inform("2.0.0")
    there.settle()
    world.model.report(world.of(c, "there"), state="installing")
    world.model.inform(world.model.devices["there"], "2.0.0")
    world.step("the second one is good")
    world.later("1d")
    assert world.of(c, "there").state == "succeeded"
    assert world.of(c, "away").state == "queued"


def offered(devices):
    """Those that have got an offer which they have not looked at."""
    return [device.name for device in devices if any(message["id"] for message in device.drain())]


def wait_offered(devices, names):
    got = set()
    wait_until(lambda: got.update(offered(devices)) or got >= set(names), what=f"offers to {names}, not {got}")
    assert got == set(names)


def test_whoever_is_there_hears_when_something_opens(world, firmware, devices):
    """A window, a wave, a resume, the end of a rest, a stop of another's download: each is a push."""
    fleet = [world.connect(f"d{i}", "1.0.0", devices, site="AB"[i % 2]) for i in range(4)]
    world.device("away", "1.0.0", site="A")
    hour = datetime.datetime.fromtimestamp(world.now // 1000 + 7200, datetime.timezone.utc).hour
    c = world.campaign(firmware, waves=[{"tags": {"site": "A"}, "success_pct": 50}, {"percent": 100}],
                       policy={"window": {"from": f"{hour:02}:00", "to": f"{(hour + 2) % 24:02}:00"}, "max_attempts": 1,
                               "quarantine_after": 1, "quarantine_for": "1h"})
    world.later("20m")
    assert offered(fleet) == []
    world.to((world.now // 3600_000 + 2) * 3600_000 + 1000)
    wait_offered(fleet, ["d0", "d2"])
    world.inform(fleet[0], "2.0.0")
    assert c.wave == 0
    world.act(c, "pause")
    world.inform(fleet[2], "2.0.0")
    assert c.wave == 0 and offered(fleet) == []
    world.act(c, "resume")
    world.step("the first wave is through")
    wait_offered(fleet, ["d1", "d3"])
    fleet[1].progress({"id": world.row(c, "d1")["id"]}, error="power")
    fleet[1].settle()
    world.model.report(world.of(c, "d1"), error="power")
    world.step("one fails")
    d = world.campaign((world.upload("3.0.0"), "3.0.0"), policy={"replace": True})
    wait_offered(fleet, ["d0", "d2", "d3"])
    world.later("1h")
    wait_offered(fleet, ["d1"])
    world.disconnect(fleet[0])
    for device in fleet[1:]:
        world.inform(device, "3.0.0")
    fleet.append(world.connect("d0", "2.0.0", devices))
    wait_offered(fleet, ["d0"])
    world.takes("away", d)
    world.inform(fleet[-1], "3.0.0")
    world.step("all have it")
    assert (c.state, d.state) == ("completed", "completed")


@pytest.mark.parametrize("limit", [{"rate_per_minute": 6}, {"max_in_flight": 1}])
def test_one_push_after_the_other(world, firmware, devices, limit):
    fleet = [world.connect(f"d{i}", "1.0.0", devices) for i in range(5)]
    c, got = world.product.campaign(firmware[0], policy=limit), []
    for i in range(5):
        world.otad.later("10s" if i else "0s")
        wait_until(lambda: got.extend(offered(fleet)) or len(got) > i, what="the next offer")
        assert len(got) == i + 1 and world.otad.counts(c).get("offered", 0) == (i + 1 if "rate_per_minute" in limit else 1)
        if "max_in_flight" in limit:
            device = fleet[int(got[-1][1:])]
            device.inform("2.0.0")
            device.settle()
    assert sorted(got) == [device.name for device in fleet]


# ---- back, again, and over restarts

def test_back_out(world, firmware):
    for version in ("1.0.0", "1.1.0"):
        world.upload(version)
    for name, version in (("a", "1.0.0"), ("b", "1.1.0"), ("c", "1.0.1"), ("d", "1.0.0"), ("e", "1.0.0"), ("f", "1.0.0")):
        world.device(name, version)
    c = world.campaign(firmware, policy=ONE)
    for name in "abc":
        world.takes(name, c)
    world.fails("d", c)
    world.say("e", world.of(c, "e"), world.poll("e", "1.0.0")["id"], percent=30)
    world.step("three are done, one failed, one is at it, one never began")
    back = world.roll_back(c)
    assert c.state == "cancelled" and world.of(c, "e").state == "downloading"
    assert {name: x.state for name, x in back.executions.items()} == \
        {"a": "queued", "b": "queued", "c": "failed", "d": "succeeded", "e": "queued"}
    assert world.poll("a", "2.0.0")["version"] == "1.0.0"
    assert world.poll("b", "2.0.0")["version"] == "1.1.0"
    world.poll("e", "2.0.0")
    world.step("what had begun ends first")
    assert world.poll("e", "2.0.0")["version"] == "1.0.0"
    for name, version in (("a", "1.0.0"), ("b", "1.1.0"), ("e", "1.0.0")):
        world.poll(name, version)
    world.step("all are back")
    assert back.state == "completed"


def test_once_more(world, firmware):
    names = world.devices(6)
    c = world.campaign(firmware, policy={**ONE, "quarantine_after": 0, "offer_timeout": "1h"})
    for name in names[:3]:
        world.takes(name, c)
    world.fails(names[3], c)
    world.fails(names[4], c, "rejected")
    world.poll(names[5], "1.0.0")
    world.later("1h")
    assert c.state == "completed"
    again = world.retry(c)
    assert set(again.executions) == set(names[3:])
    for name in names[3:]:
        world.takes(name, again)
    world.step("they have got it now")
    assert again.state == "completed"


@pytest.fixture
def make_clocked(make_otad):
    def make():
        server = make_otad(clock=True)
        server.up_since = server.clock.now_ms
        return server
    return make


def test_restarts_in_the_middle(make_clocked):
    world = World(make_clocked())
    world.later("10m")
    firmware = world.upload("2.0.0"), "2.0.0"
    names = world.devices(12)
    c = world.campaign(firmware, waves=[{"count": 4, "soak": "1h", "success_pct": 75}, {"percent": 100}],
                       policy={"retry_after": "10m", "rate_per_minute": 30, "offer_timeout": "2h"})
    canary = in_wave(c, 0)
    for name, sig in zip(canary, (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
        world.later("2s")
        offer = world.poll(name, "1.0.0")
        world.say(name, world.of(c, name), offer["id"], percent=40)
        world.restart(sig)
        assert world.poll(name, "1.0.0")["id"] == offer["id"]
        if name == canary[0]:
            world.say(name, world.of(c, name), offer["id"], error="flash")
            world.step("one fails, and is to be tried again")
        else:
            world.poll(name, "2.0.0")
    world.later("30m")
    world.restart(signal.SIGKILL)
    world.later("29m")
    assert c.wave == 0
    world.later("1m")
    assert c.wave == 1
    name = in_wave(c, 1)[0]
    assert world.poll(name, "1.0.0")
    world.step("one is offered it")
    world.later("119m")
    world.glide(120_000)
    world.restart()
    assert world.of(c, name).state == "offered"  # it may have said something meanwhile
    world.later("61s")
    assert world.of(c, name).state == "queued"
    world.later("1h")
    for name in names:
        if world.of(c, name).live:
            world.takes(name, c)
            world.later("2s")
    assert c.state == "completed"


# ---- at random

class Chance:
    """One thing after another, as a seed has it. Devices do what devices do, most of it sensible."""

    policies = [
        {}, {}, ONE, {"max_attempts": 2, "retry_after": "1m"}, {"offer_timeout": "10m"}, {"finish_timeout": "10m"},
        {"health_hold_off": "10m"}, {"rollback_confirm": "10m"}, {"rate_per_minute": 1}, {"rate_per_minute": 60},
        {"max_in_flight": 2, "lease": "30d"}, {"allow_downgrade": True}, {"replace": True}, {"confirm": "device"},
        {"confirm": "operator"}, {"quarantine_after": 1, "quarantine_for": "3h"}, {"quarantine_after": 0},
        {"window": {"from": "20:00", "to": "09:00", "tz": "America/New_York"}},
        {"window": {"days": ["mon", "wed", "fri"], "from": "06:00", "to": "24:00"}},
        {"stop": [{"on": ["failed", "timed_out", "rolled_back"], "pct": 40, "min_finished": 3}]},
        {"stop": [{"on": ["rejected"], "pct": 1, "then": "cancel"}, {"on": ["failed"], "pct": 50}]},
        {"wave_failed": "cancel"},
    ]
    waves = [None, None, [{"count": 2, "success_pct": 50}, {"percent": 100}],
             [{"count": 1, "soak": "30m"}, {"percent": 60, "success_pct": 50}, {"percent": 100, "success_pct": 80}],
             [{"tags": {"site": "B"}, "success_pct": 30, "soak": "1h"}, {"percent": 100}]]
    targets = [{}, {}, {"tags": {"site": "A"}}, {"tags": {"site!": "A"}}, {"version": "<2.0.0"}, {"dynamic": True},
               {"tags": {"site": "B"}, "dynamic": True}, {"version": ">=1.0.0 <3.0.0", "dynamic": True}]
    spans = ["1s", "20s", "1m", "5m", "10m", "10m", "30m", "1h", "1h", "3h", "12h", "1d"]
    errors = ["download", "verify", "flash", "boot", "power", "space", "rejected", "unknown"]
    things = {"asks": 30, "tells": 22, "installs": 10, "says_new": 16, "fails": 8, "strays": 3, "babbles": 3, "waits": 26,
              "begins": 5, "acts": 6, "tunes": 2, "changes": 4, "comes": 2, "goes": 1, "again": 2, "frees": 1, "restarts": 0.5}

    def __init__(self, world, seed):
        self.world, self.model, self.dice = world, world.model, random.Random(seed)
        self.runs, self.offers = {}, {}  # device -> its version, and (execution, offer) that it knows of
        self.firmware = [(world.upload(version, **query), version) for version, query in (
            ("1.0.0", {}), ("2.0.0", {"requires": ">=1.0.0"}), ("3.0.0", {}), ("4.0.0", {"requires": ">=2.0.0"}))]
        world.upload("3.0.0", delta_from="1.0.0")
        world.upload("4.0.0", delta_from="3.0.0")
        for site in "AABBCCAB":
            self.comes(site)

    def step(self):
        do = self.dice.choices(list(self.things), self.things.values())[0]
        getattr(self, do)()

    def one(self):
        return self.dice.choice(list(self.runs))

    def knowing(self):
        """A device that knows of an offer; or any."""
        return self.dice.choice(list(self.offers) or list(self.runs))

    def poll(self, name):
        offer = self.world.poll(name, self.runs[name])
        if offer:
            self.offers[name] = self.model.at_work(self.model.devices[name]), offer
        self.world.step("asked")

    def say(self, name, **fields):
        if name in self.offers:
            x, offer = self.offers[name]
            self.world.say(name, x, offer["id"], **fields)
            self.world.step("said")

    def asks(self):
        self.poll(self.one())

    def tells(self):
        self.say(self.knowing(), percent=self.dice.choice([0, 10, 50, 90, 100]))

    def installs(self):
        self.say(self.knowing(), state=self.dice.choice(["installing", "installing", "succeeded", "downloaded"]))

    def says_new(self):
        name = self.knowing()
        if name in self.offers:
            self.runs[name] = self.offers.pop(name)[1]["version"]
        self.poll(name)

    def fails(self):
        name = self.knowing()
        self.say(name, error=self.dice.choice(self.errors))
        if self.dice.random() < 0.7:  # else it goes on about an attempt that is over
            self.offers.pop(name, None)

    def strays(self):
        """Another version, by whatever way; mostly the one before."""
        name = self.knowing()
        x = self.offers.get(name, [None])[0]
        self.runs[name] = x.before if x and x.before and self.dice.random() < 0.7 else self.dice.choice(self.firmware)[1]
        self.poll(name)

    def babbles(self):
        """Of something that may long be over."""
        name = self.one()
        rows = [x for x in self.model.executions(self.model.devices[name]) if x.attempt]
        if rows:
            self.world.say(name, self.dice.choice(rows), percent=self.dice.choice([10, 100]))
            self.world.step("babbled")

    def waits(self):
        self.world.later(self.dice.choice(self.spans))

    def begins(self):
        fields = {"policy": {k: v for p in self.dice.choices(self.policies, k=2) for k, v in p.items()}}
        waves, target = self.dice.choice(self.waves), self.dice.choice(self.targets)
        if waves and any("tags" in wave for wave in waves) and not any(d.tags["site"] == "B" for d in self.model.devices.values()):
            return
        if self.dice.random() < 0.2:
            fields["policy"]["end_at"] = self.world.in_("2d")
        if self.dice.random() < 0.2:
            fields["policy"]["start_at"] = self.world.in_("3h")
        sites = {d.tags["site"] for d in self.model.devices.values()}
        wanted = target.get("tags", {}).get("site")
        if wanted and wanted not in sites:
            return
        self.world.campaign(self.dice.choice(self.firmware[1:]), target=target, **fields, **({"waves": waves} if waves else {}),
                            draft=self.dice.random() < 0.1)

    def campaign(self):
        return self.dice.choice(list(self.model.campaigns.values()))

    def acts(self):
        if self.model.campaigns:
            action = self.dice.choice(["start", "pause", "resume", "resume", "resume", "advance", "advance", "cancel", "force"])
            self.world.act(self.campaign(), action)

    def tunes(self):
        if self.model.campaigns:
            self.world.tune(self.campaign(), **self.dice.choice(self.policies))

    def changes(self):
        fields = self.dice.choice([{"paused": True}, {"paused": False}, {"paused": False}, {"pinned": "2.0.0"}, {"pinned": None},
                                   {"pinned": None}, {"tags": {"site": "A"}}, {"tags": {"site": "B"}}])
        self.world.change(self.one(), **fields)

    def comes(self, site=None):
        if len(self.runs) < 14:
            name = f"d{len(self.world.secrets)}"
            self.world.device(name, site=site or self.dice.choice("ABC"))
            self.runs[name] = self.dice.choice(["1.0.0", "1.0.0", "1.0.0", "2.0.0"])
            if self.dice.random() < 0.9:
                self.poll(name)

    def goes(self):
        if len(self.runs) > 4:
            name = self.one()
            self.runs.pop(name)
            self.offers.pop(name, None)
            self.world.remove(name)

    def frees(self):
        self.world.end_quarantine(self.one())

    def again(self):
        if not self.model.campaigns:
            return
        c = self.campaign()
        if c.puts_back or c.state in ("draft", "scheduled"):
            return
        if self.dice.random() < 0.5:
            self.world.roll_back(c)
        elif any(x.state in FAILURES for x in c.executions.values()):
            self.world.retry(c)

    def restarts(self):
        """Killed, what was heard in the last minute is lost, and that may decide a hold-off."""
        tests = any(x.state == "testing" for c in self.model.campaigns.values() for x in c.executions.values())
        self.world.restart(signal.SIGTERM if tests else signal.SIGKILL)


def seeds():
    """SEEDS=100-199 for a night of them."""
    first, _, last = os.environ.get("SEEDS", "1-6").partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("seed", seeds())
def test_at_random(make_clocked, seed):
    otad = make_clocked()  # hashes and days of the week are the same for each seed
    otad.at((otad.clock.now_ms // (7 * 86400_000) + 1) * 7 * 86400_000 + ms("4d"))  # a Monday
    world = World(otad)
    chance = Chance(world, seed)
    for step in range(200):
        try:
            chance.step()
        except AssertionError as e:
            raise AssertionError(f"seed {seed}, step {step}: {e}") from e
    world.check(everything=True)


def test_a_restart_in_the_hold_off(make_clocked):
    """Who was heard again before it has been heard again."""
    world = World(make_clocked())
    firmware = world.upload("2.0.0"), "2.0.0"
    for name in ("heard", "quiet"):
        world.device(name, "1.0.0")
    c = world.campaign(firmware, policy={**ONE, "health_hold_off": "1h"})
    for name in ("heard", "quiet"):
        world.takes(name, c)
    world.later("10m")
    world.poll("heard", "2.0.0")
    world.later("10m")
    world.restart()
    world.later("40m")
    assert [x.state for x in c.executions.values()] == ["succeeded", "failed"]
