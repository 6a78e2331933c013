"""A product, its devices and campaigns, in otad and in the model at once: whatever happens, happens to both, and after each
step they are held against each other."""
import json
import signal
import urllib.parse

from fleet import Device, Product
from harness import UnixConnection, basic, moment, read_reply, wait_until
from model import Campaign, Execution, File, Model, ms

SETTLE_MS = 1  # from a step to the tick that has seen it: spans are whole seconds, and never so close


class World:
    def __init__(self, otad):
        self.otad, self.clock = otad, otad.clock
        self.product = Product(otad)
        self.secrets = {}
        self.lines = []  # what has happened
        self.checked = {}
        self.stirred = False  # something has, and no tick has seen it
        self.patient = True  # each thing is seen by a tick before the next one happens
        self.talk = self.listen = None
        self.dial()
        otad.at(otad.clock.now_ms // 60_000 * 60_000 + 67_000)
        self.model = Model(otad.clock.now_ms)
        self.model.up_since = otad.up_since

    @property
    def now(self):
        return self.clock.now_ms

    def dial(self):
        self.talk, self.listen = UnixConnection(self.otad.data / "otad.sock"), self.otad.connection()

    # ---- asking otad

    def try_api(self, method, path, body=None):
        self.talk.request(method, "/api/v1" + path, None if body is None else json.dumps(body))
        return read_reply(self.talk)

    def api(self, method, path, body=None):
        reply = self.try_api(method, path, body)
        assert 200 <= reply.status < 300, (method, path, body, reply)
        return reply.data

    def device_api(self, method, path, name, body=None):
        headers = basic(f"{self.product.key}/{name}", self.secrets[name])
        self.listen.request(method, "/api/v1/device" + path, body and json.dumps(body),
                            headers | ({"Content-Type": "application/json"} if body else {}))
        return read_reply(self.listen)

    def rows(self, number):
        """Of a campaign, by device."""
        rows, after = {}, 0
        while after is not None:
            page = self.api("GET", f"/campaigns/{number}/executions?limit=1000" + (f"&after={after}" if after else ""))
            rows |= {row["device"]: row for row in page["items"]}
            after = page.get("next")
        return rows

    def row(self, campaign, name):
        return self.rows(campaign.number)[name]

    # ---- holding one against the other

    def seen(self, numbers):
        """As Model.picture has it."""
        out = {}
        for number in numbers:
            told = self.api("GET", f"/campaigns/{number}")
            rows = self.rows(number)
            counted = dict.fromkeys(told["counts"], 0)
            for row in rows.values():
                counted[row["state"]] += 1
            assert told["counts"] == counted, f"invariant 9 in campaign {number}"
            out[number] = {
                "state": told["state"], "cause": told["state_cause"], "late_success": told["late_success"],
                "waves started": sum(wave["started_at"] is not None for wave in told["waves"])
                if told["state"] in ("running", "paused") else None,
                "executions": {n: (r["state"], r["attempt"], r["wave"], r["reason"]) for n, r in rows.items()}}
        return out

    def check(self, everything=False):
        """Of what is over and stays so, only when everything is asked for."""
        expected, before = self.model.picture(), self.checked
        numbers = [number for number, c in self.model.campaigns.items()
                   if everything or c.live or expected[number] != before.get(number)]
        seen, wrong = self.seen(numbers), []
        self.checked = expected
        for number in numbers:
            campaign = expected[number]
            for key in ("state", "cause", "late_success", "waves started"):
                if seen[number][key] != campaign[key]:
                    wrong.append(f"campaign {number}: {key} is {seen[number][key]}, not {campaign[key]}")
            left, right = seen[number]["executions"], campaign["executions"]
            wrong += [f"campaign {number}: {name} is {left.get(name)}, not {right.get(name)}"
                      for name in sorted({**left, **right}) if left.get(name) != right.get(name)]
        assert not wrong, self.story(f"{len(wrong)} differences", *wrong)

    def story(self, *wrong):
        """What is wrong, and how it came to that."""
        long = len(self.lines) - 25
        told = [line for i, line in enumerate(self.lines) if i >= long or "campaign" in line or "rollback" in line]
        return "\n".join([*wrong, "after", *told])

    def note(self, text):
        self.lines.append(f"{moment(self.now)} {text}")

    def step(self, text):
        """What has just been done is seen by a tick, and compared."""
        self.note(text)
        self.tick(self.now + SETTLE_MS)
        self.check()

    def settle(self):
        if self.stirred and self.patient and self.model.campaigns:
            self.tick(self.now + SETTLE_MS)

    def tick(self, now_ms):
        self.stirred = False
        self.otad.at(now_ms)
        self.model.at(now_ms)

    # ---- time

    def later(self, span, check=True):
        """Two ticks: what the first one ends, the second one sees."""
        self.settle()
        self.to(self.now + ms(span) + 2 * SETTLE_MS, f"{span} later", check)

    def to(self, now_ms, text="then", check=True):
        self.note(text)
        self.tick(now_ms)
        self.tick(now_ms + SETTLE_MS)
        if check:
            self.check()

    def glide(self, span_ms):
        """Time goes by, and nobody has looked."""
        self.clock.set(self.now + span_ms)
        self.model.now = self.now

    def restart(self, sig=signal.SIGTERM):
        self.otad.restart(sig)
        self.otad.up_since = self.model.up_since = self.now
        self.dial()
        self.step(f"a restart by {signal.Signals(sig).name}")

    # ---- what there is

    def upload(self, version, **query):
        made = self.product.upload(version=version, **query)
        self.model.files.append(File(version, query.get("requires", ""), query.get("delta_from", "")))
        return made["id"]

    def device(self, name, version="", **tags):
        self.secrets[name] = self.product.register(name, tags=tags)["secret"]
        device = self.model.device(name, tags=tags)
        if version:
            self.poll(name, version)
        return device

    def devices(self, count, version="1.0.0", prefix="d"):
        return [self.device(f"{prefix}{i:03}", version).name for i in range(count)]

    def campaign(self, firmware, **fields):
        """firmware: (id, version)."""
        made = self.api("POST", "/campaigns", {"firmware": [firmware[0]], **fields})
        policy = dict(fields.get("policy", {}))
        for key in ("start_at", "end_at"):
            if policy.get(key):
                policy[key] = int(self.times[policy[key]])
        c = Campaign(made["id"], firmware[1], self.now, fields.get("target"), fields.get("waves"), policy,
                     fields.get("draft", False))
        return self.added(c, f"campaign {c.number} {json.dumps(fields)}")

    times = {}

    def in_(self, span):
        """That moment as the interface has it."""
        text = moment(self.now + ms(span))
        World.times[text] = self.now + ms(span)
        return text

    def added(self, c, text):
        self.model.add(c)
        c.places = lambda name: self.row(c, name)["wave"]
        self.step(text)
        return c

    # ---- devices

    def poll(self, name, version, check=False):
        """The offer that is due, or None; a tick does not see it."""
        self.settle()
        self.stirred = True
        query = urllib.parse.urlencode({"module": "default", "version": version})
        reply = self.device_api("GET", f"/offer?{query}", name)
        assert reply.status in (200, 204), reply
        got = reply.data if reply.status == 200 else None
        x = self.model.poll(name, version)
        self.note(f"{name} polls with {version}: {got and (got['id'], got['version'], got['delta_from'])}")
        told = got and (got["version"], got["delta_from"])
        due = x and (x.offered.version, x.offered.delta_from or None)
        assert told == due, self.story(f"{name} is offered {told}, and {due} is due")
        if got and check:
            assert got["id"] == str(self.row(x.campaign, name)["id"])
        return got

    # ---- devices with a session

    def connect(self, name, version, devices, **tags):
        """Registers where it is new."""
        if name not in self.secrets:
            self.device(name, **tags)
        device = devices(Device(self.otad, self.product.key, name, self.secrets[name], tls=False).connect())
        self.model.devices[name].there = True
        self.inform(device, version)
        return device

    def disconnect(self, device):
        device.disconnect()
        wait_until(lambda: not self.online(device.name), what="its end")
        self.model.devices[device.name].there = False

    def online(self, name):
        return self.api("GET", f"/devices/{self.product.key}/{name}")["online"]

    def inform(self, device, version):
        device.inform(version)
        device.settle()
        self.model.inform(self.model.devices[device.name], version)
        self.model.join(self.model.devices[device.name])
        self.model.dispatch(self.model.devices[device.name], "begun", asks=False)
        self.step(f"{device.name} informs of {version}")

    def say(self, name, x: Execution, id=None, **fields):
        """A report of what x stands for."""
        self.settle()
        self.stirred = True
        id = id or self.row(x.campaign, name)["id"]
        reply = self.device_api("POST", "/report", name, {"id": str(id), **fields})
        assert reply.status == 204, reply
        self.model.report(x, **fields)
        self.note(f"{name} reports {fields} of {x.campaign.number}")

    def of(self, campaign, name):
        return campaign.executions[name]

    def takes(self, name, campaign, version=None):
        """All of an update, which goes well."""
        x = self.of(campaign, name)
        offer = self.poll(name, x.device.version)
        assert offer, self.lines[-10:]
        self.say(name, x, offer["id"], percent=50)
        self.say(name, x, offer["id"], state="installing")
        self.poll(name, offer["version"])

    def fails(self, name, campaign, error="power"):
        x = self.of(campaign, name)
        offer = self.poll(name, x.device.version)
        assert offer, self.lines[-10:]
        self.say(name, x, offer["id"], error=error)

    # ---- operators

    def act(self, campaign, action):
        path = "cancel?force=1" if action == "force" else action
        status = self.try_api("POST", f"/campaigns/{campaign.number}/{path}").status
        allowed = self.model.act(campaign, action)
        assert status == (200 if allowed else 409), (status, action, campaign.state, self.lines[-10:])
        self.step(f"{action} of {campaign.number}: {status}")

    def tune(self, campaign, **policy):
        status = self.try_api("PATCH", f"/campaigns/{campaign.number}", {"policy": policy}).status
        allowed = self.model.tune(campaign, policy)
        assert status == (200 if allowed else 409), self.story(f"{status} for a policy of a campaign that is {campaign.state}")
        self.step(f"{campaign.number} is tuned: {policy}: {status}")

    def change(self, name, **fields):
        self.api("PATCH", f"/devices/{self.product.key}/{name}", fields)
        for key, value in fields.items():
            setattr(self.model.devices[name], key, value or "" if key == "pinned" else value)
        self.step(f"{name} is changed: {fields}")

    def remove(self, name):
        self.api("DELETE", f"/devices/{self.product.key}/{name}")
        self.model.remove(name)
        self.step(f"{name} is deleted")

    def end_quarantine(self, name):
        self.api("DELETE", f"/devices/{self.product.key}/{name}/quarantine")
        self.model.end_quarantine(name)
        self.step(f"{name} need not rest")

    def retry(self, campaign):
        number = self.api("POST", f"/campaigns/{campaign.number}/retry")["id"]
        return self.added(self.model.retry(campaign, number), f"retry of {campaign.number}: {number}")

    def roll_back(self, campaign):
        number = self.api("POST", f"/campaigns/{campaign.number}/rollback")["id"]
        return self.added(self.model.roll_back(campaign, number), f"rollback of {campaign.number}: {number}")
