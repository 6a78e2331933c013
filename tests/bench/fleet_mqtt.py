"""Offers to 100,000 devices and their reports over MQTT, beside bare libmosquitto clients that send and drop as many
messages through the same broker; and the rows that one update writes. mqtt_flood.c is the fleet, one session that speaks for
all devices, and the bare clients. The broker is a mosquitto without otad's plugin, which would want a session a device."""
import time
from pathlib import Path

from files import pattern
from harness import BUILD, FINAL, wait_until
from meter import Meter, share
from mqtt_files import Talker, bare_broker
from peers import Stage, cpu_s
from rows import Row

PROGRAM = BUILD / "bench" / "mqtt_flood"
COUNTER = BUILD / "bench" / "rowcount.so"
LIMIT_S = 120
STEPS = 12  # messages of an update, as in mqtt_flood.c
KINDS = {"progress 0 %": (0, 0), "8 times progress": (1, 8), "progress 100 %": (9, 9), "installing": (10, 10),
         "inform": (11, 11)}


class Field:
    """otad with a broker of ours, the fleet and the bare clients; every device registered."""

    def __init__(self, stage, devices, **env):
        self.stage, self.devices = stage, devices
        otad = self.otad = stage.otad = stage.start_otad(presence_timeout="24h")
        _, self.port, self.broker_pid = bare_broker(stage)
        otad.stop()  # its own broker's settings are read; from now on it has another
        otad.settings |= {"broker": "external", "mqtt_host": "127.0.0.1", "mqtt_port": self.port}
        otad.env |= env
        otad.start()
        for key in "fleet", "marker":
            otad.ok("POST", "/products", {"key": key, "protocol": "native", "enrolment": "open"})
        otad.ok("POST", "/devices", {"product": "marker", "name": "marker"})
        self.fleet = self.talker("fleet", "fleet", devices)
        self.publisher, self.subscriber = self.talker("publisher", "fleet"), self.talker("subscriber")
        self.fleet.ask(f"inform {devices} 1.0.0")

    def talker(self, role, *more):
        talker = Talker(self.stage, PROGRAM, role, "127.0.0.1", self.port, *more)
        assert talker.hear() == "ready"
        return talker

    def meter(self, sender):
        """Of the program that is measured, and of those that both sides have."""
        pids = {"sender": sender, "mosquitto": self.broker_pid, "fleet": self.fleet.process.pid}
        return Meter(**{name: lambda pid=pid: cpu_s(pid) for name, pid in pids.items()})

    @staticmethod
    def cost(meter, messages, took_s):
        """Rate, and CPU microseconds a message of each; others: the share of the machine that every other program had."""
        used = meter.used()
        return {"rate": messages / took_s, "took": took_s, **{name: value * 1e6 / messages for name, value in used.items()},
                "others": share(used["others"], took_s)}

    def campaign(self, number):
        """(id, moment of the POST) of one that brings all devices to version NUMBER.0.0."""
        firmware = self.otad.ok("PUT", f"/firmware?product=fleet&version={number}.0.0", body=pattern(1000, seed=number))["id"]
        begun_s = time.monotonic()
        return self.otad.ok("POST", "/campaigns", {"firmware": [firmware]})["id"], begun_s

    def watch(self, root, number):
        assert self.fleet.ask(f"offers {root} {self.devices} {number}.0.0") == "watching"

    def look(self, campaign):  # by the socket: handshakes would be work for otad too
        return self.otad.by_socket("GET", f"/api/v1/campaigns/{campaign}").data

    def counts(self, campaign):
        return {state: n for state, n in self.look(campaign)["counts"].items() if n}

    def offers(self, number):
        """A campaign, from its POST to the last device's offer."""
        self.watch("ota", number)
        meter = self.meter(self.otad.pid)
        self.running, begun_s = self.campaign(number)
        wait_until(lambda: self.look(self.running)["state"] == "running", LIMIT_S, "the campaign's start", pause_s=0.02)
        created_s = time.monotonic() - begun_s
        took_s = float(self.fleet.hear()) - begun_s
        said = self.cost(meter, self.devices, took_s) | {"created": created_s}
        assert self.counts(self.running) == {"offered": self.devices}
        self.sample = number, self.fleet.ask("sample")
        return said

    def bare_offers(self, _number):
        """As many messages like the last that otad sent."""
        number, body = self.sample
        self.watch("otb", number)
        meter = self.meter(self.publisher.process.pid)
        begun_s = float(self.publisher.ask(f"publish {self.devices} {body}").split()[0])
        return self.cost(meter, self.devices, float(self.fleet.hear()) - begun_s)

    def reports(self, number, n, first=0, last=STEPS - 1):
        """Updates of n devices, until otad has answered a question that came behind them: then they are in the store."""
        before = self.taken()
        said = self.flood("ota", self.otad.pid, number, n, first, last)
        messages = n * (last - first + 1)
        assert messages <= self.taken() - before <= messages + messages // 1000 + 2, "the broker has dropped reports"
        return said

    def bare_reports(self, number, n):
        self.subscriber.ask("count")
        said = self.flood("otb", self.subscriber.process.pid, number, n, 0, STEPS - 1)
        counted = int(self.subscriber.ask("count"))
        assert counted == n * STEPS, (counted, n)
        return said

    def taken(self):
        return self.otad.by_socket("GET", "/api/v1/status").data["counters"]["mqtt_reports"]

    def flood(self, root, pid, number, n, first, last):
        meter = self.meter(pid)
        said = self.fleet.ask(f"update {root} {n} {number}.0.0 {first} {last}").split()
        begun_s, acked_s, taken_s = map(float, said[:3])
        assert int(said[3]) == n * (last - first + 1), said
        return self.cost(meter, int(said[3]), taken_s - begun_s) | {"acked": acked_s - begun_s}

    def finish(self):
        """Ends what is still under way of the last campaign."""
        self.otad.ok("POST", f"/campaigns/{self.running}/cancel?force=1")
        wait_until(lambda: set(self.counts(self.running)) <= FINAL, LIMIT_S, "the campaign's end")


