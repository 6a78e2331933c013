"""Backups: made while everything goes on, kept in number, and the drill: all is lost, one is put back, nothing is missing."""
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import threading

import pytest

from files import pattern
from fleet import Device, Product, Refused
from harness import BUILD, WAIT_S, alive, problem, wait_until
from test_start import damage_index, refused, store

EX_DATAERR, EX_NOINPUT, EX_TEMPFAIL = 65, 66, 75  # sysexits.h


@pytest.fixture
def elsewhere(tmp_path):
    """A folder for backups that outlives the data directory."""
    return tmp_path / "backups"


def otad(server, *args, timeout_s=WAIT_S):
    """A command of the program, on this server's data directory and with its settings."""
    return subprocess.run([*server.args, *map(str, args)], env=server.env, cwd=server.root, capture_output=True, text=True,
                          timeout=timeout_s)


def restore(server, *args):
    done = otad(server, "restore", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(server):
    return [item["name"] for item in server.ok("GET", "/backups")["items"]]


def sums_are_right(folder):
    """The manifest's digests, added up by somebody else."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        data = (folder / file["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size"], file["sha256"]), file["path"]
    return {file["path"] for file in manifest["files"]}


# ---- making

def test_a_backup_by_the_api(make_otad, elsewhere):
    server = make_otad({"backup_dir": elsewhere})
    product = Product(server)
    firmware = product.upload()
    assert names(server) == []
    reply = server.api("POST", "/backup")
    assert reply.status == 201
    made = reply.data
    assert server.ok("GET", "/backups")["items"] == [made]
    assert made["ok"] is True and made["missing"] == 0
    folder = elsewhere / made["name"]
    files = sums_are_right(folder)
    sha256 = firmware["sha256"]
    assert {"otad.db", "keys/secret.key", "keys/signing.pem", "certs/ca.key", "admin.token",
            f"blobs/{sha256[:2]}/{sha256}"} <= files
    assert made["files"] == len(files)
    assert made["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()
                                and path.name != "manifest.json")
    assert [path for path in folder.rglob("*") if path.stat().st_mode & 0o077 and path.suffix != ".pem"
            and path.parent.parent.name != "blobs"] == []
    assert folder.stat().st_mode & 0o777 == 0o700
    status = server.ok("GET", "/status")["backup"]
    assert status == {"made_at": made["at"], "failed_at": None, "problem": None}


def test_backups_are_for_who_may(make_otad):
    server = make_otad()
    for role in ("operator", "uploader", "viewer"):
        token = server.ok("POST", "/tokens", {"name": role, "role": role})["token"]
        assert server.api("POST", "/backup", token=token).status == 403
        assert server.api("GET", "/backups", token=token).status == 200
    assert server.api("POST", "/backup", token="").status == server.api("GET", "/backups", token="").status == 401
    problem(server.api("POST", "/backup", {"path": "/etc"}), 413, "no body")


def test_the_oldest_go(make_otad, elsewhere):
    server = make_otad({"backup_dir": elsewhere, "backup_keep": 2})
    made = [server.ok("POST", "/backup")["name"] for _ in range(4)]
    assert names(server) == made[:1:-1]
    assert sorted(os.listdir(elsewhere)) == sorted(made[2:])


def test_writes_and_uploads_go_on_while_a_backup_is_made(make_otad, elsewhere):
    """Each answered write is either in the backup or was answered after it began; none waits for its end."""
    server = make_otad({"backup_dir": elsewhere})
    product = Product(server)
    for i in range(3):
        product.upload(pattern(200_000 + i), version=f"1.{i}.0")
    failures, ended, written = [], threading.Event(), []

    def write():
        try:
            while not ended.is_set():
                written.append(product.register(f"w{len(written):05}")["name"])
                product.upload(pattern(3000 + len(written)), version=f"9.{len(written)}.0")
        except Exception as e:  # pylint: disable=broad-except
            failures.append(e)
    thread = threading.Thread(target=write)
    thread.start()
    wait_until(lambda: len(written) > 5)
    made = []
    for _ in range(3):
        before = list(written)
        made.append((before, server.ok("POST", "/backup")["name"]))
    ended.set()
    thread.join(WAIT_S)
    assert not failures, failures
    server.stop()
    for before, name in made:
        shutil.rmtree(server.data)
        restore(server, elsewhere / name)
        server.start()
        there = {row["name"] for row in server.pages(f"/devices?product={product.key}&limit=1000")}
        assert set(before[:-1]) <= there
        for row in server.pages(f"/firmware?product={product.key}"):
            data = server.api("GET", f"/firmware/{row['id']}/file").data
            assert hashlib.sha256(data).hexdigest() == row["sha256"]
        server.stop()


def test_every_day_by_itself(make_otad):
    server = make_otad({"backup_keep": 2}, clock=True)
    server.later("1h")
    assert names(server) == []
    server.later("24h")
    wait_until(lambda: len(names(server)) == 1)
    server.restart()
    server.later("23h")
    assert len(names(server)) == 1  # a restart makes none
    first = names(server)
    for count in (2, 2):
        server.later("24h")
        wait_until(lambda n=count: len(names(server)) == n and names(server)[:1] != first[:1])
        first = names(server)
    assert server.log().count("backup /") == 3


def test_never_when_it_is_switched_off(make_otad):
    server = make_otad({"backup_every": "0s"}, clock=True)
    server.later("400d")
    server.later("400d")
    assert names(server) == []
    assert "backup /" not in server.log()


def test_a_folder_that_cannot_be_used_is_said_and_tried_again(make_otad, elsewhere):
    elsewhere.write_text("in the way")
    server = make_otad({"backup_dir": elsewhere}, clock=True)
    problem(server.api("POST", "/backup"), 500, str(elsewhere))
    assert str(elsewhere) in server.ok("GET", "/status")["backup"]["problem"]
    assert server.healthy()  # devices do not feel it
    elsewhere.unlink()
    server.later("2h")
    wait_until(lambda: names(server))
    assert server.ok("GET", "/status")["backup"]["problem"] is None


def test_a_killed_backup_is_none(make_otad, elsewhere):
    """Killed somewhere within: what was begun is not listed, and gone with the next start."""
    server = make_otad({"backup_dir": elsewhere})
    product = Product(server)
    lines = ["product,name,secret"] + [f"{product.key},x{i:06},secret-of-x{i:06}" for i in range(20000)]
    server.ok("POST", "/devices:import", body="\n".join(lines) + "\n", headers={"Content-Type": "text/csv"})
    good = server.ok("POST", "/backup")["name"]
    seen = 0
    for _ in range(5):
        caller = threading.Thread(target=lambda: pytest.raises(Exception, server.api, "POST", "/backup"))
        caller.start()
        wait_until(lambda: any(name.startswith(".making") for name in os.listdir(elsewhere)), pause_s=0.001)
        server.kill()
        caller.join(WAIT_S)
        seen += any(name.startswith(".making") for name in os.listdir(elsewhere))
        server.start()
        assert not [name for name in os.listdir(elsewhere) if name.startswith(".")]
        for name in names(server):
            sums_are_right(elsewhere / name)
        assert good in names(server)
    assert seen, "no kill came in the middle"


def stopped_in_a_backup(make_otad, folder):
    """The answers to calls for backups while the server was stopped: what came too late for it has none."""
    server = make_otad({"backup_dir": folder})
    product = Product(server)
    lines = ["product,name,secret"] + [f"{product.key},x{i:06},secret-of-x{i:06}" for i in range(20000)]
    server.ok("POST", "/devices:import", body="\n".join(lines) + "\n", headers={"Content-Type": "text/csv"})
    token, statuses = server.token, []

    def call():
        with contextlib.suppress(OSError, http.client.HTTPException):
            statuses.append(server.api("POST", "/backup", token=token).status)
    callers = [threading.Thread(target=call) for _ in range(6)]
    for caller in callers:
        caller.start()
    wait_until(lambda: folder.exists() and os.listdir(folder), pause_s=0.001)
    server.stop()  # which insists on code 0
    for caller in callers:
        caller.join(WAIT_S)
    return set(statuses)


def test_a_stop_gives_a_backup_up(make_otad, elsewhere):
    """A stop may come between two backups: then another server is stopped."""
    for i in range(10):
        folder = elsewhere.with_name(f"backups{i}")
        statuses = stopped_in_a_backup(make_otad, folder)
        assert statuses <= {201, 503}
        assert not [name for name in os.listdir(folder) if name.startswith(".")]
        if 503 in statuses:
            return
    raise AssertionError("no stop came in the middle of a backup")


# ---- the drill

def test_the_drill(make_otad, elsewhere):
    """Everything is lost but the backup, which was made while devices were at it."""
    server = make_otad({"backup_dir": elsewhere})
    product = Product(server)
    device, other = product.device("d1").connect(), product.device("d2").connect()
    device.inform("1.1.0")
    other.inform("1.1.0")
    firmware = product.upload(pattern(50_000))
    campaign = product.campaign(firmware)
    offer, late = device.offer(), other.offer()
    token = server.ok("POST", "/tokens", {"name": "mine", "role": "admin"})["token"]
    key, ca = server.http("GET", "/api/v1/signing-key").data, server.ca.read_bytes()
    ended = threading.Event()

    def report():
        percent = 0
        while not ended.is_set():
            percent = min(percent + 1, 99)
            device.progress(offer, percent=percent)
    reporter = threading.Thread(target=report)
    reporter.start()
    server.wait_state(campaign, "d1", "downloading")
    made = server.ok("POST", "/backup", token=token)
    ended.set()
    reporter.join(WAIT_S)
    other.update(late)  # after the backup: this is what is lost
    server.wait_state(campaign, "d2", "succeeded")
    device.disconnect()
    other.disconnect()
    broker = server.broker_pid()
    server.kill()
    wait_until(lambda: not alive(broker), what="the broker's end")
    shutil.rmtree(server.data)

    said = restore(server)
    assert made["name"] in said
    server.start()
    assert server.api("GET", "/status", token=token).status == 200
    assert server.http("GET", "/api/v1/signing-key").data == key
    assert server.ca.read_bytes() == ca
    data = server.api("GET", f"/firmware/{firmware['id']}/file").data
    assert hashlib.sha256(data).hexdigest() == firmware["sha256"]
    assert server.state_of(campaign, "d1") == "downloading"
    with pytest.raises(Refused):
        Device(server, product.key, "d1", "not its secret").connect()
    again = Device(server, product.key, "d1", device.secret).connect()
    again.update(again.offer("1.2.0") if server.state_of(campaign, "d1") != "downloading" else offer)
    server.wait_state(campaign, "d1", "succeeded")
    back = Device(server, product.key, "d2", other.secret).connect()
    back.inform("1.2.0")  # what it has, says the next inform
    server.wait_campaign(campaign, "completed")
    server.check_counts(campaign)
    again.disconnect()
    back.disconnect()


def test_a_damaged_store_is_put_back(make_otad):
    """The whole way: damage, the refusal that names the command, the command, a start."""
    server = make_otad()
    product = Product(server)
    product.register("d1")
    name = server.ok("POST", "/backup")["name"]
    product.register("d2")
    server.stop()
    damage_index(server)
    (server.data / "otad.unclean").write_text("")
    assert f"otad restore -d {server.data}" in refused(server)
    damaged = store(server).read_bytes()
    assert name in restore(server)
    (kept,) = server.data.glob("otad.db.before-*")
    assert kept.read_bytes() == damaged
    server.start()
    assert [row["name"] for row in server.pages(f"/devices?product={product.key}")] == ["d1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can restore for somebody else")
def test_restore_by_root_is_for_the_owner_of_the_data_directory(make_otad, elsewhere):
    server = make_otad({"backup_dir": elsewhere})
    Product(server).upload()
    server.ok("POST", "/backup")
    server.stop()
    shutil.rmtree(server.data)
    server.data.mkdir()
    os.chown(server.data, 54321, 54321)
    restore(server)
    there = [path for path in server.data.rglob("*") if path.stat().st_nlink == 1 or path.is_dir()]  # links stay the backup's
    assert len(there) > 10
    assert {(path.stat().st_uid, path.stat().st_gid) for path in there} == {(54321, 54321)}


def test_restore_refuses_while_otad_runs(make_otad):
    server = make_otad()
    server.ok("POST", "/backup")
    done = otad(server, "restore")
    assert done.returncode == EX_TEMPFAIL
    assert "another otad runs" in done.stderr
    assert server.healthy()


def test_restore_passes_over_what_is_not_good(make_otad):
    server = make_otad()
    product = Product(server)
    product.register("d1")
    good, bad = server.ok("POST", "/backup")["name"], server.ok("POST", "/backup")["name"]
    folder = server.data / "backups"
    with (folder / bad / "otad.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 64)
    before = store(server).read_bytes()
    server.stop()
    assert otad(server, "verify", folder / bad).returncode == EX_DATAERR
    assert otad(server, "restore", folder / bad).returncode == EX_DATAERR
    assert otad(server, "verify", folder / good).returncode == 0
    done = otad(server, "verify")
    assert done.returncode == 0 and good in done.stdout and bad in done.stderr
    assert good in restore(server)
    shutil.rmtree(folder)
    done = otad(server, "restore")
    assert done.returncode == EX_NOINPUT and str(folder) in done.stderr
    assert len(before) > 0


def test_a_clock_that_was_ahead_leaves_no_newest_backup(make_otad, elsewhere):
    server = make_otad({"backup_dir": elsewhere, "backup_keep": 2}, clock=True)
    product = Product(server)
    now_ms = server.clock.now_ms
    server.later("400d")
    ahead = {server.ok("POST", "/backup")["name"] for _ in range(2)} | set(names(server))
    server.at(now_ms)
    product.register("d1")
    right = []
    for _ in range(2):
        server.later("1h")
        right.append(server.ok("POST", "/backup")["name"])
    assert set(right) < set(names(server)) and ahead & set(names(server))
    server.stop()
    assert right[-1] in restore(server)
    server.start()
    assert [row["name"] for row in server.pages(f"/devices?product={product.key}")] == ["d1"]


def blobs_begun(data):
    return (data / "blobs").exists()


def store_ready(data):
    return (data / "otad.db.ready").exists()


def store_aside(data):
    return any(name.startswith("otad.db.before") for name in os.listdir(data))


def keys_begun(data):
    return any(name.startswith("signing.pem.before") for name in os.listdir(data / "keys"))


def store_missing(data):
    return not (data / "otad.db").exists()


def kill_restore_when(server, seen):
    """Ends it with the first sight of this; true when it was in the middle."""
    process = subprocess.Popen([*server.args, "restore"], env=server.env, cwd=server.root, stdout=subprocess.DEVNULL)
    while process.poll() is None and not seen(server.data):
        pass
    process.kill()
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("seen", [blobs_begun, store_ready, keys_begun, store_aside, store_missing])
def test_restore_killed_in_the_middle_is_made_good_by_another(make_otad, elsewhere, seen):
    """Where it was killed there is the old store with its keys, or a start that refuses, or the new one."""
    server = make_otad({"backup_dir": elsewhere})
    product = Product(server)
    for i in range(10):
        product.upload(pattern(100_000 + i), version=f"1.{i}.0")
    server.ok("POST", "/backup")
    product.register("later")
    server.stop()
    whole = server.root / "whole"
    shutil.copytree(server.data, whole)
    for _ in range(40):
        shutil.rmtree(server.data)
        shutil.copytree(whole, server.data, ignore=shutil.ignore_patterns("blobs"))
        (server.data / "keys" / "signing.pem").write_text("of another time")
        if kill_restore_when(server, seen):
            break
    else:
        pytest.fail("no kill came in the middle")
    if store_ready(server.data) or not store(server).exists():
        assert "otad restore" in refused(server)
    restore(server)
    assert not list(server.data.rglob("*.restoring")) and not store_ready(server.data)
    server.start()
    assert server.api("GET", f"/devices/{product.key}/later").status == 404
    for row in server.pages(f"/firmware?product={product.key}"):
        data = server.api("GET", f"/firmware/{row['id']}/file").data
        assert hashlib.sha256(data).hexdigest() == row["sha256"]


def test_commands_without_sense_are_refused(tmp_path):
    for args in (["restore", "a", "b"], ["health", "a"]):
        done = subprocess.run([BUILD / "otad", "-d", tmp_path / "data", *args], capture_output=True, text=True, timeout=WAIT_S)
        assert done.returncode == 64 and "restore" in done.stderr
    assert not (tmp_path / "data").exists()
    done = subprocess.run([BUILD / "otad", "-d", tmp_path / "data", "restore", tmp_path / "nothing"], capture_output=True,
                          text=True, timeout=WAIT_S)
    assert done.returncode == EX_NOINPUT and "nothing" in done.stderr
