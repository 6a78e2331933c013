"""Requests that mean harm: each gets its plain no, or is taken for the plain text that it is, and nothing else changes."""
import gzip
import json
import sqlite3
import urllib.parse

import pytest

from fleet import Product
from harness import problem

EVIL_TEXTS = ["x' OR 1=1--", "'); DROP TABLE device;--", "%", "_", "%25%25", "a;b", "$(id)", "`id`", "{{7*7}}", "\\", "../..", "<script>"]


@pytest.fixture(scope="module")
def crowd(otad):
    product = Product(otad)
    for i in range(5):
        product.register(f"d{i}", tags={"site": "A"})
    return product


def quoted(text):
    return urllib.parse.quote(text, safe="")


@pytest.mark.parametrize("text", EVIL_TEXTS)
@pytest.mark.parametrize("query", ["product={}", "tag={}", "tag=site%3D{}", "module={}", "version={}", "seen_after={}"])
def test_filters_are_values_and_never_sql_or_patterns(otad, crowd, query, text):
    reply = otad.api("GET", "/devices?" + query.format(quoted(text)))
    if reply.status == 200:
        assert reply.data["items"] == []
    else:
        problem(reply, 422)
    assert len(otad.pages(f"/devices?product={crowd.key}")) == 5


@pytest.mark.parametrize("query", ["sort=secret%20desc", "q=%25", "product[]=x", "PRODUCT=x", "limit=1%3Bselect", "token=x"])
def test_a_list_takes_no_more_than_its_words(otad, crowd, query):
    assert otad.api("GET", f"/devices?{query}").status in (400, 422)