def one_round(field, number, n, runs):
    """Version NUMBER: offers to all devices, reports of n, each on both sides by turns; then the rest is ended. The bare
    publisher sends what otad has sent before: in the first round it comes second."""
    sides = [("otad", field.offers, field.reports), ("bare", field.bare_offers, field.bare_reports)]
    if number % 2:
        sides.reverse()
    for name, offers, _ in sides:
        runs["offers"][name].append(offers(number))
    for name, _, reports in sides:
        runs["reports"][name].append(reports(number, n))
    counts = field.counts(field.running)
    assert counts == {"succeeded": n, **({"offered": field.devices - n} if n < field.devices else {})}, counts
    if n < field.devices:
        field.finish()


def timed(devices, n, rounds):
    with Stage() as stage:
        field = Field(stage, devices)
        runs = {what: {"otad": [], "bare": []} for what in ("offers", "reports")}
        for number in range(2, 2 + rounds):
            one_round(field, number, n, runs)
    return runs


def table_rows(path):
    """{table: rows inserted, updated and deleted so far}."""
    lines = [line.split() for line in Path(path).read_text().replace("\0", "").splitlines()]
    return {table: sum(map(int, counts)) for table, *counts in lines}


def written(devices):
    """{what was said: {table: rows for each device}}."""
    with Stage() as stage:
        path = Path(stage.folder(), "rows")
        field = Field(stage, devices, LD_PRELOAD=str(COUNTER), ROWCOUNT=str(path))
        found, before = {}, table_rows(path)

        def note(what):
            nonlocal before
            now = table_rows(path)
            found[what] = {table: round((n - before.get(table, 0)) / devices, 2) for table, n in now.items()
                           if n > before.get(table, 0)}
            before = now
        field.offers(2)
        note("creation and offer")
        for what, (first, last) in KINDS.items():
            field.reports(2, devices, first, last)
            note(what)
        assert field.counts(field.running) == {"succeeded": devices}
    return found


def run(quick):
    devices, n, rounds, counted = (2000, 1000, 1, 200) if quick else (100_000, 20_000, 3, 2000)
    runs, rows = timed(devices, n, rounds), written(counted)
    update = sum(sum(tables.values()) for tables in rows.values()) - 1  # the campaign's making inserts the execution

    def both(what, unit, which, key, **more):
        mine, its = ([one[key] for one in runs[which][side]] for side in ("otad", "bare"))
        return Row(what, unit, mine, its, peer="bare client", **more)

    def costs(what, which):
        return [both(f"{what}: CPU of otad, or the bare client", "us each", which, "sender"),
                both(f"{what}: CPU of mosquitto", "us each", which, "mosquitto"),
                both(f"{what}: CPU of the fleet", "us each", which, "fleet"),
                both(f"{what}: all other programs' CPU", "%", which, "others", compare=False)]
    offers, reports = f"offers to {devices:,} devices", f"reports of {n:,} devices"
    return [both(offers, "1/s", "offers", "rate", goal=("ratio", ">=", 0.85)),
            Row(f"{offers}: POST to running", "s", [one["created"] for one in runs["offers"]["otad"]]),
            *costs(offers, "offers"),
            both(f"{reports} committed", "1/s", "reports", "rate", goal=("ratio", ">=", 0.85)),
            *costs(reports, "reports"),
            Row("rows written for an update", "rows", [update], goal=("otad", "<=", 4), note=rows)]
