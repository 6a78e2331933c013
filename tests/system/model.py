"""The rules of rollouts once more, small, and slow: what docs/policy.md, docs/openapi.yaml and the heads of
include/rollout/*.h say, and nothing of how otad does it.

A Model is told what happens and when, in the order in which it happens, and says how every campaign and every execution
stands then. Times are milliseconds since 1970. It knows products of one module. Which devices a wave by count or by percent
picks is a matter of hashes, and told to it: see Campaign.places.
"""
import datetime
import math
import re
import zoneinfo
from dataclasses import dataclass, field

from harness import seconds

WAITING = ("pending", "queued")
BEGUN = ("downloading", "downloaded")
ACTIVE = ("offered", *BEGUN, "installing", "testing")
ORDER = (*WAITING, *ACTIVE)
FAILURES = ("failed", "timed_out", "rejected", "rolled_back")
FINISHED = ("succeeded", *FAILURES)
WITHDRAWN = ("cancelled", "superseded", "removed")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GRACE_MS = 60_000  # after a start, before silence counts

DEFAULTS = {
    "start_at": None, "end_at": None, "window": None, "rate_per_minute": 0, "max_in_flight": 0, "lease": "10m",
    "offer_timeout": "1d", "finish_timeout": "1h", "health_hold_off": "0s", "rollback_confirm": "1m", "max_attempts": 3,
    "retry_after": "10m", "stop": [], "wave_failed": "pause", "quarantine_after": 3, "quarantine_for": "1d",
    "retry_on": ["unknown", "download", "verify", "flash", "boot", "power", "expired", "server", "timed_out",
                 "rolled_back"],
    "allow_downgrade": False, "replace": False, "confirm": "none",
}


def ms(span):
    return 1000 * seconds(span)


def numbers(version):
    return tuple(int(part) for part in version.split("."))


def in_range(version, wanted):
    """">=1.0 <2.0": all of them; "||" between ways."""
    holds = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
             "": lambda a, b: a == b, "=": lambda a, b: a == b}

    def all_of(way):
        return all(holds[op](numbers(version), numbers(than)) for op, than in re.findall(r"([<>=]*)\s*([0-9.]+)", way))
    return any(all_of(way) for way in wanted.split("||"))


def has_tags(tags, wanted):
    def one(key, value):
        if value is True or value is False:
            return (key in tags) == value
        return tags.get(key[:-1]) != value if key.endswith("!") else tags.get(key) == value
    return all(one(*item) for item in wanted.items())


