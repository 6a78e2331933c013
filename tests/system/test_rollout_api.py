"""What operators ask of rollouts over HTTP: what is refused and by which field, dry runs, waves, lists as CSV, failures, why,
quarantine, pins and roles."""
import csv
import io
import json
import urllib.parse

import pytest

from fleet import Product
from harness import basic, problem, wait_until

CSV_HEAD = ["id", "device", "wave", "state", "reason", "detail", "percent", "attempt", "offered_at", "started_at",
            "finished_at", "updated_at"]
QUESTIONS = ["product", "enabled", "paused", "quarantine", "campaign", "target", "pinned", "version", "wave", "busy",
             "retry", "confirm", "window", "rate", "slots", "away"]
TWO_WAVES = [{"count": 2, "success_pct": 100, "soak": "30m"}, {"percent": 100}]
ONE_ATTEMPT = {"max_attempts": 1}


class Poller:
    """A device without MQTT."""

    def __init__(self, product, name, version=None, **fields):
        self.otad, self.product, self.name = product.otad, product.key, name
        self.path = f"/devices/{product.key}/{name}"
        self.headers = basic(f"{product.key}/{name}", product.register(name, **fields)["secret"])
        if version:
            assert self.poll(version) is None

    def poll(self, version):
        """What is due, or None."""
        query = urllib.parse.urlencode({"module": "default", "version": version})
        reply = self.otad.http("GET", f"/api/v1/device/offer?{query}", headers=self.headers)
        assert reply.status in (200, 204), reply.data
        return reply.data if reply.status == 200 else None

    def offer(self, version="1.1.0"):
        return wait_until(lambda: self.poll(version), what=f"an offer for {self.name}")

    def say(self, offer, **fields):
        reply = self.otad.http("POST", "/api/v1/device/report", json.dumps({"id": offer["id"], **fields}),
                               {**self.headers, "Content-Type": "application/json"})
        assert reply.status == 204, reply.data

    def fail(self, error="power", detail="", version="1.1.0"):
        self.say(self.offer(version), error=error, detail=detail)

    def update(self, version="1.1.0"):
        target = self.offer(version)["version"]
        self.poll(target)

    def seen(self):
        return self.otad.ok("GET", self.path)


def body_of(product, **fields):
    return {"firmware": [product.upload()["id"]], **fields}


def dry_run(otad, body, **more):
    reply = otad.api("POST", "/campaigns?dry_run=1", body, **more)
    assert reply.status == 200, reply.data
    return reply.data


def started(otad, body):
    """The campaign once its executions are made."""
    made = otad.ok("POST", "/campaigns", body)
    return otad.wait_campaign(made["id"], "running", "completed")


# ---- what is refused

STOP_RULE = {"on": ["failed"], "pct": 5}


def window(**fields):
    return {"policy": {"window": {"from": "02:00", "to": "05:00", **fields}}}


