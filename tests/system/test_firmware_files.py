"""Firmware of several files, and files that devices of a protocol could not take."""
import hashlib
import urllib.parse

import pytest

from files import pattern
from fleet import Product
from harness import basic, problem, wait_until


def add(otad, firmware, filename, data, **query):
    query = urllib.parse.urlencode({"part_of": firmware["id"], "filename": filename, **query})
    return otad.api("PUT", f"/firmware?{query}", body=data)


def bearer(otad):
    return {"Authorization": f"Bearer {otad.token}"}


def blob(otad, data):
    digest = hashlib.sha256(data).hexdigest()
    return otad.data / "blobs" / digest[:2] / digest


def files_of(otad, firmware):
    return otad.ok("GET", f"/firmware/{firmware['id']}")["files"]


@pytest.fixture
def firmware(product):
    """Not yet named by any campaign."""
    return product.upload(filename="a.bin")


def test_one_more_file(otad, product, firmware):
    data = b"the second file of " + product.key.encode()
    made = add(otad, firmware, "b.bin", data)
    assert made.status == 201 and made.headers["Location"] == f"/api/v1/firmware/{firmware['id']}"
    first, second = made.data["files"]
    assert {key: firmware[key] for key in first} == first
    digests = {name: hashlib.new(name, data).hexdigest() for name in ("sha256", "sha1", "md5")}
    assert {key: second[key] for key in digests} == digests
    assert (second["filename"], second["size"]) == ("b.bin", len(data)) and second["signature"]
    assert (made.data["filename"], made.data["sha256"]) == ("a.bin", firmware["sha256"])
    assert files_of(otad, firmware) == made.data["files"]
    assert otad.http("GET", second["url"]).status == 401
    assert otad.http("GET", second["url"], headers=bearer(otad)).data == data
    again = add(otad, firmware, "b.bin", data)
    assert again.status == 200 and again.data == made.data
    problem(add(otad, firmware, "b.bin", data + b"!"), 409, "filename", "b.bin")
    assert len(files_of(otad, firmware)) == 2


def test_its_devices_may_have_every_file(otad, product, firmware):
    data = b"a part of " + product.key.encode()
    url = add(otad, firmware, "b.bin", data).data["files"][1]["url"]
    secret = product.register("d1")["secret"]
    assert otad.http("GET", url, headers=basic(f"{product.key}/d1", secret)).data == data
    other = Product(otad)
    assert otad.http("GET", url, headers=basic(f"{other.key}/d1", other.register("d1")["secret"])).status == 401
    otad.ok("PATCH", f"/products/{product.key}", {"public": True})
    assert otad.http("GET", url).data == data


def test_a_firmware_that_a_campaign_names_stays_as_it_is(otad, product, firmware):
    assert add(otad, firmware, "b.bin", b"b").status == 201
    product.campaign(firmware, draft=True)
    problem(add(otad, firmware, "c.bin", b"of a late one"), 409, str(firmware["id"]))
    assert add(otad, firmware, "b.bin", b"b").status == 200
    assert len(files_of(otad, firmware)) == 2
    wait_until(lambda: not blob(otad, b"of a late one").exists())


def test_twenty_files(otad, firmware):
    for i in range(2, 21):
        assert add(otad, firmware, f"f{i}.bin", b"%d" % i).status == 201
    problem(add(otad, firmware, "f21.bin", b"21"), 409, "20")
    assert [f["filename"] for f in files_of(otad, firmware)] == ["a.bin"] + [f"f{i}.bin" for i in range(2, 21)]


@pytest.mark.parametrize("query, word", [
    ({}, "filename"),
    ({"filename": ""}, "filename"),
    ({"filename": "../b"}, "filename"),
    ({"filename": "b", "version": "1.2.0"}, "version"),
    ({"filename": "b", "module": "default"}, "module"),
    ({"filename": "b", "product": "x"}, "product"),
    ({"filename": "b", "requires": ">=1.0"}, "requires"),
    ({"filename": "b", "part_of": "999999"}, "part_of"),
    ({"filename": "b", "part_of": ""}, "part_of"),
    ({"filename": "b", "part_of": "-1"}, "part_of"),
    ({"filename": "b", "part_of": "x"}, "part_of"),
])
def test_queries_that_are_refused(otad, firmware, query, word):
    query = urllib.parse.urlencode({"part_of": firmware["id"], **query})
    problem(otad.api("PUT", f"/firmware?{query}", body=b"of a refused one"), 422, word)
    wait_until(lambda: not blob(otad, b"of a refused one").exists())


def test_the_bytes_go_with_the_last_firmware_that_has_them(otad, product, firmware):
    shared, own = b"shared " + product.key.encode(), b"own " + product.key.encode()
    other = product.upload(version="1.3.0")
    for to, name, data in ((firmware, "b", shared), (firmware, "c", own), (other, "b", shared)):
        assert add(otad, to, name, data).status == 201
    assert otad.api("DELETE", f"/firmware/{firmware['id']}").status == 204
    wait_until(lambda: not blob(otad, own).exists())
    assert blob(otad, shared).exists()
    problem(add(otad, firmware, "d", b"d"), 422, "part_of")
    assert otad.api("DELETE", f"/firmware/{other['id']}").status == 204
    wait_until(lambda: not blob(otad, shared).exists())


def test_the_start_leaves_further_files_alone(make_otad):
    otad = make_otad()
    product = Product(otad)
    made = add(otad, product.upload(), "b.bin", b"to stay")
    assert made.status == 201
    otad.stop()
    otad.start()
    assert otad.http("GET", made.data["files"][1]["url"], headers=bearer(otad)).data == b"to stay"


# ---- Aliyun: what its devices can take

def test_files_that_are_too_large_for_blocks(otad, tmp_path):
    """The refusal comes while curl still sends."""
    product = Product(otad, protocol="aliyun", transfer="mqtt")
    most = bytes(16 * 1024 * 1024)
    firmware = product.upload(most, version="1.0")
    (tmp_path / "big").write_bytes(most + b"!")

    def upload(query):
        done = otad.curl("-T", tmp_path / "big", "-H", f"Authorization: Bearer {otad.token}", "-w", "%{http_code}",
                         otad.url(f"/api/v1/firmware?{query}"))
        return done.stdout.decode()

    for query in (f"product={product.key}&version=2.0", f"part_of={firmware['id']}&filename=b.bin"):
        answer = upload(query)
        assert answer.endswith("422") and '"field":"size"' in answer and "MQTT" in answer
    otad.ok("PATCH", f"/products/{product.key}", {"transfer": "auto"})
    assert upload(f"product={product.key}&version=2.0").endswith("201")


@pytest.mark.parametrize("query, word", [
    ({"version": 'a"b'}, "version"),
    ({"version": "a\\"}, "version"),
    ({"version": "sign"}, "version"),
    ({"version": "1", "module": "files"}, "module"),
    ({"version": "1", "filename": "url"}, "filename"),
])
def test_texts_that_devices_would_misread(otad, query, word):
    strict, free = Product(otad, protocol="aliyun"), Product(otad)
    for product, status in ((strict, 422), (free, 201)):
        reply = otad.api("PUT", "/firmware?" + urllib.parse.urlencode({"product": product.key, **query}), body=b"x")
        if status == 422:
            problem(reply, 422, word)
        assert reply.status == status
    problem(add(otad, strict.upload(pattern(10)), "md5", b"x"), 422, "filename")
