"""Firmware files that go bad on the disk: found by the scrub or by who wants them, never sent, their campaigns paused, and whole
again after an upload of the same bytes."""
import http.client
import os
import time

import pytest

from files import pattern
from fleet import Product
from harness import problem, read_reply, wait_until

DATA = pattern(400_000)
OFF = {"scrub_bytes_per_second": 0}


def blob(server, firmware):
    return server.data / "blobs" / firmware["sha256"][:2] / firmware["sha256"]


def quarantined(server, firmware):
    return server.data / "quarantine" / firmware["sha256"]


def flip(path, at=300_001):
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def cut(path):
    path.chmod(0o600)
    os.truncate(path, len(DATA) - 1)


def link(path):
    aside = path.parents[2] / "aside"
    path.rename(aside)
    path.symlink_to(aside)


def files(server):
    return server.http("GET", "/health").data["files"]


def get(server, firmware):
    return server.api("GET", f"/firmware/{firmware['id']}/file")


def mend(server, product, firmware, campaign):
    """The operator's way back."""
    problem(server.api("POST", f"/campaigns/{campaign}/resume"), 409, "upload the same bytes again")
    problem(server.api("POST", "/campaigns", {"firmware": [firmware["id"]]}), 409, "damaged")
    assert product.upload(DATA, firmware["version"])["id"] == firmware["id"]
    assert files(server) == {"ok": True}
    assert get(server, firmware).data == DATA
    server.ok("POST", f"/campaigns/{campaign}/resume")


def test_scrub_finds_one_flipped_bit(make_otad):
    server = make_otad({"scrub_every": "1s"})
    product = Product(server)
    device = product.device("d1").connect()
    device.inform("1.1.0")
    firmware, other = product.upload(DATA), product.upload(version="1.0.0")
    campaign = product.campaign(firmware)
    offer = device.offer()
    wait_until(lambda: server.ok("GET", "/status")["counters"]["files_checked"] >= 4, what="two rounds")
    assert files(server) == {"ok": True} and get(server, firmware).data == DATA
    flip(blob(server, firmware))
    wait_until(lambda: not files(server)["ok"], what="the damage")
    assert server.http("GET", "/health").status == 503
    assert firmware["filename"] in files(server)["reason"]
    paused = server.campaign(campaign)
    assert (paused["state"], paused["state_cause"]) == ("paused", "damage")
    assert firmware["filename"] in paused["state_reason"]
    assert quarantined(server, firmware).stat().st_size == len(DATA)
    assert not blob(server, firmware).exists()
    problem(get(server, firmware), 500, "uploaded again", "SHA-256")
    assert server.fetch(offer["url"]).status == 500
    assert get(server, other).status == 200
    assert server.log().count("of product p") == 1  # one line, not one a round
    mend(server, product, firmware, campaign)
    device.update(offer)
    server.wait_campaign(campaign, "completed")
    device.disconnect()


@pytest.mark.parametrize("spoil", [cut, link, os.unlink])
def test_whoever_cannot_read_it_tells(make_otad, spoil):
    server = make_otad(OFF)
    product = Product(server)
    firmware = product.upload(DATA)
    product.register("d1")
    campaign = product.campaign(firmware)
    server.wait_campaign(campaign, "running")
    spoil(blob(server, firmware))
    problem(get(server, firmware), 500)
    server.wait_campaign(campaign, "paused")
    assert not files(server)["ok"]
    assert os.path.lexists(quarantined(server, firmware)) == (spoil is not os.unlink)
    server.kill()
    server.start(until=server.answers)
    assert not files(server)["ok"]
    mend(server, product, firmware, campaign)


def test_what_cannot_be_moved_away_is_refused_where_it_is(make_otad):
    server = make_otad({"scrub_every": "1s"})
    product = Product(server)
    firmware = product.upload(DATA)
    (quarantined(server, firmware) / "in the way").mkdir(parents=True)
    flip(blob(server, firmware))
    wait_until(lambda: not files(server)["ok"], what="the damage")
    assert blob(server, firmware).exists()
    problem(get(server, firmware), 500, "uploaded again")
    assert product.upload(DATA, firmware["version"])["id"] == firmware["id"]
    assert get(server, firmware).data == DATA


def test_who_asks_again_and_again_does_not_fill_the_log(make_otad):
    server = make_otad(OFF)
    product = Product(server, public=True)
    firmware = product.upload(DATA, filename="lost.bin")
    os.unlink(blob(server, firmware))
    connection = server.connection()
    before = time.monotonic()
    for _ in range(300):
        connection.request("GET", "/firmware/lost.bin")
        assert read_reply(connection).status == 500
    seconds = int(time.monotonic() - before) + 2
    connection.close()
    assert 1 <= server.log().count("GET /firmware/lost.bin") <= 10 * seconds


def test_cut_while_it_is_sent(make_otad):
    """The connection ends early, and the server does not."""
    server = make_otad(OFF)
    data = pattern(8_000_000)
    firmware = Product(server, public=True).upload(data, filename="big.bin")
    with server.raw() as sock:
        sock.sendall(b"GET /firmware/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.read(1000) == data[:1000]
        blob(server, firmware).chmod(0o600)
        os.truncate(blob(server, firmware), 2000)
        with pytest.raises((http.client.IncompleteRead, OSError)):
            answer.read()
    problem(server.http("GET", "/firmware/big.bin"), 500)
    wait_until(lambda: not files(server)["ok"], what="the damage")


def test_deleted_with_its_damage(make_otad):
    server = make_otad({"scrub_every": "1s"})
    product = Product(server)
    firmware = product.upload(DATA)
    flip(blob(server, firmware), 0)
    wait_until(lambda: not files(server)["ok"], what="the damage")
    server.ok("DELETE", f"/firmware/{firmware['id']}")
    wait_until(lambda: files(server)["ok"], what="nothing damaged")
    assert product.upload(DATA)["id"] != firmware["id"]
