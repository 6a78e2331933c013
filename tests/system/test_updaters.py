"""GET /update/{product}: Arduino's HTTPUpdate and ESPHome, each acted byte for byte as its library does."""
import hashlib
import itertools
import json
import sqlite3

import pytest

from files import DATA, esp_image, pattern
from fleet import Product
from harness import ROOT, basic, problem, wait_until

macs = (f"A0:B1:C2:D3:{i >> 8:02X}:{i & 255:02X}" for i in itertools.count(1))


def plain(mac):
    return mac.replace(":", "").lower()


class Answer:
    def __init__(self, raw):
        head, self.body = raw.split(b"\r\n\r\n", 1)
        self.line, *lines = head.decode().split("\r\n")
        self.status = int(self.line.split()[1])
        self.lines = lines
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


def arduino(otad, product, mac, version=None, *, family="ESP32", mode="sketch", free=1310720, credentials=None, target=None,
            **more):
    """HTTPUpdate::handleUpdate as the cores of ESP32 and ESP8266 have it: HTTP/1.0, and the fields in their order."""
    lines = [f"GET {target or '/update/' + product} HTTP/1.0", f"Host: localhost:{otad.https_port}",
             f"User-Agent: {family}-http-Update", "Connection: close", "Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0"]
    if credentials:
        lines.append(f"Authorization: {basic(*credentials)['Authorization']}")
    fields = {"STA-MAC": mac, "AP-MAC": mac, "free-space": free, "sketch-size": 900000, "chip-size": 4194304,
              "sdk-version": "v5.1.4", "mode": mode, "version": version, **{k.replace("_", "-"): v for k, v in more.items()}}
    lines += ["Cache-Control: no-cache"]
    lines += [f"x-{family}-{name}: {value}" for name, value in fields.items() if value is not None]
    with otad.raw() as sock:
        sock.sendall("\r\n".join(lines + ["", ""]).encode())
        return Answer(b"".join(iter(lambda: sock.recv(65536), b"")))


def public(otad, **fields):
    return Product(otad, public=True, **fields)


def campaign(product, *firmware, **fields):
    """Started, and its executions made."""
    made = product.campaign(*firmware, **fields)
    product.otad.wait_campaign(made, "running")
    return made


# ---- Arduino

@pytest.mark.parametrize("family", ["ESP32", "ESP8266"])
def test_an_update_from_the_first_question_to_success(otad, family):
    product, mac, image = public(otad), next(macs), esp_image("1.2.0", payload=pattern(50_001))
    product.register(mac)
    row = product.upload(image)
    assert arduino(otad, product.key, mac, "1.1.0", family=family).status == 304
    assert otad.module_version(product.key, mac) == "1.1.0"
    made = campaign(product, row)
    answer = arduino(otad, product.key, mac, "1.1.0", family=family)
    assert answer.status == 200
    assert answer.headers["content-length"] == str(len(image))
    assert answer.headers["x-md5"] == hashlib.md5(image).hexdigest()
    assert any(line.startswith("x-MD5: ") for line in answer.lines)
    assert "transfer-encoding" not in answer.headers and "content-encoding" not in answer.headers
    assert answer.headers.get("connection") != "keep-alive"
    assert answer.body == image and answer.body[0] == 0xE9
    assert otad.wait_state(made, mac, "downloaded")["percent"] == 100
    answer = arduino(otad, product.key, mac, "1.2.0", family=family)
    assert (answer.status, answer.body) == (304, b"")
    assert otad.state_of(made, mac) == "succeeded"
    assert otad.wait_campaign(made, "completed")["percent"] == 100