@pytest.mark.parametrize("fields, field", [
    ({"target": {"colour": 1}}, "target.colour"),
    ({"target": {"percent": 0}}, "target.percent"),
    ({"target": {"percent": 101}}, "target.percent"),
    ({"target": {"percent": "10"}}, "target.percent"),
    ({"target": {"dynamic": "yes"}}, "target.dynamic"),
    ({"target": {"tags": {"nobody-has-this-key": "A"}}}, "target.tags"),
    ({"target": {"tags": {"nobody-has-this-key": True}}}, "target.tags"),
    ({"target": {"tags": {"site": "nowhere"}}}, "target.tags"),
    ({"target": {"tags": {"site": 7}}}, "target.tags"),
    ({"target": {"tags": {"site!": True}}}, "target.tags"),
    ({"target": {"devices": ["d1", "no-such-device"]}}, "target.devices"),
    ({"target": {"devices": []}}, "target.devices"),
    ({"target": {"devices": [7]}}, "target.devices"),
    ({"target": {"version": ">=banana"}}, "target.version"),
    ({"target": {"version": ">> 1"}}, "target.version"),
    ({"target": {"campaign": 999999}}, "target.campaign"),
    ({"target": {"states": ["failed"]}}, "target.states"),
    ({"target": {"product": "{other}"}}, "target.product"),
    ({"firmware": ["{foreign}"], "target": {"product": "{product}"}}, "target.product"),
    ({"firmware": ["{id}", "{foreign}"]}, "firmware"),
    ({"waves": {"percent": 100}}, "waves"),
    ({"waves": []}, "waves"),
    ({"waves": ["all"]}, "waves"),
    ({"waves": [{"count": 1}] * 32 + [{"percent": 100}]}, "waves"),
    ({"waves": [{}, {"percent": 100}]}, "waves"),
    ({"waves": [{"percent": 100, "colour": 1}]}, "waves.colour"),
    ({"waves": [{"count": 1, "percent": 10}, {"percent": 100}]}, "waves"),
    ({"waves": [{"count": 0}, {"percent": 100}]}, "waves.count"),
    ({"waves": [{"percent": 0}, {"percent": 100}]}, "waves.percent"),
    ({"waves": [{"percent": 101}]}, "waves.percent"),
    ({"waves": [{"percent": 50}, {"percent": 20}, {"percent": 100}]}, "waves"),
    ({"waves": [{"percent": 50}, {"percent": 50}, {"percent": 100}]}, "waves"),
    ({"waves": [{"percent": 50}]}, "waves"),
    ({"waves": [{"percent": 100}, {"count": 1}]}, "waves"),
    ({"waves": [{"count": 5}]}, "waves"),
    ({"waves": [{"tags": {"site": "A"}}]}, "waves"),
    ({"waves": [{"tags": {}}, {"percent": 100}]}, "waves"),
    ({"waves": [{"tags": {"site": "nowhere"}}, {"percent": 100}]}, "waves"),
    ({"waves": [{"percent": 100, "success_pct": 101}]}, "waves.success_pct"),
    ({"waves": [{"percent": 100, "soak": "soon"}]}, "waves.soak"),
    ({"policy": {"colour": 1}}, "policy.colour"),
    (window(tz="Mars/Olympus"), "policy.window.tz"),
    (window(tz="../../etc/passwd"), "policy.window.tz"),
    (window(to="02:00"), "policy.window.to"),
    (window(to="25:00"), "policy.window.to"),
    (window(days=["someday"]), "policy.window.days"),
    (window(days=[]), "policy.window.days"),
    (window(colour=1), "policy.window.colour"),
    ({"policy": {"start_at": "2001-01-01T00:00:00Z"}}, "policy.start_at"),
    ({"policy": {"start_at": "tomorrow"}}, "policy.start_at"),
    ({"policy": {"start_at": "2999-01-02T00:00:00Z", "end_at": "2999-01-01T00:00:00Z"}}, "policy.end_at"),
    ({"policy": {"rate_per_minute": -1}}, "policy.rate_per_minute"),
    ({"policy": {"lease": "1s"}}, "policy.lease"),
    ({"policy": {"stop": [{**STOP_RULE, "pct": 0}]}}, "policy.stop.pct"),
    ({"policy": {"stop": [{**STOP_RULE, "on": []}]}}, "policy.stop.on"),
    ({"policy": {"stop": [{**STOP_RULE, "on": ["succeeded"]}]}}, "policy.stop.on"),
    ({"policy": {"stop": [{**STOP_RULE, "then": "explode"}]}}, "policy.stop.then"),
    ({"policy": {"stop": [STOP_RULE] * 9}}, "policy.stop"),
    ({"policy": {"wave_failed": "explode"}}, "policy.wave_failed"),
    ({"policy": {"confirm": "maybe"}}, "policy.confirm"),
])
def test_campaigns_that_are_refused(otad, product, fields, field):
    other = Product(otad)
    product.register("d1", tags={"site": "A"})
    places = {'"{id}"': product.upload()["id"], '"{foreign}"': other.upload()["id"], "{product}": product.key,
              "{other}": other.key}
    text = json.dumps({"firmware": ["{id}"], **fields})
    for place, value in places.items():
        text = text.replace(place, str(value))
    before = len(otad.pages("/campaigns"))
    for query in ("", "?dry_run=1"):
        reply = otad.api("POST", f"/campaigns{query}", json.loads(text))
        problem(reply, 422)
        assert reply.data["field"] == field, reply.data
    assert len(otad.pages("/campaigns")) == before


