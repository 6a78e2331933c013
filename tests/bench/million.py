"""A store of a million devices, filled once: what their polls over TLS take and write, beside nginx that answers with as many
bytes and looks nothing up; how long a start takes with as many executions in it, and how much memory otad needs then.

    OTAD_BUILD=build PYTHONPATH=tests/system python3 tests/bench/million.py [quick]      by hand
"""
import http.client
import sys
import time
from typing import NamedTuple

from downloads import same_on_both
from growth import campaign_for_all, filled
from harness import basic, receive, status_kb, wait_until
from peers import CORES, SIDES, Server, Stage, cpu_s, written_bytes
from rows import Row, table
from turns import by_turns, pairs
from wrk import Load, wrk

CONNECTIONS = 16
POLL = "/api/v1/device/offer"
VERSIONS = {0: "1.1.0", 1: "0.9.0"}  # by a device's last digit, as growth.c has it; of all others 1.0.0
FLUSH_S = 60  # otad writes when devices were last seen as often, counted from its start
REST_S = 120  # at most, until it rests
BODY_SPREAD = 1  # bytes: ids of executions are longer and shorter than the one in the middle


class Sizes(NamedTuple):
    devices: int
    rounds: int  # of polls for which nothing is due: all in the first minute
    offer_rounds: int
    seconds: int
    warm_up: int
    starts: int


SIZES = Sizes(devices=1_000_000, rounds=4, offer_rounds=3, seconds=4, warm_up=2, starts=5)
QUICK = Sizes(devices=2000, rounds=1, offer_rounds=1, seconds=1, warm_up=1, starts=2)


def rest(otad):
    """Until all its threads rest: the store was looked at after the start, what was to be written is."""
    used = [cpu_s(otad.pid)]

    def rests():
        used.append(cpu_s(otad.pid))
        return len(used) > 2 and used[-1] - used[-3] <= 0.02
    wait_until(rests, REST_S, "otad's rest", pause_s=0.5)


# ---- polls


def raw_poll(otad, number, end):
    """Every byte of the answer to one device."""
    login = basic(f"fleet/device-{number:08}", f"a-secret-of-{number:08}-with-the-usual-length.")
    with otad.raw() as sock:
        sock.sendall(f"GET {POLL}?version={VERSIONS.get(number % 10, '1.0.0')} HTTP/1.1\r\nHost: localhost\r\n"
                     f"Authorization: {login['Authorization']}\r\n\r\n".encode())
        return receive(sock, end)


def polls(first, some, how):
    """Of devices first to some behind it, in an order that jumps through the store: "random" of them, or the "next"."""
    return Load(CONNECTIONS, 0, "polls.lua", (CORES, 0, first, some, how, 0))


class Fleet:
    """otad on the store, the peers beside it, and what all runs of wrk have in common."""

    def __init__(self, stage, sizes):
        self.stage, self.sizes, self.seed = stage, sizes, 0
        self.otad = stage.otad = stage.start_otad(store=filled(stage, sizes.devices))
        self.started = time.monotonic()
        self.env = stage.client_env("TLSv1.3")

    def side(self):
        return Server("otad", self.otad.https_port, POLL, lambda: [self.otad.pid])

    def peer(self, target, answer_bytes=64):
        server = self.stage.start_nginx(answer_bytes=answer_bytes)
        return Server(server.name, server.port, target, server.pids)

    def ask(self, server, load, answer, seconds, spread=0):
        """answer: the bytes of one, with its head; otad's all have as many, but for spread in the mean, and so are all what
        that one was. What wrk counts is more by what came when it ended."""
        self.seed += 1000  # other devices each time
        _, _, *which, _ = load.args
        before = written_bytes(self.otad.pid)
        said = wrk(server, self.env, load._replace(args=(CORES, self.sizes.devices, *which, self.seed)), seconds)
        said["written"] = (written_bytes(self.otad.pid) - before) / said["n"]
        least, most = said["n"] * (answer - spread), (said["n"] + CONNECTIONS) * (answer + spread)
        assert server.name != "otad" or least <= said["bytes"] <= most, (said, answer)
        return said

    def offered(self, campaign):
        return self.otad.by_socket("GET", f"/api/v1/campaigns/{campaign}").data["counts"]["offered"]


def rows_of(name, found, goal):
    return [Row(name, "req/s", *pairs(found, "requests", SIDES), goal=goal),
            Row(f"{name}: CPU of server", "us", *pairs(found, "cpu_us", SIDES)),
            Row(f"{name}: CPU of wrk", "us", *pairs(found, "client_us", SIDES)),
            Row(f"{name}: CPU of others", "%", *pairs(found, "others", SIDES), compare=False)]


