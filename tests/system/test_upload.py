"""PUT /firmware: what is stored, what is refused, what is left behind."""
import hashlib
import http.client
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from files import esp_image, mcuboot_image, pattern
from fleet import Product
from harness import SANITIZED, problem, status_kb, wait_until

ARDUINO_PROJECT = "esp32-arduino-lib-builder"


@pytest.fixture
def small(make_otad):
    return make_otad({"max_upload_bytes": 1_000_000})


def put(server, product, data, version="1.2.0", **query):
    query = "".join(f"&{key}={value}" for key, value in query.items())
    stated = f"&version={version}" if version is not None else ""
    return server.api("PUT", f"/firmware?product={product.key}{stated}{query}", body=data)


def firmware_of(server, product):
    return server.pages(f"/firmware?product={product.key}")


def leftovers(server):
    """Files in tmp/, and unnamed ones that are still open."""
    named = [str(p) for p in (server.data / "tmp").rglob("*")]
    open_files = []
    for fd in Path(f"/proc/{server.pid}/fd").iterdir():
        try:
            target = str(fd.readlink())
        except FileNotFoundError:
            continue
        if target.startswith(str(server.data)) and target.endswith("(deleted)"):
            open_files.append(target)
    return named + open_files


def test_a_file_by_curl(otad, product, tmp_path):
    data = pattern(70001)
    (tmp_path / "app.bin").write_bytes(data)
    otad.curl("-f", "-H", f"Authorization: Bearer {otad.token}", "-T", tmp_path / "app.bin",
              otad.url(f"/api/v1/firmware?product={product.key}&version=1.2.0"))
    (row,) = firmware_of(otad, product)
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert row["md5"] == hashlib.md5(data).hexdigest()
    assert (row["size"], row["version"], row["module"]) == (70001, "1.2.0", "default")
    assert otad.api("GET", f"/firmware/{row['id']}").data["sha256"] == row["sha256"]
    assert otad.api("GET", f"/firmware/{row['id']}/file").data == data


@pytest.mark.parametrize("size", [1, 4095, 16384, 65536, 65537, 1_000_003])
def test_sizes(otad, product, size):
    reply = put(otad, product, pattern(size, seed=3))
    assert reply.status == 201
    assert reply.headers["Location"].endswith(f"/firmware/{reply.data['id']}")
    assert reply.data["size"] == size
    assert otad.api("GET", f"/firmware/{reply.data['id']}/file").data == pattern(size, seed=3)


def test_same_again_is_the_same(otad, product):
    first, second = put(otad, product, pattern(1000)), put(otad, product, pattern(1000))
    assert (first.status, second.status) == (201, 200)
    assert first.data["id"] == second.data["id"]
    assert len(firmware_of(otad, product)) == 1


def test_same_version_with_other_bytes_conflicts(otad, product):
    first = put(otad, product, pattern(1000))
    assert put(otad, product, pattern(1001)).status == 409
    (row,) = firmware_of(otad, product)
    assert row["sha256"] == first.data["sha256"]
    assert otad.api("GET", f"/firmware/{row['id']}/file").data == pattern(1000)


def test_one_version_may_have_several_modules(otad, product):
    ids = {put(otad, product, pattern(1000 + i), module=module).data["id"]
           for i, module in enumerate(("default", "MCU", "stm32"))}
    assert len(ids) == 3
    assert {row["module"] for row in firmware_of(otad, product)} == {"default", "MCU", "stm32"}


def test_same_bytes_for_two_products_live_once(otad):
    one, two = Product(otad), Product(otad)
    data = pattern(3333, seed=5)
    first, second = one.upload(data), two.upload(data)
    assert first["id"] != second["id"] and first["sha256"] == second["sha256"]
    blobs = [p for p in (otad.data / "blobs").rglob("*") if p.name == first["sha256"]]
    assert len(blobs) == 1
    assert otad.api("DELETE", f"/firmware/{first['id']}").status in (200, 204)
    assert otad.api("GET", f"/firmware/{second['id']}/file").data == data
    assert otad.api("DELETE", f"/firmware/{second['id']}").status in (200, 204)
    wait_until(lambda: not blobs[0].exists(), what="the end of a file nobody names")