@pytest.mark.parametrize("query, field", [
    ("POST /campaigns?dry_run=2", "dry_run"), ("POST /campaigns?dry_run=", "dry_run"),
    ("POST /campaigns?dry_run=yes", "dry_run"), ("POST /campaigns/{id}/start?dry_run=1", "dry_run"),
    ("GET /campaigns/{id}/executions?wave=first", "wave"), ("GET /campaigns/{id}/executions?wave=-1", "wave"),
    ("GET /campaigns/{id}/executions?wave=32", "wave"), ("GET /campaigns/{id}/executions?format=xml", "format"),
    ("GET /campaigns/{id}/executions?format=csv&state=tired", "state"), ("GET /campaigns/{id}/failures?tag=a%20b", "tag"),
    ("GET /campaigns/{id}/failures?limit=5", "limit"),
])
def test_queries_that_are_refused(otad, product, query, field):
    body = body_of(product, draft=True)
    campaign = otad.ok("POST", "/campaigns", body)["id"]
    method, path = query.replace("{id}", str(campaign)).split(" ")
    reply = otad.api(method, path, body if path.startswith("/campaigns?") else None)
    problem(reply, 422)
    assert reply.data["field"] == field


@pytest.mark.parametrize("method, path", [
    ("POST", "/campaigns/999999/advance"), ("POST", "/campaigns/999999/retry"), ("POST", "/campaigns/999999/rollback"),
    ("GET", "/campaigns/999999/failures"), ("GET", "/campaigns/999999/executions?format=csv"),
    ("GET", "/devices/{product}/nobody/why"), ("DELETE", "/devices/{product}/nobody/quarantine"),
])
def test_what_is_not_there(otad, product, method, path):
    problem(otad.api(method, path.replace("{product}", product.key)), 404)


@pytest.mark.parametrize("action", ["advance", "retry", "rollback"])
def test_actions_take_no_fields(otad, product, action):
    campaign = otad.ok("POST", "/campaigns", body_of(product, draft=True))["id"]
    problem(otad.api("POST", f"/campaigns/{campaign}/{action}", {"force": True}), 422, "force")


# ---- dry runs

def mixed_fleet(product):
    """Twelve to be updated, three that are, two beyond."""
    for i in range(12):
        Poller(product, f"old{i:02}", "1.0.0", tags={"site": "AB"[i % 2]})
    for i in range(3):
        Poller(product, f"there{i}", "1.2.0", tags={"site": "A"})
    for i in range(2):
        Poller(product, f"above{i}", "2.0.0", tags={"site": "A"})


@pytest.mark.parametrize("fields", [
    {}, {"target": {"tags": {"site": "A"}}}, {"target": {"tags": {"site!": "A"}}}, {"target": {"percent": 50}},
    {"target": {"version": "<1.2.0"}}, {"target": {"devices": ["old00", "there0", "above0"]}}, {"waves": TWO_WAVES},
    {"waves": [{"percent": 25}, {"percent": 100}]}, {"waves": [{"tags": {"site": "B"}}, {"count": 1}, {"percent": 100}]},
    {"policy": {"allow_downgrade": True}},
])
def test_a_dry_run_tells_what_the_campaign_does(otad, product, fields):
    mixed_fleet(product)
    size = product.upload()["size"]
    body = body_of(product, name="rehearsed", **fields)
    before = len(otad.pages("/campaigns"))
    plan = dry_run(otad, body)
    assert len(otad.pages("/campaigns")) == before
    assert set(plan) == {"devices", "waves", "left_out", "bytes", "earliest_end_at"}

    campaign = started(otad, body)
    rows = otad.executions(campaign["id"]).values()
    queued = [row for row in rows if row["state"] in ("pending", "queued")]
    assert plan["devices"] == len(rows) == campaign["total"]
    assert plan["waves"] == [{"wave": wave["wave"], "devices": wave["total"]} for wave in campaign["waves"]]
    assert sum(wave["devices"] for wave in plan["waves"]) == len(queued)
    for reason in ("already_installed", "newer_installed"):
        assert plan["left_out"][reason] == sum(row["reason"] == reason for row in rows), reason
    assert plan["left_out"]["no_way"] == 0
    assert plan["bytes"] == size * len(queued)
    assert plan["earliest_end_at"]