@pytest.mark.parametrize("path", [f"/devices/{{}}/{quoted(text)}" for text in EVIL_TEXTS] +
                         ["/devices/{}/d0%00", "/devices/{}/d0%0d%0aSet-Cookie:%20a=b", "/devices/{}/d0%0a"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_names_in_a_path_are_names(otad, crowd, method, path):
    reply = otad.api(method, path.format(crowd.key))
    assert reply.status in (400, 404), reply
    assert "Set-Cookie" not in reply.headers
    assert len(otad.pages(f"/devices?product={crowd.key}")) == 5


NAMES = ["", " ", "+", "#", "/", "a/b", "a+b", "a#", "a\nb", "a\tb", "\u001b[31m", "a\u0000b", "n" * 1_000_000, 7, None, True, ["a"],
         {"a": "b"}, -1, 1.5, "\ud7ff\u202e" + "x" * 300, ".." + "/" * 3]


@pytest.mark.parametrize("name", NAMES, ids=lambda n: repr(n)[:20])
@pytest.mark.parametrize("path, body, field", [
    ("/products", {"protocol": "native"}, "key"), ("/devices", {}, "name")])
def test_names_that_are_none_are_refused_and_named(otad, crowd, path, body, field, name):
    own = {"product": crowd.key} if path == "/devices" else {}
    reply = otad.api("POST", path, {**body, **own, field: name})
    if isinstance(name, str) and len(name) > 100_000:
        problem(reply, 413)
    elif name == "a\u0000b":
        assert reply.status in (400, 422)
    else:
        problem(reply, 422, field)


@pytest.mark.parametrize("policy, field", [
    ({"max_attempts": -1}, "max_attempts"), ({"max_attempts": "3"}, "max_attempts"), ({"max_attempts": 1e99}, "max_attempts"),
    ({"rate_per_minute": -5}, "rate_per_minute"), ({"offer_timeout": -1}, "offer_timeout"), ({"offer_timeout": "1y"}, "offer_timeout"),
    ({"stop": {"failed_pct": 50}}, "stop"), ({"allow_downgrade": "yes"}, "allow_downgrade"), ({"nothing": 1}, "nothing")])
def test_policies_out_of_bounds(otad, crowd, policy, field):
    firmware = crowd.upload(version=f"9.{abs(hash(field)) % 1000}.0")
    problem(otad.api("POST", "/campaigns", {"firmware": [firmware["id"]], "policy": policy}), 422, field)


@pytest.mark.parametrize("waves", [[{"percent": -1}], [{"percent": 101}], [{"percent": "50"}], [{"percent": 50}, {"percent": 40}], [{}],
                                   [{"count": 0}, {"percent": 100}], [[]], "all"])
def test_waves_out_of_bounds(otad, crowd, waves):
    firmware = crowd.upload(version="8.0.0")
    problem(otad.api("POST", "/campaigns", {"firmware": [firmware["id"]], "waves": waves}), 422, "wave")


@pytest.mark.parametrize("fields", [{"role": "admin"}, {"token_hash": "00"}, {"id": 7}, {"revision": 99}, {"failures": 0},
                                    {"__proto__": {"enabled": True}}, {"registered_at": "2020-01-01T00:00:00Z"}])
def test_members_that_nobody_may_set(otad, crowd, fields):
    before = otad.ok("GET", f"/devices/{crowd.key}/d0")
    problem(otad.api("PATCH", f"/devices/{crowd.key}/d0", fields), 422, next(iter(fields)))
    assert otad.ok("GET", f"/devices/{crowd.key}/d0") == before


def test_a_body_of_many_small_things_is_too_large(otad):
    problem(otad.api("POST", "/products", body=b"[" + b"{}," * 300_000 + b"{}]", headers={"Content-Type": "application/json"}), 413)


# ---- browsers

def test_a_foreign_page_gets_nothing_out_of_it(otad):
    """No cookies, so nothing to forge; no CORS, so nothing to read; and nothing that a browser would run."""
    for method, path, body in (("GET", "/products", None), ("POST", "/products", b'{"key":"evil","protocol":"native"}'), ("GET", "/none", None)):
        reply = otad.api(method, path, body=body, token="",
                         headers={"Origin": "https://evil.example", "Cookie": f"token={otad.token}", "Content-Type": "text/plain"})
        assert reply.status in (401, 404)
        assert not [h for h in reply.headers if h.lower().startswith("access-control-") or h.lower() == "set-cookie"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
    reply = otad.http("GET", "/api/v1/products", headers={"Authorization": f"Bearer {otad.token}"})
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_a_name_that_is_markup_comes_back_as_data(otad):
    key, markup = "marked", "<script>alert(1)</script>"
    made = otad.ok("POST", "/products", {"key": key, "protocol": "native", "name": markup})
    assert made["name"] == markup
    reply = otad.api("GET", f"/products/{key}")
    assert reply.headers["Content-Type"] == "application/json" and reply.data["name"] == markup


# ---- the log

def test_one_line_stays_one_line(otad, crowd):
    """What comes from outside cannot write lines of its own, nor move a terminal's cursor."""
    forged = "2026-01-01T00:00:00.000Z error the store is gone"
    for name in (f"x\n{forged}", f"x\r{forged}", "x\x1b[2J\x1b[31m", "\u2028" + forged):
        otad.api("POST", "/campaigns", {"name": name, "firmware": [crowd.upload(version="7.0.0")["id"]]})
        otad.http("GET", "/firmware/" + quoted(name))
        otad.http("GET", "/api/v1/" + quoted(name), headers={"User-Agent": "x", "Authorization": "Bearer " + quoted(name)})
        otad.by_socket("POST", "/api/v1/products", json.dumps({"key": "logged", "protocol": name}))
    lines = otad.log().splitlines()
    assert not [line for line in lines if line.startswith(forged)]
    assert not [c for c in otad.log() if ord(c) < 32 and c != "\n"]


# ---- files

def test_what_is_packed_stays_packed(otad):
    """Ten megabytes of zeros in ten kilobytes: stored and served as they came, and nothing is unpacked."""
    bomb = gzip.compress(bytes(10_000_000), mtime=0)
    product = Product(otad, public=True)
    row = product.upload(bomb, filename=f"{product.key}.gz")
    assert row["size"] == len(bomb) < 50_000
    reply = otad.http("GET", f"/firmware/{product.key}.gz", headers={"Accept-Encoding": "gzip"})
    assert reply.data == bomb and "Content-Encoding" not in reply.headers


def test_an_old_tag_gets_no_mix_of_two_releases(otad):
    """A download that broke off goes on with the file of a new release: from the beginning, never in the middle."""
    product = Product(otad, public=True)
    name = f"/firmware/{product.key}.bin"
    product.upload(b"a" * 9000, version="1.0.0", filename=f"{product.key}.bin")
    old = otad.http("GET", name).headers["ETag"]
    product.upload(b"b" * 9000, version="1.1.0", filename=f"{product.key}.bin")
    reply = otad.http("GET", name, headers={"Range": "bytes=5000-", "If-Range": old})
    assert (reply.status, reply.data) == (200, b"b" * 9000)


def test_the_store_is_whole_after_all_of_this(otad):
    with sqlite3.connect(f"file:{otad.data}/otad.db?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert otad.healthy()