def window_open(window, tags, now_ms):
    """By the wall's clock: an hour that comes twice is open twice."""
    zone = tags.get("tz") if window.get("tz") == "device" else window.get("tz", "UTC")
    if not zone:
        return False
    wall = datetime.datetime.fromtimestamp(now_ms // 1000, zoneinfo.ZoneInfo(zone))
    minute, days = wall.hour * 60 + wall.minute, window.get("days", DAYS)
    start, end = (int(window[key][:2]) * 60 + int(window[key][3:]) for key in ("from", "to"))
    today, yesterday = DAYS[wall.weekday()] in days, DAYS[wall.weekday() - 1] in days
    if start < end:
        return today and start <= minute < end
    return (today and minute >= start) or (yesterday and minute < end)


@dataclass
class File:
    version: str
    requires: str = ""
    delta_from: str = ""


@dataclass
class Device:
    name: str
    number: int
    version: str = ""
    tags: dict = field(default_factory=dict)
    paused: bool = False
    pinned: str = ""
    failures: int = 0
    rests_until: int = 0
    heard_at: int = 0
    there: bool = False  # it has a session


@dataclass
class Execution:
    campaign: "Campaign"
    device: Device
    number: int
    state: str
    wave: int = None  # None: over when it was made
    goal: str = ""
    reason: str = ""
    attempt: int = 0
    due_at: int = 0
    deadline: int = 0
    moved_at: int = 0
    percent: int = 0
    offered: File = None
    before: str = ""  # the version when it was first offered something
    no_delta: bool = False
    suspect: bool = False
    late: bool = False

    @property
    def active(self):
        return self.state in ACTIVE

    @property
    def waiting(self):
        return self.state in WAITING

    @property
    def live(self):
        return self.active or self.waiting


class Campaign:
    def __init__(self, number, goal, now_ms, target=None, waves=None, policy=None, draft=False, source=None,
                 puts_back=False):
        self.number, self.goal, self.source, self.puts_back = number, goal, source, puts_back
        self.target = {"percent": 100, **(target or {})}
        self.waves = [dict(wave) for wave in waves or [{"percent": 100}]]
        for i, wave in enumerate(self.waves):
            wave.setdefault("success_pct", 0 if i == len(self.waves) - 1 else 100)
            wave.setdefault("soak", "0s")
            wave.update(met_at=0)
        self.policy = {**DEFAULTS, **(policy or {})}
        self.state, self.cause, self.forced = "draft" if draft else "scheduled", None, False
        self.wave = -1  # the last one that has started
        self.executions = {}  # by device
        self.next_offer_us = 0
        self.late_success = 0
        self.ending = False  # cancelled, and what that ends is not ended yet
        self.places = lambda device: 0  # device name -> its wave, where that is a matter of hashes

    @property
    def live(self):
        return self.state not in ("completed", "cancelled") or any(x.live for x in self.executions.values())

    @property
    def by_hash(self):
        return len(self.waves) > 1 and not all("tags" in wave for wave in self.waves[:-1])

    def count(self, *states, wave="any"):
        """Of the waves' executions: what was over when it was made tells nothing."""
        return sum(x.state in states and x.wave is not None and wave in ("any", x.wave) for x in self.executions.values())


class Model:
    def __init__(self, now_ms):
        self.now = self.up_since = now_ms
        self.devices, self.files, self.campaigns = {}, [], {}
        self.made = 0  # executions

    # ---- what there is

    def device(self, name, version="", tags=None):
        self.devices[name] = device = Device(name, len(self.devices), version, dict(tags or {}))
        return device

    def remove(self, name):
        device = self.devices.pop(name)
        for x in self.executions(device):
            if x.live:
                self.move(x, "removed", attempt=x.attempt)

    def end_quarantine(self, name):
        device = self.devices[name]
        device.failures = device.rests_until = 0

    def executions(self, device):
        return [x for c in self.campaigns.values() for x in [c.executions.get(device.name)] if x]

    def waits_for(self, device):
        return [x for x in self.executions(device) if x.waiting]

    def at_work(self, device):
        """Invariant 2: one at most."""
        active = [x for x in self.executions(device) if x.active]
        assert len(active) <= 1, (device, active)
        return active[0] if active else None

    # ---- which file

    def full(self, version):
        found = [f for f in self.files if f.version == version and not f.delta_from]
        return found[0] if found else None

    def choose(self, goal, has, deltas=True):
        """What is sent next on the way to goal; None: there is no way."""
        file = self.full(goal)
        if not file.requires or (has and in_range(has, file.requires)):
            deltas = [f for f in self.files if deltas and has and f.version == goal and f.delta_from == has]
            return deltas[0] if deltas else file
        stones = [f for f in self.files if has and not f.delta_from and numbers(has) < numbers(f.version) < numbers(goal)
                  and (not f.requires or in_range(has, f.requires))]
        return max(stones, key=lambda f: numbers(f.version), default=None)

    def leads(self, goal, has):
        """Whether there is a way at all; a device that has not said what it has may yet say it."""
        while has and (file := self.choose(goal, has)) and file.version != goal:
            has = file.version
        return not has or self.choose(goal, has) is not None

    # ---- who is in it

    def member(self, campaign, device):
        t = campaign.target
        if "devices" in t and device.name not in t["devices"]:
            return False
        if not has_tags(device.tags, t.get("tags", {})):
            return False
        if "version" in t and not (device.version and in_range(device.version, t["version"])):
            return False
        if campaign.source:
            x = campaign.source.executions.get(device.name)
            if not x or (campaign.puts_back and not x.before):
                return False
            if not campaign.puts_back and x.state not in t.get("states", (x.state,)):
                return False
        return True

    def place(self, campaign, device):
        if campaign.by_hash:
            return campaign.places(device.name)
        for i, wave in enumerate(campaign.waves[:-1]):
            if has_tags(device.tags, wave["tags"]):
                return i
        return len(campaign.waves) - 1

    def enter(self, campaign, device):
        """Its execution, unless it is no device of the campaign."""
        if not self.member(campaign, device):
            return
        self.made += 1
        x = Execution(campaign, device, self.made, "pending", goal=campaign.goal, moved_at=self.now)
        source = campaign.source.executions[device.name] if campaign.puts_back else None
        if source:
            x.goal = source.before
        stored = self.full(x.goal) is not None
        above = stored and device.version and numbers(device.version) > numbers(x.goal)
        if stored and device.version == x.goal and not (source and source.active):
            x.state, x.reason = "succeeded", "already_installed"
        elif above and not campaign.policy["allow_downgrade"]:
            x.state, x.reason = "superseded", "newer_installed"  # invariant 6
        elif not stored or not self.leads(x.goal, device.version):
            x.state, x.reason = "failed", "incompatible"
        else:
            x.wave = self.place(campaign, device)
            x.state = "queued" if x.wave <= max(campaign.wave, self.first(campaign)) else "pending"
        if x.reason != "newer_installed":
            self.supersede(x)
        campaign.executions[device.name] = x

    @staticmethod
    def first(campaign):
        return -1 if campaign.policy["confirm"] == "operator" else 0

    def supersede(self, x):
        """Invariant 5."""
        what = (*WAITING, "offered", *BEGUN) if x.campaign.policy["replace"] else WAITING
        for older in self.executions(x.device):
            if older.campaign is not x.campaign and older.state in what:
                self.move(older, "superseded")

    def join(self, device):
        """A device that comes to fit a dynamic campaign; the newest one, and none that a newer one has relieved."""
        newest = max((x.campaign.number for x in self.executions(device)), default=0)
        for c in sorted(self.campaigns.values(), key=lambda c: -c.number):
            if c.target.get("dynamic") and c.state in ("running", "paused") and c.number > newest \
                    and self.member(c, device):
                return self.enter(c, device)

    # ---- moves

    def move(self, x, to, reason="", attempt=None, due_at=0, deadline=0):
        assert x.live, f"invariant 1: {x} to {to}"
        x.state, x.reason, x.due_at, x.deadline, x.suspect = to, reason, due_at, deadline, False
        x.attempt = x.attempt if attempt is None else attempt
        x.moved_at = self.now
        x.percent = 0 if to in ("queued", "offered") else x.percent
        if not x.live:
            self.rest(x)
            self.threshold(x)

    def rest(self, x):
        """A device for which so many campaigns in a row end badly rests."""
        d, after = x.device, x.campaign.policy["quarantine_after"]
        if x.attempt and x.state == "succeeded":
            d.failures = d.rests_until = 0
        elif x.attempt and x.state in ("failed", "timed_out", "rolled_back"):
            d.failures += 1
            d.rests_until = self.now + ms(x.campaign.policy["quarantine_for"]) if after and d.failures >= after else 0

    def threshold(self, x):
        """Invariant 7."""
        c = x.campaign
        if c.state != "running" or x.wave is None or x.state not in FINISHED:
            return
        finished, then = c.count(*FINISHED), None
        for rule in c.policy["stop"]:
            bad = c.count(*rule["on"])
            least = rule.get("min_finished", 1)
            asks = x.state in rule["on"] or finished == least
            if not then and asks and bad and finished >= least and bad * 100 >= rule["pct"] * finished:
                then = rule.get("then", "pause")
        if not then and x.state != "succeeded" and x.wave == c.wave:
            if self.succeeded(c, x.wave) + self.left(c, x.wave) < self.needs(c, x.wave):
                then = c.policy["wave_failed"]
        if then:
            self.stop(c, {"pause": "paused", "cancel": "cancelled"}[then], "threshold")

    def needs(self, c, wave):
        """So many per cent of a wave's devices, without those that were taken out of it."""
        total = c.count(*ORDER, *FINISHED, wave=wave)
        return math.ceil(c.waves[wave]["success_pct"] * total / 100)

    @staticmethod
    def succeeded(c, wave):
        return c.count("succeeded", wave=wave)

    @staticmethod
    def left(c, wave):
        return c.count(*ORDER, wave=wave)

    @staticmethod
    def stop(c, state, cause, forced=False):
        c.state, c.cause, c.forced = state, cause, forced
        c.ending = state == "cancelled"

    def queue(self, x, attempt, reason="", due_at=0):
        """It begins to wait once more, where its campaign goes on and no other has come for the device."""
        if x.campaign.state == "cancelled":
            return self.move(x, "cancelled", reason, attempt)
        others = [y for y in self.waits_for(x.device) if y is not x and y.campaign.state != "cancelled"]
        self.move(x, "superseded" if others else "queued", reason, attempt, due_at)

    def attempt_ended(self, x, final, reason):
        policy, goes_on = x.campaign.policy, x.campaign.state in ("running", "paused")
        if goes_on and x.offered.delta_from and not x.no_delta and reason in ("verify", "flash"):
            x.no_delta = True
            return self.queue(x, x.attempt, reason)
        made = x.attempt - x.no_delta  # the full file after a delta that failed is one more
        if goes_on and made < policy["max_attempts"] and reason in policy["retry_on"]:
            pause = ms(policy["retry_after"]) << min(x.attempt - 1, 10)
            return self.queue(x, x.attempt, reason, self.now + pause)
        self.move(x, final, reason)

    # ---- what devices say

    def inform(self, device, version):
        changed, matched = device.version != version, False
        device.version, device.heard_at = version, self.now
        for x in sorted(self.executions(device), key=lambda x: -x.number):
            if x.live and x.state != "testing" and version == x.goal:
                matched = True
                hold_off = ms(x.campaign.policy["health_hold_off"])
                if hold_off and x.active:
                    self.move(x, "testing", deadline=self.now + hold_off)
                else:
                    self.move(x, "succeeded", "" if x.attempt else "already_installed")
            elif x.active and x.state != "testing" and x.offered.version == version != x.goal:
                matched = True
                self.queue(x, 0)  # a stepping stone was reached
            elif x.state == "testing" and version != x.goal:
                self.attempt_ended(x, "rolled_back", "rolled_back")  # invariant 11
            elif x.state == "installing" and not x.suspect:
                x.suspect = True
                confirm = self.now + ms(x.campaign.policy["rollback_confirm"])
                x.deadline = min(x.deadline, confirm)
        if changed and not matched:
            self.late(device, version)

    def late(self, device, version):
        """Invariant 1: told, and changes nothing."""
        for x in sorted(self.executions(device), key=lambda x: -x.number):
            if not x.live and x.state != "succeeded" and x.attempt and not x.late and x.goal == version:
                x.late = True
                x.campaign.late_success += 1
                return

    def poll(self, name, version):
        """What is due for a device that says its version over HTTPS, or None."""
        device = self.devices[name]
        self.inform(device, version)
        self.join(device)
        return self.dispatch(device, "begun", asks=True)

    def report(self, x, state="", percent=None, error=""):
        """Of execution x, over HTTPS, where the answer carries no offer."""
        device = x.device
        device.heard_at = self.now
        if x.active:
            if error == "rejected":
                self.move(x, "rejected", "rejected")
            elif error:
                self.attempt_ended(x, "failed", error)
            else:
                self.go_on(x, state or "downloading", percent)
        self.dispatch(device, None, asks=False)

    def go_on(self, x, to, percent):
        to = {"succeeded": "installing"}.get(to, to)  # invariant 3: its word is no proof
        if to == "downloading" and percent == 100:
            to = "downloaded"
        if to == x.state == "downloading" and percent is not None and percent >= x.percent + 5:
            x.percent, x.moved_at = percent, self.now
        if ORDER.index(to) <= ORDER.index(x.state):  # invariant 4
            return
        deadline = x.deadline if x.state != "offered" else self.now + ms(x.campaign.policy["finish_timeout"])
        self.move(x, to, deadline=deadline)
        x.percent = (percent or 0) if to == "downloading" else 100

    # ---- offers

    def dispatch(self, device, again, asks):
        """again: "begun", "offered" or None; what of that which is active is offered once more."""
        if device.paused or device.rests_until > self.now:
            return None
        x = self.at_work(device)
        if x:
            repeats = (x.state == "offered" and again and x.campaign.state == "running") or \
                (x.state in BEGUN and again == "begun")
            if not repeats:
                return None
            if not self.beyond(x):
                return x
            self.move(x, "superseded", "newer_installed")
        for x in sorted(self.waits_for(device), key=lambda x: -x.campaign.number):
            if self.offer(x, asks):
                return x
        return None

    @staticmethod
    def beyond(x):
        has = x.device.version
        return has and numbers(has) > numbers(x.goal) and not x.campaign.policy["allow_downgrade"]

    def offer(self, x, asks):
        c, device, policy = x.campaign, x.device, x.campaign.policy
        if c.state != "running" or (device.pinned and device.pinned != x.goal):
            return False
        if self.beyond(x):
            self.move(x, "superseded", "newer_installed")
            return False
        if device.version == x.goal:
            if not x.attempt:
                self.move(x, "succeeded", "already_installed")
            return False
        file = self.choose(x.goal, device.version, not x.no_delta)
        if not file or x.wave > c.wave or x.due_at > self.now:
            return False
        if policy["confirm"] == "device" and not asks:
            return False
        if policy["window"] and not window_open(policy["window"], device.tags, self.now):
            return False
        if policy["rate_per_minute"] and c.next_offer_us > self.now * 1000:
            return False
        if policy["max_in_flight"] and self.in_flight(c) >= policy["max_in_flight"]:
            return False
        self.pay(c)
        x.before = x.before or device.version
        x.offered = file
        self.move(x, "offered", attempt=x.attempt + 1, deadline=self.now + ms(policy["offer_timeout"]))
        return True

    def in_flight(self, c):
        """Devices at work that were heard within the lease, or are there."""
        lease = ms(c.policy["lease"])
        return sum(x.active and (x.device.there or max(x.device.heard_at, x.moved_at) + lease >= self.now)
                   for x in c.executions.values())

    def pay(self, c):
        """A second's worth may be saved up, from 60 a minute on; the minute is then 61 seconds long, so that it holds for
        every minute."""
        rate = c.policy["rate_per_minute"]
        if rate:
            saved_us, minute_us = (1_000_000, 61_000_000) if rate >= 60 else (0, 60_000_000)
            c.next_offer_us = max(c.next_offer_us, self.now * 1000 - saved_us) + math.ceil(minute_us / rate)

    # ---- what time brings

    def at(self, now_ms):
        """What is due at that moment is done, and nothing before it: between two calls nobody looks."""
        self.now = now_ms
        before = None
        while before != (before := self.picture()):
            for c in list(self.campaigns.values()):
                self.step(c)
            self.clocks()
            for device in self.devices.values():
                if device.rests_until and device.rests_until <= self.now:
                    device.failures = device.rests_until = 0
            for device in self.devices.values():
                if device.there:
                    self.dispatch(device, None, asks=False)

    def step(self, c):
        policy, open_ = c.policy, c.state in ("scheduled", "running", "paused")
        if open_ and policy["end_at"] and policy["end_at"] <= self.now:
            self.stop(c, "cancelled", "end")
        if c.state == "preparing":
            self.prepare(c)
        if c.state == "scheduled" and (policy["start_at"] or 0) <= self.now:
            c.state = "preparing"
        if c.ending:
            c.ending = False
            for x in list(c.executions.values()):
                if x.waiting or (x.active and c.forced):
                    self.move(x, "cancelled")
        if c.state == "running":
            self.run(c)

    def prepare(self, c):
        for device in self.devices.values():
            self.enter(c, device)
        if c.policy["confirm"] == "operator":
            c.state, c.cause = "paused", "approval"
        else:
            c.state, c.wave = "running", 0

    def run(self, c):
        if c.wave < 0:
            c.wave = 0  # an operator has said yes
        if not c.target.get("dynamic") and not any(x.live for x in c.executions.values()):
            c.state = "completed"
            return
        for x in c.executions.values():
            if x.state == "pending" and x.wave <= c.wave:
                x.state = "queued"
        wave, last = c.waves[c.wave], len(c.waves) - 1
        if not wave["met_at"] and self.succeeded(c, c.wave) >= self.needs(c, c.wave):
            wave["met_at"] = self.now
        if not wave["met_at"] and self.left(c, c.wave) == 0:
            self.stop(c, {"pause": "paused", "cancel": "cancelled"}[c.policy["wave_failed"]], "threshold")
            return
        if c.wave < last and wave["met_at"] and self.now - wave["met_at"] >= ms(wave["soak"]):
            c.wave += 1

    def clocks(self):
        due = [x for c in self.campaigns.values() for x in c.executions.values() if x.active and x.deadline <= self.now]
        for x in sorted(due, key=lambda x: (x.deadline, x.number)):
            if self.now < self.up_since + GRACE_MS and x.moved_at <= self.up_since:
                continue
            if x.state == "testing":
                if x.device.there or x.device.heard_at // 1000 * 1000 > x.moved_at:  # last_seen is in seconds
                    self.move(x, "succeeded")
                else:
                    self.attempt_ended(x, "failed", "boot")
            elif x.state == "installing" and x.suspect:
                self.attempt_ended(x, "rolled_back", "rolled_back")
            else:
                self.attempt_ended(x, "timed_out", "timed_out")

    # ---- what operators do

    def add(self, campaign):
        self.campaigns[campaign.number] = campaign
        return campaign

    def act(self, c, action):
        """Whether its state allows it."""
        allowed = {"start": ("draft",), "pause": ("running",), "resume": ("paused",), "advance": ("running", "paused"),
                   "cancel": ("draft", "scheduled", "running", "paused"),
                   "force": ("draft", "scheduled", "running", "paused", "cancelled")}
        if c.state not in allowed[action] or (action == "advance" and c.wave >= len(c.waves) - 1):
            return False
        if action == "force" and c.forced:
            return False
        if action == "start":
            c.state = "scheduled"
        elif action == "pause":
            c.state, c.cause = "paused", "operator"
        elif action in ("cancel", "force"):
            self.stop(c, "cancelled", "operator", action == "force")
        else:
            c.state, c.cause = "running", None
            c.wave += action == "advance"
        return True

    def tune(self, c, policy):
        """Whether its state allows it."""
        if c.state not in ("draft", "scheduled", "paused"):
            return False
        c.policy.update(policy)
        return True

    def retry(self, c, number):
        policy = {**c.policy, "start_at": None, "end_at": None, "confirm": "none"}
        return self.add(Campaign(number, c.goal, self.now, {"states": FAILURES}, None, policy, source=c))

    def roll_back(self, c, number):
        if c.state in ("running", "paused"):
            self.stop(c, "cancelled", "operator")
        return self.add(Campaign(number, c.goal, self.now, None, None, {"allow_downgrade": True}, source=c, puts_back=True))

    # ---- how it stands

    def picture(self):
        """Everything that an operator can see, to be held against what otad says."""
        return {c.number: {
            "state": c.state, "cause": c.cause, "late_success": c.late_success,
            "waves started": c.wave + 1 if c.state in ("running", "paused") else None,  # which means nothing else
            "executions": {x.device.name: (x.state, x.attempt, x.wave, x.reason) for x in c.executions.values()},
        } for c in self.campaigns.values()}