def test_a_dry_run_says_who_is_left_out(otad, product):
    mixed_fleet(product)
    everyone = dry_run(otad, body_of(product))
    assert everyone["devices"] == 17
    assert everyone["left_out"]["already_installed"] == 3 and everyone["left_out"]["newer_installed"] == 2
    some = dry_run(otad, body_of(product, target={"version": "<1.2.0"}))
    assert (some["devices"], some["left_out"]["version"]) == (12, 5)
    half = dry_run(otad, body_of(product, target={"percent": 50}))
    assert half["devices"] + half["left_out"]["percent"] == 17


def test_a_dry_run_sees_that_the_time_is_too_short(otad, product):
    for i in range(5):
        product.register(f"d{i}")
    rate = {"rate_per_minute": 1}
    assert dry_run(otad, body_of(product, policy=rate))["earliest_end_at"]
    span = {"start_at": "2998-01-01T00:00:00Z", "end_at": "2999-01-01T00:00:00Z", **rate}
    assert span["start_at"] < dry_run(otad, body_of(product, policy=span))["earliest_end_at"] < span["end_at"]
    short = {**span, "end_at": "2998-01-01T00:01:00Z"}
    assert dry_run(otad, body_of(product, policy=short))["earliest_end_at"] is None


def test_a_dry_run_uses_no_idempotency_key(otad, product):
    product.register("d1")
    body, key = body_of(product), {"Idempotency-Key": f"{product.key}-dry"}
    assert dry_run(otad, body, headers=key)["devices"] == 1
    product.register("d2")
    assert dry_run(otad, body, headers=key)["devices"] == 2
    assert otad.api("POST", "/campaigns?dry_run=0", body, headers=key).status == 201


# ---- a campaign as it is shown

def test_waves_are_shown_as_asked_and_as_they_stand(otad, product):
    for i in range(5):
        Poller(product, f"d{i}", "1.1.0")
    body = body_of(product, waves=TWO_WAVES)
    draft = otad.ok("POST", "/campaigns", {**body, "draft": True})
    assert [wave["state"] for wave in draft["waves"]] == ["pending", "pending"]
    campaign = started(otad, body)
    first, second = campaign["waves"]
    assert {**first, **TWO_WAVES[0], "wave": 0, "state": "running", "met_at": None, "total": 2} == first
    assert {**second, **TWO_WAVES[1], "wave": 1, "state": "pending", "started_at": None, "total": 3} == second
    assert first["started_at"] and first["counts"]["queued"] == 2 and "percent" not in first
    assert second["success_pct"] == 0 and second["soak"] == "0s"
    by_wave = [otad.pages(f"/campaigns/{campaign['id']}/executions?wave={wave}") for wave in (0, 1)]
    assert [len(rows) for rows in by_wave] == [2, 3]
    assert all(row["wave"] == wave for wave in (0, 1) for row in by_wave[wave])
    (listed,) = [row for row in otad.pages("/campaigns") if row["id"] == campaign["id"]]
    assert "waves" not in listed
    assert {**listed, "waves": campaign["waves"]} == campaign


def test_a_campaign_without_waves_has_one(otad, product):
    product.register("d1")
    (wave,) = started(otad, body_of(product))["waves"]
    assert (wave["wave"], wave["percent"], wave["total"], wave["success_pct"]) == (0, 100, 1, 0)
    assert wave["started_at"] and wave["state"] in ("running", "met")  # nothing is asked of it


