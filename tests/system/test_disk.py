"""A disk that is full: what goes on, what is refused, and that all of it recovers when there is room. The data directory is a
small file system in memory. Who may not mount one runs this file once more in a user namespace, where that is allowed."""
import contextlib
import errno
import hashlib
import os
import subprocess
import sys

import pytest

from files import pattern
from fleet import Product
from harness import WAIT_S, basic, problem, wait_until
from test_faults import check_store

DISK = 64 << 20
MIB = 1 << 20
SETTINGS = {"min_free_bytes": 12 * MIB, "ballast_bytes": 4 * MIB}


def mount(folder, size=DISK):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", folder], capture_output=True,
                          check=False)


@pytest.fixture(scope="module")
def can_mount(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mount")
    done = mount(folder, MIB)
    if done.returncode:
        pytest.skip(f"cannot mount a small disk: {done.stderr.decode().splitlines()[0]}")
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def on_small_disk(can_mount, make_otad):
    """Makes servers whose data directory is a disk of its own."""
    with contextlib.ExitStack() as stack:
        def make(**settings):
            server = make_otad(SETTINGS | settings, start=False)
            server.data.mkdir()
            assert mount(server.data).returncode == 0
            stack.callback(subprocess.run, ["umount", "-l", server.data], check=True)
            stack.callback(server.stop)
            return server.start()
        yield make


def fill(server, name="filler", leave=0):
    """To the last block, or but for so many bytes. The folder is not otad's business."""
    path = server.data / name
    with path.open("wb", buffering=0) as file:
        for step in (MIB, 4096):
            with contextlib.suppress(OSError):
                while free(server) >= leave + step:
                    if file.write(bytes(step)) < step:
                        raise OSError(errno.ENOSPC, "full")
    return path


def free(server):
    disk = os.statvfs(server.data)
    return disk.f_bavail * disk.f_frsize


def reason(server):
    """Why the disk is not fine, or None."""
    return server.http("GET", "/health").data["disk"].get("reason")


def new_product(server, numbers=iter(range(1_000_000))):
    return server.api("POST", "/products", {"key": f"new{next(numbers)}", "protocol": "native"})


def until_refused(server):
    """What the file of the log holds already is taken; then nothing is."""
    return wait_until(lambda: (lambda reply: reply if reply.status != 201 else None)(new_product(server)), pause_s=0)


def send_head(server, product, length):
    """The answer to an upload of which nothing but its head is sent."""
    with server.raw() as sock:
        sock.sendall(f"PUT /api/v1/firmware?product={product}&version=9 HTTP/1.1\r\nHost: localhost\r\n"
                     f"Authorization: Bearer {server.token}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
                     .encode())
        return sock.recv(4096)


@pytest.mark.slow
def test_full_disk(on_small_disk):
    server = on_small_disk()
    ballast = server.data / "ballast"
    assert ballast.stat().st_blocks * 512 >= SETTINGS["ballast_bytes"]
    product, data = Product(server), pattern(300_000)
    firmware, spare = product.upload(data), product.upload(pattern(400_000, 1), "0.9.0")
    device = product.device("d1").connect()
    device.inform("1.1.0")
    campaign = product.campaign(firmware)
    offer = device.offer()
    device.progress(offer, percent=10)
    wait_until(lambda: server.executions(campaign)["d1"]["percent"] == 10)

    fillers = [fill(server)]
    wait_until(lambda: not ballast.exists(), what="the ballast's end")
    wait_until(lambda: reason(server), what="a word of the disk")
    assert server.http("GET", "/health").status == 503
    assert "the ballast of 4 MiB is given up" in server.log()
    server.ok("DELETE", f"/firmware/{spare['id']}")
    problem(server.api("PUT", f"/firmware?product={product.key}&version=3", body=pattern(100)), 507, "min_free_bytes")

    fillers.append(fill(server, "filler2"))
    problem(until_refused(server), 507)
    problem(server.api("PUT", f"/firmware?product={product.key}&version=3", body=pattern(100)), 507)
    device.progress(offer, percent=77)  # which the broker acknowledges
    assert "full" in reason(server)
    auth = basic(f"{product.key}/d1", device.secret)
    problem(server.http("GET", "/api/v1/device/offer?version=1.1.1", headers=auth), 507)  # a report by HTTPS
    for _ in range(3):
        assert hashlib.sha256(server.fetch(offer["url"]).data).hexdigest() == firmware["sha256"]
        assert server.executions(campaign)["d1"]["percent"] == 10
        problem(new_product(server), 507)

    for filler in fillers:
        filler.unlink()
    wait_until(lambda: server.executions(campaign)["d1"]["percent"] == 77, what="the report")
    wait_until(server.healthy)
    wait_until(ballast.exists, what="a new ballast")
    assert new_product(server).status == 201
    product.upload(version="4")
    device.update(offer)
    server.wait_campaign(campaign, "completed")
    server.check_counts(campaign)
    device.disconnect()
    server.stop()
    check_store(server)


def test_idle_after_a_full_disk(on_small_disk):
    """Nobody has anything to change: that there is room again is noticed all the same."""
    server = on_small_disk(ballast_bytes=0)
    filler = fill(server)
    until_refused(server)
    store = server.http("GET", "/health").data["store"]
    assert "full" in store["reason"]
    filler.unlink()
    wait_until(server.healthy)
    assert new_product(server).status == 201


def test_start_on_a_full_disk(on_small_disk):
    """It was killed when the disk was full: the ballast is there for the start."""
    server = on_small_disk()
    product = Product(server)
    firmware = product.upload()
    server.stop()
    filler = fill(server)
    server.start(until=server.answers)
    assert not (server.data / "ballast").exists()
    assert server.api("GET", f"/firmware/{firmware['id']}/file").status == 200
    assert reason(server)
    filler.unlink()
    wait_until(server.healthy)


def test_no_start_on_a_full_disk_without_its_ballast(on_small_disk):
    """Of all that makes it refuse, this ends by itself: the service is to try again."""
    server = on_small_disk(ballast_bytes=0)
    server.stop()
    filler = fill(server)
    done = subprocess.run(server.args, env=server.env, cwd=server.root, capture_output=True, text=True, timeout=WAIT_S,
                          check=False)
    assert done.returncode == 75 and "No space left" in done.stderr
    filler.unlink()
    server.start()


def test_uploads_leave_the_floor(on_small_disk):
    server = on_small_disk()
    product = Product(server)
    fill(server, leave=SETTINGS["min_free_bytes"] + 4 * MIB)
    wait_until(lambda: reason(server) is None)
    assert send_head(server, product.key, 8 * MIB).startswith(b"HTTP/1.1 507 ")
    assert send_head(server, product.key, MIB).startswith(b"HTTP/1.1 100 ")
    before = free(server)
    pieces = (pattern(MIB, n) for n in range(5))
    reply = server.api("PUT", f"/firmware?product={product.key}&version=1", body=pieces)  # in chunks, its length unsaid
    problem(reply, 507, "min_free_bytes")
    wait_until(lambda: free(server) >= before - 2 * MIB, what="the room of what was cut")
    assert server.ok("GET", "/firmware")["items"] == []
    product.upload(pattern(MIB))


def test_floor_is_told(on_small_disk):
    server = on_small_disk()
    product = Product(server)
    fill(server, leave=SETTINGS["min_free_bytes"] - 2 * MIB)
    wait_until(lambda: reason(server), what="a word of the disk")
    assert "min_free_bytes" in reason(server) and (server.data / "ballast").exists()
    product.register("d1")  # small things are still taken
    problem(server.api("PUT", f"/firmware?product={product.key}&version=3", body=pattern(100)), 507, "min_free_bytes")


@pytest.mark.slow
def test_in_a_namespace(tmp_path):
    """For who is not root."""
    if os.geteuid() == 0:
        pytest.skip("for ordinary users, who cannot mount: root has run the tests themselves")
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*inside, "mount", "-t", "tmpfs", "none", tmp_path], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    done = subprocess.run([*inside, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp",
                           tmp_path / "inside", __file__], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_backup_leaves_the_room_that_uploads_leave(on_small_disk):
    server = on_small_disk()
    product = Product(server)
    lines = ["product,name,secret"] + [f"{product.key},x{i:06},secret-of-x{i:06}" for i in range(5000)]
    server.ok("POST", "/devices:import", body="\n".join(lines) + "\n", headers={"Content-Type": "text/csv"})
    assert server.api("POST", "/backup").status == 201
    filler = fill(server, leave=SETTINGS["min_free_bytes"] + 4096)
    before = free(server)
    problem(server.api("POST", "/backup"), 507, "min_free_bytes")
    assert "no room for a backup" in server.ok("GET", "/status")["backup"]["problem"]
    assert free(server) > before - MIB and len(server.ok("GET", "/backups")["items"]) == 1
    filler.unlink()
    assert server.api("POST", "/backup").status == 201
