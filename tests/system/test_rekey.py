"""Another key for the secrets at rest: everything that opened before still opens, wherever it broke off."""
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from fleet import Product
from harness import BUILD, WAIT_S, basic
from session import native

OLD = "the-old-secret-of-some-length"


def rekey(otad):
    return subprocess.run([str(BUILD / "otad"), "-d", str(otad.data), "rekey"], env=otad.env, capture_output=True, text=True,
                          timeout=WAIT_S)


class House:
    """A server with every kind of secret, and a list of what opens."""

    def __init__(self, otad):
        self.otad = otad
        self.keys = otad.data / "keys"
        self.product = Product(otad, enrolment="open", enrolment_secret=OLD + "e")
        new = otad.ok("POST", f"/products/{self.product.key}/enrolment-secret", {"overlap": "7d"})["enrolment_secret"]
        self.product.register("d1", secret=OLD)
        renewed = otad.ok("POST", f"/devices/{self.product.key}/d1/secret", {"overlap": "7d"})["secret"]
        Product(otad, protocol="aws").register("bare")
        self.token = otad.ok("POST", "/tokens", {"name": "t", "role": "viewer"})["token"]
        self.opens = [("d1", OLD), ("d1", renewed), ("d1", OLD + "e"), ("d1", new)]
        self.shuts = [("d1", "no-secret-of-anybody")]
        self.headers = {"Idempotency-Key": "a-key"}
        self.made = otad.ok("POST", "/devices", {"product": self.product.key, "name": "d2"}, headers=self.headers)

    def check(self):
        for name, secret in self.opens + self.shuts:
            right = (name, secret) in self.opens
            proof = basic(f"{self.product.key}/{name}", secret)
            assert self.otad.http("GET", "/api/v1/device/offer", headers=proof).status == (204 if right else 401)
            session = native(self.otad, self.product.key, name, secret).connect()
            assert (session.rc == 0) == right
            if right:
                session.disconnect()
        assert self.otad.api("GET", "/status", token=self.token).status == 200
        assert self.otad.api("GET", "/status").status == 200
        assert sorted(path.name for path in self.keys.glob("secret.key*")) == ["secret.key"]
        assert (self.keys / "secret.key").stat().st_mode & 0o777 == 0o600

    def key(self):
        return (self.keys / "secret.key").read_bytes()


@pytest.fixture
def house(make_otad):
    return House(make_otad())


def test_everything_opens_with_another_key(house):
    otad, before = house.otad, house.key()
    house.check()
    otad.stop()
    keys = {before}
    for _ in range(2):  # the second finds token.key
        done = rekey(otad)
        assert (done.returncode, done.stdout) == (0, "6 secrets are sealed with a new key\n"), done.stderr
        assert house.key() not in keys
        keys.add(house.key())
        otad.start()
        house.check()
        otad.stop()
    (house.keys / "secret.key").write_bytes(before)
    otad.start()
    assert otad.http("GET", "/api/v1/device/offer", headers=basic(f"{house.product.key}/d1", OLD)).status == 401
    otad.stop()
    (house.keys / "secret.key").write_bytes((keys - {before}).pop())
    otad.start()


def test_a_remembered_reply_is_forgotten(house):
    """It was sealed with the old key: better done again than not to be read."""
    house.otad.stop()
    assert rekey(house.otad).returncode == 0
    house.otad.start()
    again = house.otad.api("POST", "/devices", {"product": house.product.key, "name": "d2"}, headers=house.headers)
    assert again.status == 409


def test_not_while_otad_runs(house):
    before = house.key()
    assert rekey(house.otad).returncode == 75
    assert house.key() == before
    house.check()


def test_broken_off_before_the_transaction(house):
    house.otad.stop()
    before = house.key()
    (house.keys / "secret.key.new").write_bytes(bytes(range(32)))
    house.otad.start()
    assert house.key() == before
    house.check()


@pytest.mark.parametrize("replaced", [False, True])
def test_broken_off_after_the_transaction(house, replaced):
    house.otad.stop()
    old, new = house.keys / "old", house.keys / "secret.key.new"
    shutil.copy(house.keys / "secret.key", old)
    assert rekey(house.otad).returncode == 0
    wanted = house.key()
    shutil.copy(house.keys / "secret.key", new)
    if not replaced:
        shutil.move(old, house.keys / "secret.key")
    house.otad.start()
    assert house.key() == wanted
    house.check()


def test_broken_off_and_done_again(house):
    house.otad.stop()
    before = house.key()
    (house.keys / "secret.key.new").write_bytes(bytes(range(32)))
    assert rekey(house.otad).returncode == 0
    assert house.key() not in (before, bytes(range(32)))
    house.otad.start()
    house.check()


def test_killed_at_any_moment(house):
    """Later and later, until it is done before it is killed."""
    otad = house.otad
    otad.ok("POST", "/devices:import", body="product,name,secret\n" + "".join(
        f"{house.product.key},i{i},{OLD}{i}\n" for i in range(2000)), headers={"Content-Type": "text/csv"})
    house.opens += [("i0", OLD + "0"), ("i1999", OLD + "1999")]
    otad.stop()
    pause_s, code = 0.002, None
    while code != 0:
        with subprocess.Popen([str(BUILD / "otad"), "-d", str(otad.data), "rekey"], env=otad.env,
                              stdout=subprocess.DEVNULL) as process:
            time.sleep(pause_s)
            process.send_signal(signal.SIGKILL)
            code = process.wait(WAIT_S)
        assert code in (0, -signal.SIGKILL)
        pause_s *= 2
    otad.start()
    house.check()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can do it for somebody else")
def test_by_root_it_is_for_the_owner_of_the_data_directory(house):
    house.otad.stop()
    before = house.key()
    for path in [house.otad.data, *house.otad.data.rglob("*")]:
        os.chown(path, 54321, 54321)
    done = rekey(house.otad)
    assert done.returncode == 0, done.stderr
    assert house.key() != before
    there = [house.otad.data, *house.otad.data.rglob("*")]
    assert house.keys / "token.key" in there
    assert {(path.stat().st_uid, path.stat().st_gid) for path in there} == {(54321, 54321)}
    for path in there:
        os.chown(path, 0, 0)
    house.otad.start()
    house.check()


def test_the_key_of_another_store(house):
    """Nothing is changed, not even what tokens are looked up with."""
    house.otad.stop()
    (house.keys / "secret.key").rename(house.keys / "mine")
    (house.keys / "secret.key").write_bytes(bytes(32))
    done = rekey(house.otad)
    assert done.returncode == 78 and "another store's" in done.stderr
    (house.keys / "mine").rename(house.keys / "secret.key")
    house.otad.start()
    house.check()


def test_a_secret_that_was_damaged(house):
    """Nothing is changed, and it says whose."""
    house.otad.stop()
    before = house.key()
    with sqlite3.connect(house.otad.data / "otad.db") as db:
        whole, = db.execute("SELECT secret FROM device WHERE name = 'd2'").fetchone()
        db.execute("UPDATE device SET secret = zeroblob(60) WHERE name = 'd2'")
    done = rekey(house.otad)
    assert done.returncode == 78 and f"{house.product.key}/d2" in done.stderr
    assert house.key() == before
    with sqlite3.connect(house.otad.data / "otad.db") as db:
        db.execute("UPDATE device SET secret = ? WHERE name = 'd2'", (whole,))
    house.otad.start()
    house.check()