def test_the_next_wave_starts_by_hand(otad, product):
    for i in range(3):
        Poller(product, f"d{i}", "1.1.0")
    campaign = started(otad, body_of(product, waves=TWO_WAVES))["id"]
    after = otad.ok("POST", f"/campaigns/{campaign}/advance", {})
    assert [wave["started_at"] is not None for wave in after["waves"]] == [True, True]
    assert after["state"] == "running"
    problem(otad.api("POST", f"/campaigns/{campaign}/advance"), 409)
    draft = otad.ok("POST", "/campaigns", body_of(product, draft=True))["id"]
    problem(otad.api("POST", f"/campaigns/{draft}/advance"), 409)


def test_target_and_cause_are_shown(otad, product):
    target = {"tags": {"site": "A", "gps": True, "beta": False, "rack!": "3"}, "version": "<1.2.0", "percent": 90,
              "dynamic": True}
    product.register("d1", tags={"site": "A", "gps": "yes", "beta": "2", "rack": "3"})
    draft = otad.ok("POST", "/campaigns", body_of(product, target=target, draft=True))
    assert draft["target"] == {**target, "product": product.key}
    campaign = started(otad, body_of(product))
    assert (campaign["source"], campaign["puts_back"], campaign["state_cause"]) == (None, False, None)
    paused = otad.ok("POST", f"/campaigns/{campaign['id']}/pause")
    assert paused["state_cause"] == "operator"
    assert otad.ok("POST", f"/campaigns/{campaign['id']}/resume")["state_cause"] is None


def test_the_policy_of_a_scheduled_campaign_can_be_changed(otad, product):
    product.register("d1")
    made = otad.ok("POST", "/campaigns", body_of(product, policy={"start_at": "2999-01-01T00:00:00Z"}))
    assert made["state"] == "scheduled"
    path = f"/campaigns/{made['id']}"
    changed = otad.ok("PATCH", path, {"policy": {"rate_per_minute": 7}})["policy"]
    assert changed == {**made["policy"], "rate_per_minute": 7}
    reply = otad.api("PATCH", path, {"policy": {"end_at": "2998-01-01T00:00:00Z"}})
    problem(reply, 422)
    assert reply.data["field"] == "policy.end_at"
    otad.ok("PATCH", path, {"policy": {"start_at": None}})
    otad.wait_campaign(made["id"], "running")
    problem(otad.api("PATCH", path, {"policy": {"rate_per_minute": 8}}), 409, "policy")


# ---- what makes another campaign of it

def test_retry(otad, product):
    good, bad = Poller(product, "good", "1.1.0"), Poller(product, "bad", "1.1.0")
    campaign = started(otad, body_of(product, policy=ONE_ATTEMPT))["id"]
    problem(otad.api("POST", f"/campaigns/{campaign}/retry"), 409)
    good.update()
    bad.fail()
    otad.wait_campaign(campaign, "completed")
    key = {"Idempotency-Key": f"{product.key}-again"}
    reply = otad.api("POST", f"/campaigns/{campaign}/retry", {}, headers=key)
    assert reply.status == 201
    again = reply.data["id"]
    assert reply.headers["Location"] == f"/api/v1/campaigns/{again}" and reply.headers["ETag"]
    assert reply.data["source"] == campaign and not reply.data["puts_back"]
    assert otad.ok("POST", f"/campaigns/{campaign}/retry", {}, headers=key)["id"] == again
    otad.wait_campaign(again, "running")
    assert list(otad.executions(again)) == ["bad"]
    bad.update()
    otad.wait_campaign(again, "completed")
    assert otad.state_of(campaign, "bad") == "failed"  # invariant 1
    problem(otad.api("POST", f"/campaigns/{again}/retry"), 409)


def test_rollback(otad, product):
    product.upload(version="1.1.0")
    moved, waits = Poller(product, "moved", "1.1.0"), Poller(product, "waits", "1.1.0")
    campaign = started(otad, body_of(product))["id"]
    moved.update()
    otad.wait_state(campaign, "moved", "succeeded")
    reply = otad.api("POST", f"/campaigns/{campaign}/rollback")
    assert reply.status == 201
    back = reply.data
    assert reply.headers["Location"] == f"/api/v1/campaigns/{back['id']}"
    assert (back["source"], back["puts_back"]) == (campaign, True)
    otad.wait_campaign(campaign, "cancelled")
    assert otad.wait_state(campaign, "waits", "cancelled")
    assert moved.offer("1.2.0")["version"] == "1.1.0"
    moved.poll("1.1.0")
    otad.wait_state(back["id"], "moved", "succeeded")
    assert waits.poll("1.1.0") is None