def nothing_due(fleet):
    """Before there is any campaign. Then it is written who was seen, which no poll waits for."""
    sizes, otad = fleet.sizes, fleet.otad
    answer = raw_poll(otad, sizes.devices // 2, b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 "), answer
    sides = {"otad": fleet.side(), "nginx": fleet.peer("/nothing")}
    fleet.stage.servers = list(sides.values())
    note = same_on_both(fleet.stage, fleet.env, "TLSv1.3", "TLS_AES_128_GCM_SHA256") | {"answer_bytes": len(answer)}
    load, asked = polls(0, sizes.devices - 1, "random"), 0

    def measure(server, warms_up):
        nonlocal asked
        said = fleet.ask(server, load, len(answer), sizes.warm_up if warms_up else sizes.seconds)
        asked += said["n"] if server.name == "otad" else 0
        return said
    rest(otad)
    before = written_bytes(otad.pid)
    time.sleep(sizes.seconds)
    note["written_without_polls"] = written_bytes(otad.pid) - before
    before = written_bytes(otad.pid)
    found = by_turns(sides, sizes.rounds, measure)
    note["took_s_since_start"] = time.monotonic() - fleet.started  # a minute or more: last-seen was written meanwhile
    note["resident_kb"] = status_kb(otad.pid, "VmRSS")
    name = f"poll, {sizes.devices:,} devices, nothing due"
    return [*rows_of(name, found, ("ratio", ">=", 0.7)),
            Row(f"{name}: written", "B", [one["written"] for one in found["otad"]], goal=("otad", "<", 1), note=note),
            *last_seen(fleet, name, asked, before)]


def last_seen(fleet, name, asked, before):
    """What those polls had otad write at the end of the minute."""
    if fleet.sizes == QUICK:
        return []
    time.sleep(FLUSH_S + 1 - (time.monotonic() - fleet.started) % FLUSH_S)
    rest(fleet.otad)
    return [Row(f"{name}: last seen, written each minute", "B", [(written_bytes(fleet.otad.pid) - before) / asked],
                note={"polls": asked})]


def first_offers(fleet, campaign, answer):
    """Each device polls for the first time since the campaign began: its offer is made, which is a write. Says who has one, of
    whom wrk's threads may have left out some: they are not equally far."""
    sizes, base, runs = fleet.sizes, 0, []
    for _ in range(sizes.offer_rounds):
        before = fleet.offered(campaign)
        said = fleet.ask(fleet.side(), polls(base, 0, "next"), answer, sizes.seconds, BODY_SPREAD)
        made = fleet.offered(campaign) - before
        # one on its way for each connection, and one that came when wrk had stopped counting
        assert said["n"] <= made <= said["n"] + 2 * CONNECTIONS or sizes == QUICK, (said["n"], made)
        runs.append(said | {"base": base})
        base += made + sizes.devices // 50
    last = runs[-1]
    return runs, (last["base"] + CORES, min(last["n"], sizes.devices) // 4)  # wrk throws away what it asks a script for first


def offers(fleet):
    """A campaign for everyone, of which some have polled."""
    sizes, otad = fleet.sizes, fleet.otad
    campaign, took_s = campaign_for_all(otad, sizes.devices)
    rest(otad)
    whole = raw_poll(otad, sizes.devices // 2, b'}\n')
    assert whole.startswith(b"HTTP/1.1 200 ") and b'"version":"2.0.0"' in whole, whole
    body = len(whole.split(b"\r\n\r\n", 1)[1])
    firsts, having = first_offers(fleet, campaign, len(whole))
    before, load = fleet.offered(campaign), polls(*having, "random")
    sides = {"otad": fleet.side(), "nginx": fleet.peer("/offer", body)}
    found = by_turns(sides, sizes.offer_rounds, lambda server, warms_up: fleet.ask(
        server, load, len(whole), sizes.warm_up if warms_up else sizes.seconds, BODY_SPREAD))
    again, fresh = sum(one["n"] for one in found["otad"]), fleet.offered(campaign) - before
    assert fresh * 1000 <= again, f"{fresh} devices that were to have an offer had none"
    name = f"poll, {sizes.devices:,} devices"
    return [Row(f"{name}, the first that gets an offer", "req/s", [one["requests"] for one in firsts],
                note={"answer_bytes": len(whole), "campaign_s": took_s}),
            Row(f"{name}, the first that gets an offer: CPU of otad", "us", [one["cpu_us"] for one in firsts]),
            Row(f"{name}, the first that gets an offer: written", "B", [one["written"] for one in firsts]),
            *rows_of(f"{name}, an offer again", found, ("ratio", ">=", 0.7)),
            Row(f"{name}, an offer again: written", "B", [one["written"] for one in found["otad"]])]


# ---- starts


class Health:
    """GET /health over TLS, on one connection once there is one."""

    def __init__(self, otad):
        self.otad, self.context, self.connection = otad, otad.tls(), None

    def good(self):
        try:
            if self.connection is None:
                self.connection = http.client.HTTPSConnection("localhost", self.otad.https_port, timeout=5,
                                                              context=self.context)
            self.connection.request("GET", "/health")
            answer = self.connection.getresponse()
            answer.read()
            return answer.status == 200
        except (OSError, http.client.HTTPException):
            self.connection = None
            return False


def starts(fleet):
    """Each after a clean end: seconds from exec to the first answer that all is well; then, at rest, what it holds."""
    otad, name = fleet.otad, f"start, {fleet.sizes.devices:,} devices and executions"
    took_s, resident, note = [], [], []
    for _ in range(fleet.sizes.starts):
        otad.stop()
        health, begun = Health(otad), time.monotonic()
        otad.start(until=health.good, pause_s=0.003)
        took_s.append(time.monotonic() - begun)
        health.connection.close()
    rest(otad)
    for _ in range(3):
        resident.append(status_kb(otad.pid, "VmRSS") / 1e3)
        note.append({field: status_kb(otad.pid, field) for field in ("RssAnon", "RssFile", "VmHWM")})
        time.sleep(1)
    return [Row(f"{name}: until healthy", "s", took_s, goal=("otad", "<", 0.5)),
            Row(f"{name}: memory, at rest", "MB", resident, goal=("otad", "<", 60), note={"kb": note})]


def run(quick):
    sizes = QUICK if quick else SIZES
    with Stage() as stage:
        fleet = Fleet(stage, sizes)
        return [*nothing_due(fleet), *offers(fleet), *starts(fleet)]


if __name__ == "__main__":
    print(table(run(len(sys.argv) > 1)))