@pytest.mark.parametrize("query, status", [
    ("version=1.0.0", 422),
    ("product=no-such-product&version=1.0.0", (404, 422)),
    ("product={key}", 422),  # an opaque file tells no version
    ("product={key}&version=", 422),
    ("product={key}&version=1.0.0&colour=blue", 422),
    ("product={key}&version=1.0.0&module=../x", 422),
    ("product={key}&version=1.0.0&filename=../../etc/passwd", 422),
    ("product={key}&version=" + "9" * 300, 422),
])
def test_refused_queries(otad, product, query, status):
    reply = otad.api("PUT", "/firmware?" + query.format(key=product.key), body=pattern(100))
    assert reply.status in (status if isinstance(status, tuple) else (status, 400)), reply.data
    problem(reply, reply.status)
    assert firmware_of(otad, product) == []


def test_an_empty_file_is_refused(otad, product):
    assert put(otad, product, b"").status in (400, 422)
    assert firmware_of(otad, product) == []


# ---- images that are read

def test_version_comes_from_the_image(otad, product):
    reply = put(otad, product, esp_image("2.3.4"), version=None)
    assert reply.status == 201, reply.data
    assert reply.data["version"] == "2.3.4"
    assert reply.data["image"]["version"] == "2.3.4"
    assert reply.data["image"]["chip"] == "esp32c3"
    assert reply.data["image"]["project"] == "thermo"


@pytest.mark.parametrize("spoil", ["checksum", "hash", "truncated"])
def test_broken_images_are_refused(otad, product, spoil):
    reply = put(otad, product, esp_image(spoil=spoil))
    assert reply.status == 422
    word = {"truncated": "segment", "hash": "sha-256"}.get(spoil, spoil)
    assert word in reply.data["detail"].lower(), reply.data
    assert firmware_of(otad, product) == []
    assert put(otad, product, esp_image()).status == 201


def test_image_without_appended_hash(otad, product):
    assert put(otad, product, esp_image(hash_appended=False)).status == 201


@pytest.mark.parametrize("cut", [1, 23, 31, 100, 287, 300])
def test_cut_images_are_refused_or_opaque(otad, product, cut):
    """What begins as an image and breaks off is no image; the first byte alone may be anybody's."""
    reply = put(otad, product, esp_image()[:cut])
    assert reply.status in ((201, 422) if cut < 24 else (422,)), reply.data


def test_segment_that_claims_four_gigabytes(otad, product):
    image = bytearray(esp_image())
    struct.pack_into("<I", image, 28, 0xFFFFFFF0)
    assert put(otad, product, bytes(image)).status == 422


def test_only_the_chip_of_the_product(otad):
    product = Product(otad, chip="esp32s3")
    reply = put(otad, product, esp_image(chip_id=5))
    assert reply.status == 422
    assert "esp32c3" in reply.data["detail"] and "esp32s3" in reply.data["detail"]
    assert firmware_of(otad, product) == []
    assert put(otad, product, esp_image(chip_id=9)).status == 201


def test_only_what_fits_the_partition(otad):
    limit = len(esp_image())
    product = Product(otad, max_image_bytes=limit)
    reply = put(otad, product, esp_image(payload=pattern(64)))
    assert reply.status == 422
    assert str(limit) in reply.data["detail"]
    assert firmware_of(otad, product) == []
    assert put(otad, product, esp_image()).status == 201


def test_placeholder_version_yields_to_the_stated_one(otad, product):
    image = esp_image("esp-idf: v4.4.7 38eeba213a", project=ARDUINO_PROJECT)
    assert put(otad, product, image, version=None).status == 422
    reply = put(otad, product, image, version="5.0.1")
    assert reply.status == 201
    assert reply.data["version"] == "5.0.1"
    assert reply.data["image"]["version"] == "esp-idf: v4.4.7 38eeba213a"


def test_stated_version_wins_and_the_images_own_is_shown(otad, product):
    reply = put(otad, product, esp_image("2.3.4"), version="9.9.9")
    assert reply.status == 201
    assert (reply.data["version"], reply.data["image"]["version"]) == ("9.9.9", "2.3.4")


def test_strict_version_makes_disagreement_an_error(otad):
    product = Product(otad, strict_version=True)
    reply = put(otad, product, esp_image("2.3.4"), version="9.9.9")
    assert reply.status == 422
    assert "2.3.4" in reply.data["detail"] and "9.9.9" in reply.data["detail"]
    assert put(otad, product, esp_image("2.3.4"), version="2.3.4").status == 201
    assert put(otad, product, esp_image("2.4.0"), version=None).status == 201


# ---- images of MCUboot