# ---- executions as CSV

def read_csv(otad, campaign, query=""):
    reply = otad.api("GET", f"/campaigns/{campaign}/executions?format=csv{query}")
    assert reply.status == 200, reply.data
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert reply.headers["Content-Disposition"] == f'attachment; filename="campaign-{campaign}.csv"'
    text = reply.data.decode()
    assert text.endswith("\r\n")
    head, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert head == CSV_HEAD
    assert all(len(row) == len(head) for row in rows)
    return [dict(zip(head, row)) for row in rows]


def cell(key, value):
    """A member of an execution as the CSV has it."""
    if value is None:
        return ""
    guard = "'" if key in ("device", "detail") and value[:1] in ("=", "+", "-", "@", "\t") else ""
    return guard + str(value)


def test_csv_is_the_list(otad, product):
    details = {"-minus": '=cmd|"/c calc"!A1', "@at": "two, \"or\" three", "plain": "+49 \u00e4"}
    devices = [Poller(product, name, "1.1.0") for name in details]
    Poller(product, "there", "1.2.0")
    campaign = started(otad, body_of(product, policy=ONE_ATTEMPT))["id"]
    for device in devices:
        device.fail("verify", details[device.name])
    otad.wait_campaign(campaign, "completed")
    rows = otad.pages(f"/campaigns/{campaign}/executions")
    assert [row["device"] for row in rows] == [*details, "there"]
    table = read_csv(otad, campaign)
    assert table == [{key: cell(key, row[key]) for key in CSV_HEAD} for row in rows]
    assert [row["device"] for row in table] == ["'-minus", "'@at", "plain", "there"]
    assert table[0]["detail"] == "'" + details["-minus"] and table[3]["wave"] == ""
    assert read_csv(otad, campaign, "&limit=1") == table
    assert read_csv(otad, campaign, "&state=failed") == table[:3]
    assert read_csv(otad, campaign, "&state=offered") == []
    assert read_csv(otad, campaign, "&wave=0") == table[:3]
    assert read_csv(otad, campaign, "&wave=none") == table[3:]
    assert [row["wave"] for row in otad.pages(f"/campaigns/{campaign}/executions?wave=none")] == [None]
    page = otad.ok("GET", f"/campaigns/{campaign}/executions?limit=2")
    assert read_csv(otad, campaign, f"&after={page['next']}") == table[2:]


@pytest.mark.parametrize("count", [255, 256, 257, 700])
def test_csv_goes_over_its_pages(otad, product, count):
    lines = ["product,name,secret", *(f"{product.key},d{i:04},secret-number-{i}" for i in range(count))]
    otad.ok("POST", "/devices:import", body="\n".join(lines), headers={"Content-Type": "text/csv"})
    campaign = started(otad, body_of(product))["id"]
    assert [row["device"] for row in read_csv(otad, campaign)] == [f"d{i:04}" for i in range(count)]


def test_csv_has_a_head_of_its_own(otad, product):
    product.register("d1")
    campaign = started(otad, body_of(product))["id"]
    path = f"/campaigns/{campaign}/executions?format=csv"
    get, head = otad.api("GET", path), otad.api("HEAD", path)
    assert (head.status, head.data) == (200, b"") and get.data
    for name in ("Content-Type", "Content-Disposition", "Cache-Control"):
        assert head.headers[name] == get.headers[name]
    assert otad.ok("GET", path.replace("csv", "json")) == otad.ok("GET", path.split("?")[0])


def test_a_connection_serves_on_after_csv(otad, product):
    product.register("d1")
    campaign = started(otad, body_of(product))["id"]
    connection, headers = otad.connection(), {"Authorization": f"Bearer {otad.token}"}
    try:
        for query in ("?format=csv", "", "?format=csv", "?format=csv&state=failed", ""):
            connection.request("GET", f"/api/v1/campaigns/{campaign}/executions{query}", headers=headers)
            reply = connection.getresponse()
            assert reply.status == 200 and reply.read()
    finally:
        connection.close()


