"""The versions that a firmware installs over: what may be required, and how it is kept and shown."""
import sqlite3
import urllib.parse

import pytest

from files import esp_image, pattern
from fleet import Product
from harness import ROOT, problem


def put(otad, product, requires, version="1.4.0", data=None, **query):
    fields = {"product": product.key, "version": version, "requires": requires, **query}
    query = urllib.parse.urlencode({key: value for key, value in fields.items() if value is not None})
    return otad.api("PUT", f"/firmware?{query}", body=pattern(1000) if data is None else data)


def rows(otad, product):
    return otad.pages(f"/firmware?product={product.key}")


def test_kept_and_shown(otad, product):
    requires = ">=1.0.0 <1.2.0 || 1.3.0-rc1+b"
    made = put(otad, product, requires)
    assert made.status == 201 and made.data["requires"] == requires
    assert otad.ok("GET", f"/firmware/{made.data['id']}")["requires"] == requires
    assert [row["requires"] for row in rows(otad, product)] == [requires]


def test_none_is_null(otad, product):
    row = product.upload()
    assert row["requires"] is None
    assert otad.ok("GET", f"/firmware/{row['id']}")["requires"] is None


def test_in_the_query_as_curl_sends_it(otad, product):
    reply = otad.api("PUT", f"/firmware?product={product.key}&version=1.4.0&requires=%3E%3D1.2.0%20%3C1.3", body=b"x")
    assert reply.status == 201 and reply.data["requires"] == ">=1.2.0 <1.3"


def test_outlives_a_restart(make_otad):
    otad = make_otad()
    product = Product(otad)
    row = product.upload(version="1.4.0", requires="1.3.0")
    otad.stop()
    otad.start()
    assert otad.ok("GET", f"/firmware/{row['id']}")["requires"] == "1.3.0"


def test_firmware_of_a_store_from_before_requires_nothing(make_otad):
    otad = make_otad({"scrub_bytes_per_second": 0}, start=False)  # the file itself is not there
    otad.data.mkdir()
    with sqlite3.connect(otad.data / "otad.db") as db:
        for number, name in ((1, "store"), (2, "protocols")):
            db.executescript((ROOT / f"sql/{number:03}_{name}.sql").read_text())
        db.executescript("PRAGMA application_id = 0x4F544144; PRAGMA user_version = 2")
        db.execute("INSERT INTO product (id, key, name, protocol, enrolment, created_at_ms)"
                   " VALUES (1, 'old', 'old', 'native', 'closed', 1)")
        db.execute("INSERT INTO firmware (product_id, module, version, filename, size, sha256, sha1, md5, signature,"
                   " created_at_ms) VALUES (1, 'default', '1.0', 'a.bin', 1, 'a', 'b', 'c', 'd', 1)")
    db.close()
    otad.start()
    assert [(row["version"], row["requires"]) for row in otad.pages("/firmware?product=old")] == [("1.0", None)]


@pytest.mark.parametrize("requires, words", [
    ("", ("1 to 128",)),
    (" ", ("empty",)),
    ("nightly", ("nightly", "dotted")),
    (">=1.x", ("1.x", "dotted")),
    ("~1.2", ("~", "operator")),
    (">= || 1.0", (">=",)),
    ("1.0 ||", ("||",)),
    ("1." + "1" * 127, ("128",)),
    ("1 " * 200, ("128",)),
])
def test_what_is_no_range(otad, product, requires, words):
    problem(put(otad, product, requires), 422, *words)
    assert put(otad, product, requires).data["field"] == "requires"
    assert rows(otad, product) == []


def test_a_range_of_the_longest(otad, product):
    requires = "1." + "0" * 126
    assert put(otad, product, requires).data["requires"] == requires


@pytest.mark.parametrize("requires", [">=1.5.0", ">=1.4.0", "1.4.0", ">1.4.0", "1.5.0 || >=1.4", ">=1.3 <1.2", "1.2 1.3"])
def test_what_no_older_version_satisfies(otad, product, requires):
    reply = put(otad, product, requires)
    problem(reply, 422, "no version below 1.4.0 satisfies it", "a cycle")
    assert reply.data["field"] == "requires"
    assert reply.data["detail"].startswith(f"firmware 1.4.0 cannot require {requires}: ")
    assert rows(otad, product) == []


@pytest.mark.parametrize("requires", [">=1.3.9", "<2.0", ">=1.4.0-rc1", "!=1.4.0", "1.2 || 1.5", "==v1.0"])
def test_what_an_older_version_satisfies(otad, product, requires):
    assert put(otad, product, requires).status == 201


def test_versions_are_of_the_products_scheme(otad):
    numbers, days = Product(otad, version_scheme="integer"), Product(otad, version_scheme="date")
    problem(put(otad, numbers, ">=1.2", version="9"), 422, "1.2", "integer")
    problem(put(otad, numbers, ">=9", version="9"), 422, "cycle")
    assert put(otad, numbers, ">=9", version="10").status == 201
    assert put(otad, days, ">=2026-11-20", version="20261121").status == 201


def test_a_version_without_order_requires_none(otad, product):
    reply = put(otad, product, ">=1.0", version="nightly")
    problem(reply, 422, "nightly", "dotted")
    assert reply.data["field"] == "requires"
    assert put(otad, product, None, version="nightly").status == 201


def test_below_the_version_that_the_image_tells(otad, product):
    problem(put(otad, product, ">=2.3.4", version=None, data=esp_image("2.3.4")), 422, "firmware 2.3.4 cannot", "cycle")
    assert put(otad, product, ">=2.3.3", version=None, data=esp_image("2.3.4")).status == 201


def test_stored_again(otad, product):
    first = put(otad, product, ">=1.2")
    again = put(otad, product, ">=1.2")
    assert (first.status, again.status) == (201, 200) and again.data == first.data
    other = put(otad, product, ">=1.3")
    problem(other, 409, f"firmware {first.data['id']}", ">=1.2", ">=1.3")
    assert other.data["field"] == "requires"
    problem(put(otad, product, None), 409, ">=1.2", "nothing")
    assert [row["requires"] for row in rows(otad, product)] == [">=1.2"]
    assert otad.api("GET", f"/firmware/{first.data['id']}/file").data == pattern(1000)


def test_requires_later_what_is_stored_without(otad, product):
    assert put(otad, product, None).status == 201
    problem(put(otad, product, ">=1.2"), 409, "nothing", ">=1.2")


def test_a_further_file_takes_none(otad, product):
    row = product.upload(version="1.4.0", requires=">=1.2", filename="a.bin")
    query = urllib.parse.urlencode({"part_of": row["id"], "filename": "b.bin", "requires": ">=1.2"})
    problem(otad.api("PUT", f"/firmware?{query}", body=b"b"), 422, "requires", "part_of")
    made = otad.ok("PUT", f"/firmware?part_of={row['id']}&filename=b.bin", body=b"b")
    assert made["requires"] == ">=1.2" and len(made["files"]) == 2
