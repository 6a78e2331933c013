"""What operators did is written down: who, from where, before and after; by every route, once, and never a secret."""
import csv
import io
import json
import sqlite3
import urllib.parse

import pytest

from files import pattern
from fleet import Product
from harness import basic, problem, wait_until


def lines(otad, **query):
    """Newest first."""
    return otad.ok("GET", "/audit?" + urllib.parse.urlencode(query))["items"]


def last(otad, **query):
    return lines(otad, limit=1, **query)[0]


@pytest.fixture
def operator(otad):
    made = otad.ok("POST", "/tokens", {"name": f"op{Product(otad).key}", "role": "operator"})
    return made


# ---- what a line says

def test_a_patch_says_what_changed(otad, product, operator):
    otad.ok("PATCH", f"/products/{product.key}", {"name": "Kettle", "strict_version": True}, token=operator["token"])
    line = last(otad, who=operator["name"])
    assert line["before"] == {"name": product.key, "strict_version": False}
    assert line["after"] == {"name": "Kettle", "strict_version": True}
    assert (line["method"], line["path"], line["status"]) == ("PATCH", f"/api/v1/products/{product.key}", 200)
    assert (line["token"], line["address"] in ("127.0.0.1", "::1")) == (operator["id"], True)


def test_that_a_secret_was_given_is_told(otad, product):
    """By its name alone."""
    product.register("d1")
    otad.ok("PATCH", f"/devices/{product.key}/d1", {"secret": "a-given-secret", "paused": True})
    line = last(otad)
    assert (line["before"], line["after"]) == ({"paused": False}, {"paused": True, "given": ["secret"]})
    otad.ok("POST", f"/devices/{product.key}/d1/secret", {"secret": "another-given", "overlap": "1d"})
    assert sorted(last(otad)["after"]["given"]) == ["overlap", "secret"]


def test_what_is_made_and_what_is_deleted_is_kept_whole(otad, product):
    made = product.register("d1", tags={"site": "A"})
    line = last(otad)
    assert line["before"] is None and line["status"] == 201
    assert line["after"] == otad.ok("GET", f"/devices/{product.key}/d1") and "secret" in made
    otad.ok("DELETE", f"/devices/{product.key}/d1")
    gone = last(otad)
    assert gone["before"] == line["after"] and gone["after"] is None


def test_an_action_is_about_its_thing(otad, product):
    product.register("d1")
    campaign = product.campaign(product.upload())
    otad.wait_campaign(campaign, "running")
    otad.ok("POST", f"/campaigns/{campaign}/pause", {})
    line = last(otad)
    assert line["path"] == f"/api/v1/campaigns/{campaign}/pause"
    assert (line["before"]["state"], line["after"]["state"]) == ("running", "paused")
    below = lines(otad, path=f"/api/v1/campaigns/{campaign}")
    assert [row["path"] for row in below] == [line["path"]]
    otad.ok("DELETE", f"/devices/{product.key}/d1/quarantine")
    assert last(otad)["path"] == f"/api/v1/devices/{product.key}/d1/quarantine"


def test_an_upload_an_import_a_certificate(otad, product):
    row = product.upload(version="1.3.0")
    line = last(otad)
    assert (line["method"], line["path"]) == ("PUT", "/api/v1/firmware")
    assert {k: line["after"][k] for k in ("id", "product", "version")} == {
        "id": row["id"], "product": product.key, "version": "1.3.0"}
    otad.ok("POST", "/devices:import", body=f"product,name\n{product.key},i1\n{product.key},i2\n",
            headers={"Content-Type": "text/csv"})
    assert last(otad)["after"] == {"created": 2, "updated": 0}
    otad.ok("POST", f"/devices/{product.key}/i1/certificate", {})
    assert last(otad)["path"].endswith("/i1/certificate")
    assert last(otad)["after"]["name"] == "i1"


def test_the_socket_and_the_first_token(otad, product):
    otad.by_socket("PATCH", f"/api/v1/products/{product.key}", "{}")
    line = last(otad)
    assert (line["who"], line["token"], line["address"]) == ("socket", None, None)
    first = otad.pages("/audit?who=otad")
    assert [(row["path"], row["after"]["name"], row["after"]["role"]) for row in first] == [
        ("/api/v1/tokens", "admin.token", "admin")]


# ---- what is an act

def test_what_leaves_no_line(otad, product):
    firmware = product.upload()
    secret = product.register("d1")["secret"]
    before = last(otad)["id"]
    assert otad.api("POST", "/campaigns?dry_run=1", {"firmware": [firmware["id"]]}).status == 200
    assert otad.api("PATCH", f"/products/{product.key}", {"nmae": "x"}).status == 422
    assert otad.api("POST", "/devices", {"product": product.key, "name": "d1"}).status == 409
    assert otad.api("POST", "/devices", {}, token="otad_" + "A" * 43).status == 401
    assert otad.api("POST", "/devices", {}, token="").status == 401
    assert otad.api("GET", f"/products/{product.key}").status == 200
    asked = otad.http("GET", "/api/v1/device/offer?module=default&version=1.0.0", headers=basic(f"{product.key}/d1", secret))
    assert asked.status == 204
    assert last(otad)["id"] == before


def test_a_repeated_post_is_one_act(otad, product):
    headers = {"Idempotency-Key": f"audit-{product.key}"}
    for _ in range(3):
        assert otad.api("POST", "/devices", {"product": product.key, "name": "d1"}, headers=headers).status == 201
    assert len([row for row in lines(otad) if row["after"] and row["after"].get("product") == product.key]) == 1