# ---- failures

def test_failures_are_grouped(otad, product):
    ways = [("a", "power", "A"), ("b", "power", "A"), ("c", "power", "B"), ("d", "verify", "B"), ("e", "power", None)]
    devices = [(Poller(product, name, "1.1.0", tags={"site": site} if site else {}), error) for name, error, site in ways]
    campaign = started(otad, body_of(product, policy=ONE_ATTEMPT))["id"]
    path = f"/campaigns/{campaign}/failures"
    assert otad.ok("GET", path) == {"items": []}
    for device, error in devices:
        device.fail(error, f"{device.name} said {error}")
    otad.wait_campaign(campaign, "completed")

    def groups(query=""):
        items = otad.ok("GET", path + query)["items"]
        counts = [item["devices"] for item in items]
        assert counts == sorted(counts, reverse=True)
        for item in items:
            assert (item["state"], item["from_version"]) == ("failed", "1.1.0")
            assert item["example"]["detail"] == f"{item['example']['device']} said {item['reason']}"
        return {(item["reason"], item["tag"]): item["devices"] for item in items}
    assert groups() == {("power", None): 4, ("verify", None): 1}
    assert groups("?tag=site") == {("power", "A"): 2, ("power", "B"): 1, ("verify", "B"): 1, ("power", None): 1}
    assert groups("?tag=rack") == {("power", None): 4, ("verify", None): 1}


# ---- why

def why(device, campaign=None):
    """Of the one campaign, or of all; checked as they come."""
    told = device.otad.ok("GET", device.path + "/why")
    assert told["device"] == device.name
    for row in told["campaigns"]:
        answers = row["answers"]
        assert [answer["question"] for answer in answers] == QUESTIONS[:len(answers)]
        assert all(answer["yes"] for answer in answers[:-1])
        assert len(answers) == len(QUESTIONS) or not answers[-1]["yes"]
    if campaign is None:
        return told["campaigns"]
    (row,) = [row for row in told["campaigns"] if row["campaign"] == campaign]
    return row


def first_no(device, campaign):
    answer = why(device, campaign)["answers"][-1]
    assert not answer["yes"] and answer["text"], answer
    return answer["question"]


def test_why(otad, product):
    device, other = Poller(product, "d1", "1.1.0"), Poller(product, "d2", "1.1.0")
    assert why(device) == []
    body = body_of(product, name="for one", target={"devices": ["d1"]})
    otad.ok("POST", "/campaigns", {**body, "draft": True})
    assert why(device) == []
    later = otad.ok("POST", "/campaigns", {**body, "policy": {"start_at": "2999-01-01T00:00:00Z"}})["id"]
    row = why(device, later)
    assert (row["name"], row["execution"], row["state"]) == ("for one", None, None)
    assert first_no(device, later) == "campaign"
    campaign = started(otad, body)["id"]
    assert [row["campaign"] for row in why(device)] == [campaign, later]
    row = why(device, campaign)
    execution = otad.executions(campaign)["d1"]
    assert (row["execution"], row["state"]) == (execution["id"], "queued")
    assert first_no(other, campaign) == "target"
    assert first_no(device, campaign) == "away"

    otad.ok("PATCH", device.path, {"pinned": "9.9.9"})
    assert first_no(device, campaign) == "pinned"
    otad.ok("PATCH", device.path, {"paused": True})
    assert first_no(device, campaign) == "paused"
    otad.ok("PATCH", device.path, {"paused": False, "pinned": None})
    otad.ok("POST", f"/campaigns/{campaign}/pause")
    assert first_no(device, campaign) == "campaign"


def test_why_of_a_wave_that_waits(otad, product):
    devices = [Poller(product, f"d{i}", "1.1.0", tags={"site": "AB"[i]}) for i in range(2)]
    campaign = started(otad, body_of(product, waves=[{"tags": {"site": "A"}}, {"percent": 100}]))["id"]
    assert [first_no(device, campaign) for device in devices] == ["away", "wave"]