def test_the_download_is_the_progress(otad):
    """What the socket took; a device that goes away in the middle has begun, and gets the same offer again."""
    product, mac, data = public(otad), next(macs), pattern(16_000_001)  # more than sockets hold
    product.register(mac)
    made = campaign(product, product.upload(data))
    with otad.raw() as sock:
        sock.sendall(f"GET /update/{product.key} HTTP/1.0\r\nx-ESP32-STA-MAC: {mac}\r\nx-ESP32-version: 1.0.0\r\n\r\n".encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
        otad.wait_state(made, mac, "downloading")
    answer = arduino(otad, product.key, mac, "1.0.0", free=len(data))
    assert answer.body == data
    row = otad.wait_state(made, mac, "downloaded")
    assert row["attempt"] == 1


def test_modes_are_modules(otad):
    product, mac = public(otad), next(macs)
    product.register(mac)
    program, files = pattern(5000, seed=1), pattern(7000, seed=2)
    made = campaign(product, product.upload(program), product.upload(files, version="7", module="spiffs"))
    assert arduino(otad, product.key, mac, "6", mode="spiffs").status == 304  # the program comes first
    assert arduino(otad, product.key, mac, "1.0.0").body == program
    assert arduino(otad, product.key, mac, "1.2.0").status == 304  # what is due now is not a program
    answer = arduino(otad, product.key, mac, "6", mode="spiffs", free=100)  # which is room for programs
    assert (answer.status, answer.body) == (200, files)
    assert otad.module_version(product.key, mac, "spiffs") == "6"
    assert arduino(otad, product.key, mac, "7", mode="spiffs").status == 304
    assert otad.state_of(made, mac) == "succeeded"


def test_a_question_for_a_version_alone(otad):
    """ESP8266HTTPUpdate::getAvailableVersion: it wants 200 and x-version, and asks for the file later, or not."""
    product, mac, data = public(otad, enrolment="open"), next(macs), pattern(5000)

    def available(version):
        answer = arduino(otad, product.key, mac, version, family="ESP8266", mode="version")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
        (line,) = [line for line in answer.lines if line.startswith("x-version: ")]
        return line.removeprefix("x-version: ")
    assert available("1.0.0") == "1.0.0"
    (device,) = otad.pages(f"/devices?product={product.key}")
    assert [(m["module"], m["version"]) for m in device["modules"]] == [("default", "1.0.0")]
    made = campaign(product, product.upload(data))
    assert available("1.0.0") == "1.2.0"
    assert otad.state_of(made, plain(mac)) == "offered"
    assert arduino(otad, product.key, mac, "1.0.0", family="ESP8266").body == data
    assert available("1.2.0") == "1.2.0" == available(None)
    assert otad.state_of(made, plain(mac)) == "succeeded"


def test_the_query_names_a_module(otad):
    product, mac, data = public(otad), next(macs), pattern(999)
    product.register(mac)
    campaign(product, product.upload(data, module="radio"))
    answer = arduino(otad, product.key, mac, "1", target=f"/update/{product.key}?module=radio")
    assert answer.body == data
    assert otad.module_version(product.key, mac, "radio") == "1"


@pytest.mark.parametrize("upper", [False, True])
def test_the_md5_of_the_program_tells_its_version(otad, upper):
    product, mac = public(otad), next(macs)
    product.register(mac)
    old, new = pattern(4000, seed=3), pattern(4000, seed=4)
    product.upload(old, version="1.1.0")
    made = campaign(product, product.upload(new))

    def md5(data):
        text = hashlib.md5(data).hexdigest()
        return text.upper() if upper else text
    assert arduino(otad, product.key, mac, sketch_md5=md5(old)).body == new
    assert otad.module_version(product.key, mac) == "1.1.0"
    assert arduino(otad, product.key, mac, sketch_md5=md5(new)).status == 304
    assert otad.state_of(made, mac) == "succeeded"
    # of bytes that are not stored: a question, no report; and of the program, whatever the mode
    assert arduino(otad, product.key, mac, sketch_md5=md5(b"x")).status == 304
    assert arduino(otad, product.key, mac, sketch_md5=md5(old), mode="spiffs").status == 304
    assert otad.module_version(product.key, mac) == "1.2.0"
    assert otad.module_version(product.key, mac, "spiffs") is None


def test_no_room_is_the_error_that_the_device_does_not_send(otad):
    product, mac, data = public(otad), next(macs), pattern(5001)
    product.register(mac)
    row = product.upload(data)
    made = campaign(product, row)
    assert arduino(otad, product.key, mac, "1.0.0", free=5000).status == 304
    row_now = otad.executions(made)[mac]
    assert (row_now["state"], row_now["reason"]) == ("failed", "space")
    assert "5001" in row_now["detail"] and "5000" in row_now["detail"]
    made = campaign(product, row)
    assert arduino(otad, product.key, mac, "1.0.0", free=5001).body == data


def test_head_begins_nothing(otad):
    product, mac, data = public(otad), next(macs), pattern(20_001)
    product.register(mac)
    headers = {"x-ESP32-STA-MAC": mac, "x-ESP32-version": "1.0.0"}
    target = f"/update/{product.key}"
    assert otad.http("HEAD", target, headers=headers).status == 304
    made = campaign(product, product.upload(data))
    reply = otad.http("HEAD", target, headers=headers)
    assert (reply.status, reply.headers["Content-Length"], reply.data) == (200, str(len(data)), b"")
    assert reply.headers["x-MD5"] == hashlib.md5(data).hexdigest()
    assert otad.http("HEAD", target, headers={**headers, "x-ESP32-mode": "spiffs"}).status == 304
    assert otad.http("HEAD", target, headers={**headers, "x-ESP32-free-space": "20000"}).status == 304
    assert otad.http("HEAD", f"{target}/manifest.json?device={mac}").status == 200
    assert otad.http("HEAD", f"{target}/default.md5?device={mac}").headers["Content-Length"] == "32"
    assert otad.state_of(made, mac) == "queued"
    assert otad.module_version(product.key, mac) is None
    assert otad.http("GET", target, headers=headers).data == data


def test_ranges_and_entity_tags_hold_here_too(otad):
    """esp_https_ota in parts against the same URL: HEAD, then ranges, the first one ending one past the end."""
    product, mac = public(otad), next(macs)
    product.register(mac)
    made = campaign(product, product.upload(DATA))
    headers, target = {"x-ESP32-STA-MAC": mac, "x-ESP32-version": "1.0.0"}, f"/update/{product.key}"
    whole = otad.http("HEAD", target, headers=headers)
    got = b""
    for first in range(0, len(DATA), 65536):
        reply = otad.http("GET", target, headers={**headers, "Range": f"bytes={first}-{first + 65535}"})
        assert reply.status == 206 and reply.headers["ETag"] == whole.headers["ETag"]
        got += reply.data
    assert got == DATA
    assert otad.wait_state(made, mac, "downloaded")["attempt"] == 1


# ---- who it is

@pytest.mark.parametrize("name, sent", [
    ("a0b1c2d4e501", "A0:B1:C2:D4:E5:01"),
    ("A0-B1-C2-D4-E5-02", "a0:b1:c2:d4:e5:02"),
    ("A0B1.C2D4.E503", "A0B1C2D4E503"),
])
def test_a_mac_address_however_it_is_written(otad, name, sent):
    product = public(otad)
    product.register(name)
    assert arduino(otad, product.key, sent, "3").status == 304
    assert otad.module_version(product.key, name) == "3"


def test_a_chip_without_wi_fi_sends_another_mac_address(otad):
    product, mac, other = public(otad), next(macs), next(macs)
    product.register(mac)
    product.register(other)
    assert arduino(otad, product.key, None, "4", BASE_MAC=mac).status == 304
    assert otad.module_version(product.key, mac) == "4"
    assert arduino(otad, product.key, other, "5", BASE_MAC=mac).status == 304
    assert otad.module_version(product.key, mac) == "4"


def test_an_unknown_device_registers_where_enrolment_is_open(otad):
    product, mac = public(otad, enrolment="open"), next(macs)
    answer = arduino(otad, product.key, mac)
    assert answer.status == 403  # what it runs is what registers it
    assert arduino(otad, product.key, mac, "1.0.0").status == 304
    assert otad.module_version(product.key, plain(mac)) == "1.0.0"
    data = pattern(3001)
    made = campaign(product, product.upload(data))
    assert arduino(otad, product.key, mac, "1.0.0").body == data
    assert arduino(otad, product.key, mac, "1.2.0").status == 304
    assert otad.state_of(made, plain(mac)) == "succeeded"


def test_an_unknown_device_is_refused_where_enrolment_is_closed(otad):
    product, mac = public(otad), next(macs)
    answer = arduino(otad, product.key, mac, "1.0.0")
    assert answer.status == 403 and plain(mac) in json.loads(answer.body)["detail"]
    assert otad.api("GET", f"/devices/{product.key}/{plain(mac)}").status == 404


def test_who_is_switched_off(otad):
    product, mac = public(otad), next(macs)
    product.register(mac)
    campaign(product, product.upload())
    otad.ok("PATCH", f"/devices/{product.key}/{mac}", {"enabled": False})
    assert arduino(otad, product.key, mac, "1.0.0").status == 403
    assert otad.http("GET", f"/update/{product.key}/manifest.json?device={mac}").status == 403
    otad.ok("PATCH", f"/devices/{product.key}/{mac}", {"enabled": True})
    otad.ok("PATCH", f"/products/{product.key}", {"enabled": False})
    assert arduino(otad, product.key, mac, "1.0.0").status == 403
    otad.ok("PATCH", f"/products/{product.key}", {"enabled": True})
    assert arduino(otad, product.key, mac, "1.0.0").status == 200


def test_a_paused_device_is_told_that_nothing_is_due(otad):
    product, mac = public(otad), next(macs)
    product.register(mac, paused=True)
    campaign(product, product.upload())
    assert arduino(otad, product.key, mac, "1.0.0").status == 304


def test_what_cannot_be_read(otad):
    product, mac = public(otad), next(macs)
    product.register(mac)
    assert arduino(otad, "no-such-product", mac, "1").status == 404
    assert arduino(otad, product.key, "A0:B1:C2", "1").status == 422
    assert arduino(otad, product.key, mac, "v" * 65).status == 422
    assert arduino(otad, product.key, mac, "v" * 64).status == 304
    assert arduino(otad, product.key, mac, "1", mode="a/b").status == 422
    assert arduino(otad, product.key, mac, "1", mode="m" * 200).status == 422
    assert arduino(otad, product.key, mac, "1", free="much").status == 304
    assert arduino(otad, product.key, mac, "1", sketch_md5="0" * 31).status == 304
    problem(otad.http("GET", f"/update/{product.key}"), 401, "MAC")
    problem(otad.http("GET", f"/update/{product.key}?device=a/b"), 422, "device")
    problem(otad.http("GET", f"/update/{product.key}?device=stranger&version=1"), 403, "stranger")
    assert otad.http("POST", f"/update/{product.key}").status == 405
    assert otad.http("GET", f"/update/{product.key}/default.sha256").status == 404
    assert otad.http("GET", f"/update/{product.key}/.md5").status == 422


def test_blanks_behind_a_field_are_not_the_version(otad):
    product, mac = public(otad), next(macs)
    product.register(mac)
    assert arduino(otad, product.key, mac, "1.0.0 \t").status == 304
    assert otad.module_version(product.key, mac) == "1.0.0"


def test_a_product_that_is_not_public_wants_the_secret(otad):
    product, mac, data = Product(otad), next(macs), pattern(4001)
    secret = product.register(mac)["secret"]
    campaign(product, product.upload(data))
    refused = arduino(otad, product.key, mac, "1.0.0")
    assert refused.status == 401 and refused.headers["www-authenticate"].startswith("Basic ")
    assert arduino(otad, product.key, mac, "1.0.0", credentials=(f"{product.key}/{mac}", "wrong")).status == 401
    assert otad.module_version(product.key, mac) is None
    assert otad.http("GET", f"/update/{product.key}/manifest.json?device={mac}").status == 401
    assert arduino(otad, product.key, mac, "1.0.0", credentials=(f"{product.key}/{mac}", secret)).body == data


def test_the_proof_counts_and_not_the_mac_address(otad):
    product, mine, other = public(otad), next(macs), next(macs)
    secret = product.register("kitchen")["secret"]
    product.register(mine)
    assert arduino(otad, product.key, other, "5", credentials=(f"{product.key}/kitchen", secret)).status == 304
    assert arduino(otad, product.key, mine, "6", credentials=(f"{product.key}/kitchen", secret),
                   target=f"/update/{product.key}?device={mine}").status == 304
    assert otad.module_version(product.key, "kitchen") == "6"
    assert otad.module_version(product.key, mine) is None
    elsewhere = public(otad)
    assert arduino(otad, elsewhere.key, mine, "7", credentials=(f"{product.key}/kitchen", secret)).status == 403
    token = {"Authorization": f"Bearer {otad.token}"}
    assert otad.http("GET", f"/update/{product.key}?device=kitchen", headers=token).status == 403


def test_the_enrolment_secret_registers(otad):
    product = Product(otad, enrolment="open")
    credentials = (f"{product.key}/attic", product.enrolment_secret)
    assert arduino(otad, product.key, next(macs), "1.0.0", credentials=credentials).status == 304
    assert otad.module_version(product.key, "attic") == "1.0.0"


def test_making_a_product_public_is_said_aloud(otad):
    product = Product(otad)
    words = f"product {product.key} is public now"
    assert words not in otad.log()
    otad.ok("PATCH", f"/products/{product.key}", {"public": True})
    assert otad.log().count(words) == 1
    otad.ok("PATCH", f"/products/{product.key}", {"name": "Lamp"})
    assert otad.log().count(words) == 1
    assert f"product {public(otad).key} is public now" in otad.log()


def test_devices_of_a_store_from_before_are_found_by_their_mac_address(make_otad):
    server, mac = make_otad(start=False), next(macs)
    server.data.mkdir()
    with sqlite3.connect(server.data / "otad.db") as db:
        db.executescript((ROOT / "sql/001_store.sql").read_text())
        db.executescript("PRAGMA application_id = 0x4F544144; PRAGMA user_version = 1")
        db.execute("INSERT INTO product (id, key, name, protocol, enrolment, public, created_at_ms)"
                   " VALUES (1, 'old', 'old', 'native', 'closed', 1, 1)")
        for name in (mac, "kitchen", "A0-B1-C2-D3-E4-F5-06", "a0:b1:c2:d3:e4:g5"):
            db.execute("INSERT INTO device (product_id, name, registered_at_ms) VALUES (1, ?, 1)", (name,))
    db.close()
    server.start()
    assert arduino(server, "old", mac, "1.0.0").status == 304
    assert server.module_version("old", mac) == "1.0.0"
    with sqlite3.connect(f"file:{server.data / 'otad.db'}?mode=ro", uri=True) as db:
        assert dict(db.execute("SELECT name, mac FROM device")) == {
            mac: plain(mac), "kitchen": "", "A0-B1-C2-D3-E4-F5-06": "", "a0:b1:c2:d3:e4:g5": ""}
    db.close()


# ---- ESPHome

class EspHome:
    """update.http_request and ota.http_request: what they make of a manifest, and what they fetch."""

    def __init__(self, otad, source, variant, version):
        self.otad, self.source, self.variant, self.version = otad, source, variant, version

    def check(self):
        """(available, latest_version), with the build remembered."""
        reply = self.otad.fetch(self.source)
        assert reply.status == 200, reply.data
        manifest = reply.data
        assert isinstance(manifest["name"], str) and isinstance(manifest["version"], str)
        build = next(b for b in manifest["builds"] if b["chipFamily"] == self.variant)
        path = build["ota"]["path"]
        self.md5 = build["ota"]["md5"]
        if "http" not in path:
            domain = self.source[:self.source.index("/", 8)]
            path = domain + path if path[0] == "/" else self.source[:self.source.rindex("/") + 1] + path
        self.url = path
        latest = manifest["version"]
        return latest not in ("", self.version), latest

    def perform(self):
        reply = self.otad.fetch(self.url)
        assert reply.status == 200
        assert hashlib.md5(reply.data).hexdigest() == self.md5
        return reply.data


def test_an_update_by_manifest(otad):
    """The version stands in the source, where a substitution puts it when the device is built."""
    product, image = public(otad, name="Lamp"), esp_image("1.2.0", payload=pattern(30_001))
    product.register("kitchen")
    row = product.upload(image)

    def node(version):
        return EspHome(otad, otad.url(f"/update/{product.key}/manifest.json?device=kitchen&version={version}"), "ESP32-C3",
                       version)
    old = node("1.1.0")
    assert old.check() == (False, "1.1.0")
    assert otad.fetch(old.url).status == 401 and old.md5 == "0" * 32  # nor is there anything to be had by force
    made = campaign(product, row)
    assert old.check() == (True, "1.2.0")
    assert old.url.startswith(otad.url("/firmware/")) and "&s=" in old.url
    assert old.check() == (True, "1.2.0")
    assert otad.executions(made)["kitchen"]["attempt"] == 1
    assert old.perform() == image
    assert otad.wait_state(made, "kitchen", "downloaded")["percent"] == 100
    assert node("1.2.0").check() == (False, "1.2.0")
    assert otad.state_of(made, "kitchen") == "succeeded"


def test_the_manifest_as_it_is(otad):
    product, image = public(otad, name="Lamp"), esp_image("1.2.0", chip_id=9)
    product.register("kitchen")
    row = product.upload(image)
    target = f"/update/{product.key}/manifest.json"
    build = {"chipFamily": "ESP32-S3",
             "ota": {"path": f"/firmware/{row['sha256']}", "md5": hashlib.md5(image).hexdigest()}}
    reply = otad.http("GET", target)
    assert reply.headers["Content-Type"] == "application/json" and "Transfer-Encoding" not in reply.headers
    assert reply.data == {"name": "Lamp", "version": "1.2.0", "builds": [build]}
    assert otad.http("GET", build["ota"]["path"]).data == image
    nothing = {"chipFamily": "ESP32-S3", "ota": {"path": f"/update/{product.key}", "md5": "0" * 32}}
    assert otad.http("GET", target + "?device=kitchen").data == {"name": "Lamp", "version": "", "builds": [nothing]}
    assert otad.module_version(product.key, "kitchen") is None  # a question is no report
    assert otad.http("GET", target + "?device=kitchen&version=1.0.0").data["version"] == "1.0.0"
    assert otad.http("GET", target + "?device=kitchen").data["version"] == "1.0.0"
    product.upload(pattern(99), version="1.3.0", delta_from="1.2.0")
    assert otad.http("GET", target).data["version"] == "1.2.0"  # a delta is not for everybody
    product.upload(pattern(99), version="1.1.9")
    assert otad.http("GET", target).data["version"] == "1.1.9"  # the newest upload, not the highest number
    problem(otad.http("GET", target + "?module=radio"), 404, "radio")


@pytest.mark.parametrize("chip_id, family", [(0, "ESP32"), (2, "ESP32-S2"), (5, "ESP32-C3"), (0x14, "ESP32-C61")])
def test_chip_families(otad, chip_id, family):
    product = public(otad)
    product.upload(esp_image("1.0.0", chip_id=chip_id), version="1.0.0")
    assert otad.http("GET", f"/update/{product.key}/manifest.json").data["builds"][0]["chipFamily"] == family


def test_chip_families_of_files_that_do_not_tell(otad):
    product = public(otad)
    product.upload(pattern(99))
    target = f"/update/{product.key}/manifest.json"
    assert otad.http("GET", target).data["builds"][0]["chipFamily"] == "ESP8266"
    otad.ok("PATCH", f"/products/{product.key}", {"chip": "esp32c6"})
    assert otad.http("GET", target).data["builds"][0]["chipFamily"] == "ESP32-C6"


def test_esphome_with_a_secret(otad):
    """Credentials that come with the URL have their slash escaped, and ESPHome sends them as they are."""
    product, data = Product(otad), pattern(6001)
    secret = product.register("kitchen")["secret"]
    campaign(product, product.upload(data))
    headers = basic(f"{product.key}%2Fkitchen", secret)
    md5 = otad.http("GET", f"/update/{product.key}/default.md5?version=1.0.0", headers=headers)
    assert (md5.status, md5.data) == (200, hashlib.md5(data).hexdigest().encode())
    assert md5.headers["Content-Length"] == "32"
    assert otad.http("GET", f"/update/{product.key}", headers=headers).data == data
    manifest = otad.http("GET", f"/update/{product.key}/manifest.json", headers=headers).data
    assert manifest["version"] == "1.2.0"
    assert otad.fetch(manifest["builds"][0]["ota"]["path"]).data == data
    problem(otad.http("GET", f"/update/{product.key}/default.md5?version=1.2.0", headers=headers), 404, "nothing is due")


def test_md5_of_the_newest(otad):
    product, data = public(otad), pattern(6002)
    problem(otad.http("GET", f"/update/{product.key}/default.md5"), 404)
    product.upload(data, module="radio")
    assert otad.http("GET", f"/update/{product.key}/radio.md5").data == hashlib.md5(data).hexdigest().encode()


def test_curl_alone_is_enough(otad, tmp_path):
    product, data = public(otad), pattern(70_001)
    product.register("kitchen")
    made = campaign(product, product.upload(data))
    out = tmp_path / "app.bin"
    url = otad.url(f"/update/{product.key}?device=kitchen&version=")
    done = otad.curl("-0", "-o", out, "-w", "%{http_code} %{size_download}", url + "1.0.0")
    assert done.stdout.decode() == f"200 {len(data)}" and out.read_bytes() == data
    assert otad.curl("-o", out, "-w", "%{http_code}", url + "1.2.0").stdout == b"304"
    assert wait_until(lambda: otad.state_of(made, "kitchen") == "succeeded")
