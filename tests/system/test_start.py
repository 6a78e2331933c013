"""What is looked at before anything is served: how the last run ended, and whether the store is one, and whole."""
import os
import signal
import sqlite3
import subprocess

import pytest

from fleet import Product
from harness import WAIT_S, wait_until

EX_CONFIG = 78  # sysexits.h
PAGE = 4096


def store(server):
    return server.data / "otad.db"


def lines(server, word):
    return [line for line in server.log().splitlines() if word in line]


def checked_before_serving(server):
    """Of the last start: the store was found whole before the line that says where it serves."""
    said = server.log().rpartition("looked at before anything is served")[2]
    return 0 <= said.find("the store is whole") < said.find(" serves ")


def tables(path, sql):
    """Asked of the file of a stopped server; closing leaves no WAL behind."""
    with sqlite3.connect(path) as db:
        rows = db.execute(sql).fetchall()
    db.close()
    return rows


def script(path, sql):
    db = sqlite3.connect(path)
    db.executescript(sql)
    db.close()


def damage_index(server, index="timeline_device"):
    """The page that the index begins at, which no question of a start comes by."""
    ((page,),) = tables(store(server), f"SELECT rootpage FROM sqlite_schema WHERE name = '{index}'")
    with store(server).open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xff" * 200)


def refused(server):
    """It ends with 78; what it said since then, and that it left the store's file as it was."""
    before, said = store(server).read_bytes() if store(server).exists() else None, len(server.log())
    with server.log_path.open("ab") as log:
        done = subprocess.run(server.args, env=server.env, cwd=server.root, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                              timeout=WAIT_S)
    assert done.returncode == EX_CONFIG
    after = store(server).read_bytes() if store(server).exists() else None
    assert after == before
    return server.log()[said:]


def test_after_a_kill_the_store_is_looked_at_first(make_otad):
    server = make_otad()
    assert not lines(server, "looked at before")
    server.kill()
    server.start()
    assert checked_before_serving(server)


def test_after_a_stop_it_is_looked_at_while_it_serves(make_otad):
    server = make_otad()
    server.restart()
    wait_until(lambda: len(lines(server, "the store is whole")) == 2)
    assert not lines(server, "looked at before")
    assert server.ok("GET", "/status")["check"] == {"ok": True, "text": "ok"}


def test_a_start_that_fails_later_is_no_unclean_end(make_otad):
    server = make_otad()
    server.stop()
    done = subprocess.run([*server.args, "-o", "mosquitto=/nonexistent/mosquitto"], env=server.env, cwd=server.root,
                          capture_output=True, timeout=WAIT_S)
    assert done.returncode != 0
    server.start()
    assert not lines(server, "looked at before")


def test_damage_found_while_serving_is_said_and_refused_by_the_next_start(make_otad):
    server = make_otad()
    product = Product(server)
    server.stop()
    damage_index(server)
    server.start(until=lambda: server.answers() and server.health() == 1)
    assert lines(server, "is damaged")
    check = server.http("GET", "/health").data["check"]
    assert check["ok"] is False and "damaged" in check["reason"]
    server.ok("PATCH", f"/products/{product.key}", {"name": "a commit that goes well"})
    assert server.http("GET", "/health").data["check"]["ok"] is False
    server.stop()
    said = refused(server)
    assert "damaged" in said and "otad restore" in said


def test_damage_that_a_request_meets_is_refused_by_the_next_start(make_otad):
    """It came after the whole store had been looked at."""
    server = make_otad()
    product = Product(server)
    product.register("d1")
    server.restart()
    wait_until(lambda: len(lines(server, "the store is whole")) == 2)
    damage_index(server)
    assert server.api("GET", f"/devices/{product.key}/d1/timeline").status == 500
    assert server.http("GET", "/health").data["check"]["ok"] is False
    server.stop()
    assert "damaged" in refused(server)


def test_damage_after_a_kill_is_refused(make_otad):
    server = make_otad()
    server.stop()
    damage_index(server)
    (server.data / "otad.unclean").write_text("")
    said = refused(server)
    assert "damaged" in said and f"otad restore -d {server.data}" in said
    assert refused(server).count("otad restore") == 1  # and again, until somebody does


def junk(path):
    path.write_bytes(b"this was a store of otad once " * 2000)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


@pytest.mark.parametrize("damage", [junk, truncate, empty, os.unlink])
def test_what_is_no_store_any_more_is_refused(make_otad, damage):
    server = make_otad()
    server.stop()
    damage(store(server))
    assert "otad restore" in refused(server)


@pytest.mark.parametrize("name", ["secret.key", "signing.pem"])
def test_a_key_that_was_lost_is_not_made_anew(make_otad, name):
    server = make_otad()
    server.stop()
    key = server.data / "keys" / name
    key.rename(server.root / name)
    said = refused(server)
    assert name in said and "otad restore" in said
    assert not key.exists()
    (server.root / name).rename(key)
    server.start()


@pytest.mark.parametrize("sql, word", [("PRAGMA user_version = 999", "newer otad"),
                                       ("PRAGMA application_id = 42", "not a store of otad")])
def test_what_is_not_this_store_is_refused(make_otad, sql, word):
    server = make_otad()
    server.stop()
    script(store(server), sql)
    said = refused(server)
    assert word in said and "otad restore" not in said  # it is whole: nothing to put back


def test_first_start_that_was_killed_before_its_store_was_there(make_otad):
    server = make_otad(start=False)
    server.data.mkdir()
    store(server).touch()
    server.start()
    assert server.ok("GET", "/products")["items"] == []


def test_orphans_of_a_killed_upload_are_swept(make_otad):
    server = make_otad()
    server.stop(signal.SIGINT)
    orphan = server.data / "blobs" / "ab" / ("ab" + "0" * 62)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"x")
    (server.data / "tmp" / "half").write_bytes(b"x")
    server.start()
    assert not orphan.exists() and not list((server.data / "tmp").iterdir())
