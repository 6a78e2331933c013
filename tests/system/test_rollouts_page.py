"""Every recipe of docs/rollouts.md, run from the page against a server of its own, in the workshop that the page sets up."""
import collections
import datetime
import json
import re
import time
import urllib.parse
import zoneinfo

import pytest

from fleet import Device
from harness import ROOT, WAIT_S, basic, wait_until
from walks import documents, parts, put_ports, run_walk

PAGE = "docs/rollouts.md"
QUESTIONS = ["product", "enabled", "paused", "quarantine", "campaign", "target", "pinned", "version", "wave", "busy",
             "retry", "confirm", "window", "rate", "slots", "away"]
MINUTE_S = 60


class Board:
    """A device that asks by HTTP."""

    def __init__(self, otad, name, secret):
        self.otad, self.name = otad, name
        self.headers = basic(f"thermo/{name}", secret)

    def poll(self, version):
        """What is due, or None."""
        reply = self.otad.http("GET", f"/api/v1/device/offer?{urllib.parse.urlencode({'version': version})}",
                               headers=self.headers)
        assert reply.status in (200, 204), reply.data
        return reply.data if reply.status == 200 else None

    def offer(self, version="1.1.0"):
        return wait_until(lambda: self.poll(version), what=f"an offer for {self.name}")

    def say(self, offer, **fields):
        reply = self.otad.http("POST", "/api/v1/device/report", json.dumps({"id": offer["id"], **fields}),
                               {**self.headers, "Content-Type": "application/json"})
        assert reply.status == 204, reply.data

    def update(self, version="1.1.0"):
        """Takes its offer to the end; answers the version that it brought."""
        brought = self.offer(version)["version"]
        self.poll(brought)
        return brought

    def fail(self, error="incompatible"):
        """For good: after this one there is no other attempt."""
        self.say(self.offer(), error=error, detail="no room")

    def why(self, campaign=1):
        """The last answer, of the questions that the page lists in their order."""
        told = self.otad.ok("GET", f"/devices/thermo/{self.name}/why")
        (row,) = [row for row in told["campaigns"] if row["campaign"] == campaign]
        asked = [answer["question"] for answer in row["answers"]]
        assert asked == QUESTIONS[:len(asked)]
        return row["answers"][-1]


class Workshop:
    """The page's own: forty devices, which have said that they run 1.1.0."""

    def __init__(self, otad, folder):
        self.otad, self.folder = otad, folder
        self.parts = parts(PAGE)
        self.function = put_ports(self.parts["function"], {"8443": otad.https_port})
        self.secrets = {row["name"]: row["secret"] for row in self.run("workshop")[-1]["secrets"]}
        self.boards = {name: Board(otad, name, secret) for name, secret in self.secrets.items()}
        for board in self.boards.values():
            assert board.poll("1.1.0") is None

    def run(self, name):
        """What the calls of a recipe answer."""
        return documents(run_walk(self.function + self.parts[name], self.otad, self.folder, 3 * WAIT_S))

    def start(self, name, campaign=1):
        """A recipe that makes a campaign, once that runs."""
        made = self.run(name)[-1]
        assert made["id"] == campaign
        return self.otad.wait_campaign(campaign, "running")

    def wave(self, wave, campaign=1):
        rows = self.otad.pages(f"/campaigns/{campaign}/executions?wave={wave}")
        return [self.boards[row["device"]] for row in rows]

    def states(self, campaign=1):
        return {name: row["state"] for name, row in self.otad.executions(campaign).items()}

    def wave_states(self, campaign=1):
        return [wave["state"] for wave in self.otad.campaign(campaign)["waves"]]


@pytest.fixture
def workshop(make_otad, tmp_path):
    return Workshop(make_otad(), tmp_path / "walk")


def sites(boards):
    return collections.Counter(board.name[0] for board in boards)


def test_every_walk_has_a_test():
    assert set(parts(PAGE)) == {"function", "workshop", "look", "canary", "advance", "nights", "zones", "sites", "fix",
                                "rollback", "retry", "dry-run", "phased", "stone", "dynamic"}