def test_version_of_an_mcuboot_image_by_curl(otad, product, tmp_path):
    (tmp_path / "zephyr.signed.bin").write_bytes(mcuboot_image((1, 2, 3, 4), counter=7))
    otad.curl("-f", "-H", f"Authorization: Bearer {otad.token}", "-T", tmp_path / "zephyr.signed.bin",
              otad.url(f"/api/v1/firmware?product={product.key}"))
    (row,) = firmware_of(otad, product)
    assert row["version"] == "1.2.3+4"
    assert row["image"] == {"kind": "mcuboot", "version": "1.2.3+4", "project": "", "chip": ""}
    assert otad.api("GET", f"/firmware/{row['id']}").data["image"] == row["image"]


@pytest.mark.parametrize("spoil, word", [("hash", "SHA-256"), ("truncated", "the file ends after")])
def test_broken_mcuboot_images_are_refused(otad, product, spoil, word):
    reply = put(otad, product, mcuboot_image(spoil=spoil))
    problem(reply, 422)
    assert word in reply.data["detail"]
    assert firmware_of(otad, product) == []


def test_mcuboot_image_in_a_padded_slot(otad, product):
    image = mcuboot_image()
    slot = image + b"\xff" * (65536 - 16 - len(image)) + bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
    assert put(otad, product, slot, version=None).status == 201
    assert put(otad, product, slot[:-1] + b"\0", version="2.0.0").status == 422


def test_zephyrs_placeholder_yields_to_the_stated_version(otad, product):
    image = mcuboot_image((0, 0, 0, 0))
    assert put(otad, product, image, version=None).status == 422
    reply = put(otad, product, image, version="5.0.1")
    assert (reply.status, reply.data["version"], reply.data["image"]["version"]) == (201, "5.0.1", "0.0.0")


def test_strict_version_holds_for_mcuboot_images(otad):
    product = Product(otad, strict_version=True)
    reply = put(otad, product, mcuboot_image(), version="1.2.3")
    problem(reply, 422)
    assert "1.2.3+4" in reply.data["detail"]
    assert put(otad, product, mcuboot_image(), version="1.2.3%2B4").status == 201


@pytest.mark.parametrize("data, what", [(mcuboot_image(), "an image that names no chip"), (pattern(100), "no image")])
def test_a_product_with_a_chip_wants_an_image_that_names_it(otad, data, what):
    product = Product(otad, chip="esp32s3")
    reply = put(otad, product, data)
    problem(reply, 422)
    assert reply.data["detail"] == f"the file is {what}, product {product.key} takes images for esp32s3"
    assert put(otad, product, data, module="nrf52").status == 201


# ---- size, interruption, memory

def request_head(server, product, *lines):
    return "\r\n".join([
        f"PUT /api/v1/firmware?product={product.key}&version=1.2.0 HTTP/1.1",
        f"Host: localhost:{server.https_port}", f"Authorization: Bearer {server.token}", *lines, "", "",
    ]).encode()


def first_line(sock):
    return sock.makefile("rb").readline().decode()


def test_too_large_is_refused_before_the_body(small):
    product = Product(small)
    with small.raw() as sock:
        sock.sendall(request_head(small, product, "Content-Length: 1000001", "Expect: 100-continue"))
        assert " 413 " in first_line(sock)  # and no "100 Continue" before it
    with small.raw() as sock:
        sock.sendall(request_head(small, product, "Content-Length: 1000000", "Expect: 100-continue"))
        assert " 100 " in first_line(sock)
    wait_until(lambda: leftovers(small) == [])


def test_the_largest_allowed_file_is_taken(small):
    product = Product(small)
    assert put(small, product, pattern(1_000_000)).status == 201
    assert put(small, product, pattern(1_000_001), version="1.2.1").status == 413


def test_too_large_by_curl_sends_no_body(small, tmp_path):
    product = Product(small)
    (tmp_path / "big.bin").write_bytes(pattern(3_000_000))
    done = small.curl("-H", f"Authorization: Bearer {small.token}", "-H", "Expect: 100-continue", "-T",
                      tmp_path / "big.bin", "-o", "/dev/null", "-w", "%{http_code} %{size_upload}",
                      small.url(f"/api/v1/firmware?product={product.key}&version=1.2.0"), check=False)
    assert done.stdout.decode() == "413 0"