# ---- quarantine and pins

def test_quarantine(otad, product):
    device = Poller(product, "d1", "1.1.0")
    assert (device.seen()["failures"], device.seen()["quarantined_until"]) == (0, None)
    assert otad.api("DELETE", device.path + "/quarantine").status == 204  # there is none
    policy = {**ONE_ATTEMPT, "quarantine_after": 2, "quarantine_for": "1h"}
    for failures in (1, 2):
        campaign = started(otad, body_of(product, policy=policy))["id"]
        device.fail()
        otad.wait_state(campaign, "d1", "failed")
        assert device.seen()["failures"] == failures
    until = device.seen()["quarantined_until"]
    assert until
    last = started(otad, body_of(product, policy=policy))["id"]
    assert device.poll("1.1.0") is None
    answer = why(device, last)["answers"][-1]
    assert (answer["question"], answer["until"]) == ("quarantine", until)

    revision = otad.api("GET", device.path).headers["ETag"]
    for _ in range(2):
        reply = otad.api("DELETE", device.path + "/quarantine")
        assert (reply.status, reply.data) == (204, b"")
    assert (device.seen()["failures"], device.seen()["quarantined_until"]) == (0, None)
    assert otad.api("GET", device.path).headers["ETag"] == revision
    lines = [line for line in otad.pages(device.path + "/timeline") if line["kind"] == "quarantine"]
    assert [line["text"].startswith("ended by ") for line in lines].count(True) == 1
    device.update()
    otad.wait_state(last, "d1", "succeeded")


def test_pins(otad, product):
    device = Poller(product, "d1", "1.1.0")
    assert device.seen()["pinned"] is None
    for pinned in ("1.1.0", "9.9.9"):
        assert otad.ok("PATCH", device.path, {"pinned": pinned})["pinned"] == device.seen()["pinned"] == pinned
    for bad in ("", "x" * 65, 7, "a\nb", ["1"]):
        reply = otad.api("PATCH", device.path, {"pinned": bad})
        problem(reply, 422)
        assert reply.data["field"] == "pinned"
    assert otad.ok("PATCH", device.path, {"paused": False})["pinned"] == "9.9.9"
    campaign = started(otad, body_of(product))["id"]
    assert device.poll("1.1.0") is None
    assert otad.state_of(campaign) == "queued"
    assert otad.ok("PATCH", device.path, {"pinned": None})["pinned"] is None
    device.update()
    otad.wait_state(campaign, "d1", "succeeded")
    assert Product(otad).register("d1", pinned="1.0.0")["pinned"] == "1.0.0"


# ---- roles

def tokens(otad):
    return {role: otad.ok("POST", "/tokens", {"name": f"a {role}", "role": role})["token"]
            for role in ("viewer", "uploader", "operator")}


def test_who_looks_and_who_acts(otad, product):
    product.register("d1")
    body = body_of(product, draft=True)
    campaign = otad.ok("POST", "/campaigns", body)["id"]
    device = f"/devices/{product.key}/d1"
    held = tokens(otad)
    for path in (f"/campaigns/{campaign}/failures", f"/campaigns/{campaign}/executions?format=csv", f"{device}/why"):
        for role, token in held.items():
            assert otad.api("GET", path, token=token).status == 200, (role, path)
        assert otad.api("GET", path, token="").status == 401
    acts = [("POST", "/campaigns?dry_run=1", body), ("POST", f"/campaigns/{campaign}/advance", None),
            ("POST", f"/campaigns/{campaign}/retry", None), ("POST", f"/campaigns/{campaign}/rollback", None),
            ("DELETE", f"{device}/quarantine", None), ("PATCH", device, {"pinned": "1.0.0"})]
    for method, path, sent in acts:
        for role in ("viewer", "uploader"):
            problem(otad.api(method, path, sent, token=held[role]), 403)
        assert otad.api(method, path, sent, token="").status == 401
    assert otad.campaign(campaign)["state"] == "draft"
    for method, path, sent in acts:
        assert otad.api(method, path, sent, token=held["operator"]).status not in (401, 403), path