def test_the_questions_are_those_of_the_page():
    table = (ROOT / PAGE).read_text().split("| question | a yes means |")[1].split("\n\n")[0]
    assert [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")] == QUESTIONS


def test_the_calls_in_the_text(workshop):
    """Those between its sentences, each on a campaign that is paused but for the one that pauses it."""
    workshop.start("canary")
    calls = re.findall(r"`(otad [^`]+)`", (ROOT / PAGE).read_text())
    assert len(calls) >= 6
    for call in calls:
        wanted, action = ("running", "resume") if "/pause" in call else ("paused", "pause")
        if workshop.otad.campaign(1)["state"] != wanted:
            workshop.otad.ok("POST", f"/campaigns/1/{action}")
        run_walk(workshop.function + call, workshop.otad, workshop.folder)
    assert workshop.otad.campaign(1)["policy"]["stop"] == []
    assert workshop.otad.ok("GET", "/devices/thermo/a01")["paused"]


def test_to_look(workshop):
    """Walk look."""
    workshop.start("canary")
    board = workshop.wave(0)[0]
    board.fail()
    campaign, failed, groups, timeline, executions, why = workshop.run("look")
    assert campaign["state"] == "paused" and campaign["percent"] == 2
    assert [row["device"] for row in failed["items"]] == [board.name]
    assert [group["devices"] for group in groups["items"]] == [1]
    assert timeline["items"] and len(executions["items"]) == 1 and why["device"] == "a01"
    assert len((workshop.folder / "all.csv").read_text().splitlines()) == 41


def test_ten_first(workshop):
    """Recipes canary and advance."""
    campaign = workshop.start("canary")
    assert [wave["total"] for wave in campaign["waves"]] == [10, 30]
    ten, thirty = workshop.wave(0), workshop.wave(1)
    for board in ten[1:]:
        board.update()
    assert workshop.wave_states() == ["running", "pending"]
    assert all(board.poll("1.1.0") is None for board in thirty[:3])
    ten[0].update()
    wait_until(lambda: workshop.wave_states() == ["met", "pending"])
    assert thirty[0].poll("1.1.0") is None
    assert thirty[0].why() == {"question": "wave", "yes": False, "until": None,
                               "text": "it is in wave 1, and wave 0 is the last that has started"}
    (after,) = workshop.run("advance")
    assert after["state"] == "running" and after["waves"][1]["started_at"]
    for board in thirty:
        board.update()
    workshop.otad.wait_campaign(1, "completed")
    assert workshop.otad.counts(1) == {"succeeded": 40}


def night_in(zone):
    """Whether a clock there shows a time from 22:00 to 05:00. Waits when that is about to change."""
    def clock():
        now = datetime.datetime.now(zoneinfo.ZoneInfo(zone))
        return now.hour * 60 + now.minute + now.second / 60
    while any(0 < edge - clock() < 0.75 for edge in (5 * 60, 22 * 60)):
        time.sleep(1)
    return not 5 * 60 <= clock() < 22 * 60


def check_closed(answer, zone):
    assert (answer["question"], answer["text"]) == ("window", "the window is closed")
    opens = datetime.datetime.fromisoformat(answer["until"].replace("Z", "+00:00")).astimezone(zoneinfo.ZoneInfo(zone))
    assert (opens.hour, opens.minute, opens.second) == (22, 0, 0)
    assert opens - datetime.datetime.now(datetime.timezone.utc) < datetime.timedelta(hours=17, minutes=1)


def connect(workshop, devices, *names):
    found = []
    for name in names:
        device = devices(Device(workshop.otad, "thermo", name, workshop.secrets[name]).connect())
        device.inform("1.1.0")
        device.settle()
        found.append(device)
    return found


def test_only_by_night(workshop, devices):
    """Recipe nights, at whatever hour this runs."""
    night = night_in("Asia/Shanghai")
    connected = connect(workshop, devices, *(f"a{i:02}" for i in range(1, 8)))
    workshop.start("nights")
    if not night:
        assert all(device.nothing_due() == [] for device in connected)
        check_closed(workshop.boards["a01"].why(), "Asia/Shanghai")
        assert workshop.otad.counts(1) == {"queued": 40}
        return
    workshop.otad.wait_counts(1, {"offered": 5, "queued": 35})
    waits = next(device.name for device in connected if workshop.states()[device.name] == "queued")
    assert workshop.boards[waits].why()["text"] == "devices at work: 5 of at most 5"


def test_by_the_clock_of_each_device(workshop, devices):
    """Recipe zones."""
    nights = {zone: night_in(zone) for zone in ("Europe/Berlin", "Asia/Shanghai")}
    connect(workshop, devices, "a01", "b01")
    assert workshop.start("zones")["total"] == 36
    for name, zone in (("a01", "Europe/Berlin"), ("b01", "Asia/Shanghai")):
        if nights[zone]:
            workshop.otad.wait_state(1, name, "offered")
        else:
            check_closed(workshop.boards[name].why(), zone)
    assert workshop.boards["c01"].why()["text"] == "the campaign's target does not take it in"


def test_one_site_after_the_other(workshop):
    """Recipe sites: two of A may fail, three may not."""
    campaign = workshop.start("sites")
    assert [wave["total"] for wave in campaign["waves"]] == [24, 12, 4]
    waves = [workshop.wave(wave) for wave in range(3)]
    assert [sites(wave) for wave in waves] == [{"a": 24}, {"b": 12}, {"c": 4}]
    assert waves[1][0].poll("1.1.0") is None
    for board in waves[0][:2]:
        board.fail()
    assert workshop.otad.campaign(1)["state"] == "running"
    for board in waves[0][2:]:
        board.update()
    for board in waves[1][1:]:
        board.update()
    waves[1][0].fail()
    for board in waves[2]:
        board.update()
    workshop.otad.wait_campaign(1, "completed")
    assert workshop.otad.counts(1) == {"succeeded": 37, "failed": 3}


def test_a_site_that_fails_stops_it(workshop):
    """Recipe sites once more, and what resume does after that."""
    workshop.start("sites")
    first = workshop.wave(0)
    for board in first[:3]:
        board.fail()
    stopped = workshop.otad.campaign(1)
    assert (stopped["state"], stopped["state_cause"]) == ("paused", "threshold")
    assert stopped["state_reason"] == ("wave 0 cannot reach 90 % any more: 22 of 24 devices must succeed, 0 have, "
                                       "3 failed and 21 are left")
    assert first[3].poll("1.1.0") is None
    workshop.otad.ok("POST", "/campaigns/1/resume")
    first[3].update()
    assert workshop.otad.campaign(1)["state"] == "running"
    first[4].fail()
    assert workshop.otad.campaign(1)["state"] == "paused"


def test_a_fix_that_cannot_wait(workshop):
    """Recipe fix, in the midst of a canary."""
    workshop.start("canary")
    done, downloads, installs = workshop.wave(0)[:3]
    done.update()
    downloads.say(downloads.offer(), percent=30)
    installs.say(installs.offer(), state="installing")
    fix = workshop.start("fix", 2)
    assert fix["name"] == "the fix" and fix["total"] == 40
    assert workshop.otad.counts(1) == {"succeeded": 1, "superseded": 38, "installing": 1}
    assert downloads.offer()["version"] == "1.2.1"
    assert done.update("1.2.0") == "1.2.1"
    assert installs.poll("1.1.0") is None
    installs.poll("1.2.0")
    assert workshop.states()[installs.name] == "succeeded"
    assert installs.update("1.2.0") == "1.2.1"


def test_back_out(workshop):
    """Recipe rollback."""
    workshop.start("canary")
    done, works, waits = workshop.wave(0)[:3]
    done.update()
    works.say(works.offer(), state="installing")
    (made,) = workshop.run("rollback")
    assert (made["id"], made["source"], made["puts_back"]) == (2, 1, True)
    workshop.otad.wait_campaign(2, "running")
    assert (workshop.otad.campaign(1)["state"], workshop.otad.campaign(1)["state_cause"]) == ("cancelled", "operator")
    workshop.otad.wait_counts(1, {"succeeded": 1, "installing": 1, "cancelled": 38})
    assert sorted(workshop.states(2)) == sorted([done.name, works.name])
    assert done.update("1.2.0") == "1.1.0"
    works.poll("1.2.0")
    assert works.update("1.2.0") == "1.1.0"
    workshop.otad.wait_campaign(2, "completed")
    assert waits.poll("1.1.0") is None


def test_only_what_failed(workshop):
    """Recipe retry."""
    workshop.start("sites")
    good, *bad = workshop.wave(0)[:3]
    good.update()
    bad[0].fail("space")
    bad[1].fail("incompatible")
    groups, made = workshop.run("retry")
    assert {(g["reason"], g["tag"], g["from_version"], g["devices"]) for g in groups["items"]} == {
        ("space", "A", "1.1.0", 1), ("incompatible", "A", "1.1.0", 1)}
    assert (made["id"], made["source"], made["puts_back"]) == (2, 1, False)
    workshop.otad.wait_campaign(2, "running")
    assert sorted(workshop.states(2)) == sorted(board.name for board in bad)
    for board in bad:
        assert board.update() == "1.2.0"
    workshop.otad.wait_campaign(2, "completed")
    assert workshop.states()[bad[0].name] == "failed"


def test_ask_first(workshop):
    """Recipe dry-run: ten devices on the new version are left out of the sum."""
    there = [board for name, board in workshop.boards.items() if name[0] in "a" and name < "a11"]
    for board in there:
        board.poll("1.2.0")
    (plan,) = workshop.run("dry-run")
    assert plan["devices"] == 40
    assert plan["waves"] == [{"wave": 0, "devices": 10}, {"wave": 1, "devices": 20}]
    assert {reason: n for reason, n in plan["left_out"].items() if n} == {"already_installed": 10}
    assert plan["bytes"] == 30 * 70001
    ends = datetime.datetime.fromisoformat(plan["earliest_end_at"].replace("Z", "+00:00"))
    left = (ends - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert abs(left - (24 * 3600 + (9 + 19) * 6)) < MINUTE_S
    assert workshop.otad.pages("/campaigns") == []


def test_by_and_by(workshop):
    """Recipe phased."""
    campaign = workshop.start("phased")
    assert sum(wave["total"] for wave in campaign["waves"]) == 40
    first = workshop.wave(0) + workshop.wave(1)
    workshop.run("advance")  # a day is too long for a test
    first[0].fail()
    for board in first[1:9]:
        board.update()
    assert workshop.otad.campaign(1)["state"] == "running"
    first[9].update()
    stopped = workshop.otad.campaign(1)
    assert (stopped["state"], stopped["state_cause"]) == ("paused", "threshold")
    assert stopped["state_reason"] == ("1 of 10 finished devices ended failed (1), which is 10 %: the rule stops at 5 % of 10")


def test_a_stepping_stone(workshop):
    """Recipe stone."""
    workshop.start("stone")
    ahead, behind = workshop.boards["a01"], workshop.boards["a02"]
    ahead.poll("1.2.0")
    assert ahead.update("1.2.0") == "2.0.0"
    assert behind.update() == "1.2.0"
    assert workshop.states()["a02"] not in ("succeeded", "failed")
    assert behind.update("1.2.0") == "2.0.0"
    assert [workshop.states()[name] for name in ("a01", "a02", "a03")] == ["succeeded", "succeeded", "queued"]


def test_new_devices_too(workshop):
    """Recipe dynamic: one that is registered later, and one that moves to the site."""
    assert workshop.start("dynamic")["total"] == 24
    made = workshop.otad.ok("POST", "/devices", {"product": "thermo", "name": "a25", "tags": {"site": "A"}})
    late, moved = Board(workshop.otad, "a25", made["secret"]), workshop.boards["b01"]
    assert moved.poll("1.1.0") is None
    workshop.otad.ok("PATCH", "/devices/thermo/b01", {"tags": {"site": "A"}})
    for board in (late, moved, *(board for name, board in workshop.boards.items() if name[0] == "a")):
        assert board.update() == "1.2.0"
    assert workshop.otad.counts(1) == {"succeeded": 26}
    assert workshop.otad.campaign(1)["state"] == "running"
    workshop.otad.ok("POST", "/campaigns/1/cancel")
    assert workshop.otad.campaign(1)["state"] == "cancelled"