def test_a_refusal_is_one_line_a_minute(make_otad):
    otad = make_otad(clock=True)
    viewer = otad.ok("POST", "/tokens", {"name": "curious", "role": "viewer"})
    for path in ("/devices", "/products", "/campaigns"):
        assert otad.api("POST", path, {}, token=viewer["token"]).status == 403
    seen = wait_until(lambda: lines(otad, who="curious"), what="the refusal")
    otad.later("61s")
    assert otad.api("GET", "/tokens", token=viewer["token"]).status == 403
    wait_until(lambda: len(lines(otad, who="curious")) == 2, what="the second refusal")
    newest, oldest = lines(otad, who="curious")
    assert oldest == seen[0]
    assert (oldest["method"], oldest["path"], oldest["status"]) == ("POST", "/api/v1/devices", 403)
    assert (newest["method"], newest["path"]) == ("GET", "/api/v1/tokens")


# ---- reading it

def test_pages_and_filters(otad, product):
    for i in range(5):
        product.register(f"d{i}")
    rows = otad.pages("/audit?limit=2&path=/api/v1/devices")
    ids = [row["id"] for row in rows]
    assert ids == sorted(ids, reverse=True) and len(set(ids)) == len(ids)
    mine = [row for row in rows if row["after"] and row["after"].get("product") == product.key]
    assert [row["after"]["name"] for row in mine] == ["d4", "d3", "d2", "d1", "d0"]
    at = mine[2]["at"]
    since = {row["id"] for row in otad.pages(f"/audit?since={at}")}
    until = {row["id"] for row in otad.pages(f"/audit?until={at}")}
    assert mine[2]["id"] in since and mine[2]["id"] not in until
    assert since | until == {row["id"] for row in otad.pages("/audit")} and not since & until
    assert lines(otad, who="nobody") == []
    problem(otad.api("GET", "/audit?since=yesterday"), 422, "since")
    problem(otad.api("GET", "/audit?format=xml"), 422, "format")


def test_export(otad, product):
    """Everything, more than a page of it, oldest first; what a spreadsheet would compute is text."""
    for i in range(70):
        otad.ok("PATCH", f"/products/{product.key}", {"name": f"={i}"})
    otad.ok("POST", "/tokens", {"name": "=cmd|' /C calc'!A0", "role": "operator"})
    rows = list(reversed(otad.pages("/audit")))
    reply = otad.api("GET", "/audit?format=ndjson")
    assert reply.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in reply.data.decode().splitlines()] == rows
    table = list(csv.DictReader(io.StringIO(otad.api("GET", "/audit?format=csv").data.decode(), newline="")))
    assert [int(row["id"]) for row in table] == [row["id"] for row in rows]
    assert json.loads(table[-1]["after"]) == rows[-1]["after"]
    rest = otad.api("GET", f"/audit?format=ndjson&after={rows[-3]['id']}").data.decode().splitlines()
    assert [json.loads(line) for line in rest] == rows[-2:]


def test_a_name_that_is_a_formula(otad):
    made = otad.ok("POST", "/tokens", {"name": "=1+1", "role": "operator"})
    otad.ok("POST", "/products", {"key": "formula", "protocol": "native"}, token=made["token"])
    reply = otad.api("GET", "/audit?format=csv&who=%3D1%2B1")
    assert b",'=1+1," in reply.data


# ---- nobody changes it

def test_append_only(make_otad):
    otad = make_otad()
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert otad.api(method, "/audit").status == 405
    otad.stop()
    with sqlite3.connect(otad.data / "otad.db") as db:
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            db.execute("UPDATE audit SET who = 'nobody'")
    otad.start()


def test_a_line_is_in_the_transaction_of_its_act(make_otad):
    """Where it cannot be written, nothing is done."""
    otad = make_otad()
    otad.stop()
    with sqlite3.connect(otad.data / "otad.db") as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no room'); END")
    otad.start()
    assert otad.api("POST", "/products", {"key": "p", "protocol": "native"}).status >= 400
    assert otad.pages("/products") == []


# ---- and it holds no secret

def test_no_secret_is_in_it(make_otad):
    otad = make_otad()
    product = Product(otad, enrolment="open")
    given = "a-given-secret-of-some-length"
    shown = [product.enrolment_secret, product.register("d1")["secret"], given]
    product.register("d2", secret=given)
    otad.ok("PATCH", f"/devices/{product.key}/d2", {"secret": given + "2"})
    otad.ok("PATCH", f"/products/{product.key}", {"enrolment_secret": given + "3"})
    shown.append(otad.ok("POST", "/tokens", {"name": "t", "role": "admin"}, headers={"Idempotency-Key": "k"})["token"])
    imported = otad.ok("POST", "/devices:import", body=f"product,name,secret\n{product.key},i1,\n{product.key},i2,{given}4\n",
                       headers={"Content-Type": "text/csv"})
    shown += [row["secret"] for row in imported["secrets"]]
    shown += otad.ok("POST", f"/devices/{product.key}/d1/certificate", {})["key"].splitlines()[1:-1]
    shown.append(otad.token)
    product.upload(pattern(4000))
    assert len(shown) > 7 and all(len(text) > 8 for text in shown)
    otad.stop()
    stored = b"".join(path.read_bytes() for path in otad.data.glob("otad.db*"))
    with sqlite3.connect(otad.data / "otad.db") as db:
        table = repr(db.execute("SELECT * FROM audit").fetchall())
    assert product.key in table
    for text in shown:
        assert text not in table and text.encode() not in stored and text not in otad.log()
    otad.start()