def chunked(server, product, chunks):
    connection = server.connection()
    connection.request("PUT", f"/api/v1/firmware?product={product.key}&version=1.2.0", body=iter(chunks),
                       headers={"Authorization": f"Bearer {server.token}"}, encode_chunked=True)
    return connection.getresponse()


def test_upload_without_a_length(otad, product, tmp_path):
    data = pattern(200_003)
    otad.curl("-f", "-H", f"Authorization: Bearer {otad.token}", "-T", "-",
              otad.url(f"/api/v1/firmware?product={product.key}&version=1.2.0"), stdin=data)
    (row,) = firmware_of(otad, product)
    assert row["sha256"] == hashlib.sha256(data).hexdigest()


def test_upload_without_a_length_that_grows_too_large(small):
    product = Product(small)
    try:
        assert chunked(small, product, [pattern(250_000)] * 5).status == 413
    except (ConnectionError, http.client.HTTPException):
        pass  # refused while we were still sending
    assert firmware_of(small, product) == []
    wait_until(lambda: leftovers(small) == [])


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_interrupted_upload_leaves_nothing(make_otad, how):
    server = make_otad()
    product = Product(server)
    sock = server.raw()
    sock.sendall(request_head(server, product, "Content-Length: 1000000"))
    sock.sendall(pattern(300_000))
    wait_until(lambda: leftovers(server) != [], what="the upload under way")
    if how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    wait_until(lambda: leftovers(server) == [], what="the end of the upload's file")
    assert firmware_of(server, product) == []
    assert not [p for p in (server.data / "blobs").rglob("*") if p.is_file()]
    assert put(server, product, pattern(1000)).status == 201


def test_upload_cut_by_a_kill_leaves_nothing(make_otad):
    server = make_otad()
    product = Product(server)
    with server.raw() as sock:
        sock.sendall(request_head(server, product, "Content-Length: 1000000"))
        sock.sendall(pattern(300_000))
        wait_until(lambda: leftovers(server) != [], what="the upload under way")
        server.kill()
    server.start()
    assert leftovers(server) == []
    assert firmware_of(server, product) == []


@pytest.mark.slow
@pytest.mark.skipif(SANITIZED, reason="sanitizers keep memory of their own")
def test_memory_stays_flat(make_otad, tmp_path):
    server = make_otad({"max_upload_bytes": 512 * 1024 * 1024})
    product = Product(server)
    put(server, product, pattern(1_000_000), version="1.0.0")
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        file.write(b"opaque")
        file.truncate(256 * 1024 * 1024)
    before = status_kb(server.pid, "VmHWM")
    server.curl("-f", "-H", f"Authorization: Bearer {server.token}", "-T", big,
                server.url(f"/api/v1/firmware?product={product.key}&version=2.0.0"))
    row = next(r for r in firmware_of(server, product) if r["version"] == "2.0.0")
    assert row["size"] == 256 * 1024 * 1024
    server.curl("-f", "-H", f"Authorization: Bearer {server.token}", "-o", tmp_path / "back.bin",
                server.url(f"/api/v1/firmware/{row['id']}/file"))
    assert subprocess.run(["cmp", big, tmp_path / "back.bin"]).returncode == 0
    assert status_kb(server.pid, "VmHWM") - before < 30_000


def test_uploads_at_the_same_time(otad, product):
    replies = []

    def one(i):
        replies.append((i, put(otad, product, pattern(200_000, seed=i), version=f"1.0.{i}")))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == 8
    for i, reply in replies:
        assert reply.status == 201, reply.data
        assert reply.data["sha256"] == hashlib.sha256(pattern(200_000, seed=i)).hexdigest()


def test_withdrawn_firmware_is_gone(otad, product):
    row = product.upload()
    assert otad.api("DELETE", f"/firmware/{row['id']}").status in (200, 204)
    assert otad.api("GET", f"/firmware/{row['id']}").status == 404
    assert otad.api("GET", f"/firmware/{row['id']}/file").status == 404
    assert product.upload()["id"] > row["id"]  # ids are never used twice


def test_firmware_of_a_running_campaign_stays_unless_forced(otad, product):
    row = product.upload()
    product.register("away")
    campaign = product.campaign(row)
    otad.wait_campaign(campaign, "running")
    assert otad.api("DELETE", f"/firmware/{row['id']}").status == 409
    assert otad.api("DELETE", f"/firmware/{row['id']}?force=1").status in (200, 204)
    assert otad.campaign(campaign)["state"] == "cancelled"
