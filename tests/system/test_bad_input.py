"""What is malformed, unknown, too large or in the wrong place gets a clear error and changes nothing."""
import json

import pytest

from harness import problem


@pytest.mark.parametrize("body", [
    b"", b"{", b"}", b"[]", b"null", b"7", b'"key"', b"{'key':'x'}", b'{"key":"x",}', b'{"key":"x"} {}', b'{"key":"x"}x',
    b'{"key":"x","key":"y","protocol":"native"}', b'{"key":"\xff\xfe"}', b'{"key":"\\ud800"}', b'{"key":"a\\u0000b"}',
    b"\x00", b"\xef\xbb\xbf{}", b"[" * 5000, b'{"key":' * 3000, b'{"key":1e999}', b'{"key":NaN}', b"key=x&protocol=native",
    b'{"key":123456789012345678901234567890}',
])
def test_bad_json(otad, body):
    reply = otad.api("POST", "/products", body=body, headers={"Content-Type": "application/json"})
    assert reply.status in (400, 422), (reply.status, body[:40])
    problem(reply, reply.status)


def test_json_of_curls_default_type_is_taken(otad):
    done = otad.curl("-f", "-H", f"Authorization: Bearer {otad.token}", otad.url("/api/v1/products"), "-d",
                     '{"key":"by-curl","protocol":"native"}')
    assert json.loads(done.stdout)["key"] == "by-curl"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "text/csv"])
def test_other_types_are_not_taken(otad, kind):
    problem(otad.api("POST", "/products", body=b'{"key":"typed","protocol":"native"}', headers={"Content-Type": kind}), 415)
    problem(otad.api("GET", "/products/typed"), 404)


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_types_of_json(otad, kind):
    reply = otad.api("POST", "/products", body=b'{"key":"","protocol":"native"}', headers={"Content-Type": kind})
    problem(reply, 422, "key")


@pytest.mark.parametrize("method, path", [
    ("GET", "/api/v1/nothing"), ("GET", "/api/v1"), ("GET", "/api/v1/"), ("GET", "/api/v2/products"), ("GET", "/"),
    ("GET", "/api/v1/productsx"), ("GET", "/api/v1/products/a/b"), ("GET", "/index.html"), ("POST", "/api/v1/nothing"),
    ("DELETE", "/api/v1/firmware/1/file/x"), ("GET", "/API/V1/products"), ("GET", "/api/v1//products"),
])
def test_unknown_routes(otad, method, path):
    problem(otad.http(method, path, headers={"Authorization": f"Bearer {otad.token}"}), 404)


@pytest.mark.parametrize("method, path, allowed", [
    ("DELETE", "/products", {"GET", "HEAD", "POST"}),
    ("PUT", "/products/x", {"GET", "HEAD", "PATCH", "DELETE"}),
    ("POST", "/firmware", {"GET", "HEAD", "PUT"}),
    ("DELETE", "/campaigns/1/executions", {"GET", "HEAD"}),
    ("GET", "/campaigns/1/start", {"POST"}),
    ("POST", "/status", {"GET", "HEAD"}),
])
def test_wrong_methods(otad, method, path, allowed):
    reply = otad.api(method, path)
    problem(reply, 405)
    assert {m.strip() for m in reply.headers["Allow"].split(",")} == allowed


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "BREW", "get", "X" * 1000])
def test_methods_nobody_has(otad, method):
    reply = otad.api(method, "/products")
    problem(reply, 405)
    assert "GET" in reply.headers["Allow"]


@pytest.mark.parametrize("path", ["/campaigns/x", "/campaigns/-1", "/campaigns/0", "/campaigns/1.5", "/firmware/x",
                                  "/campaigns/99999999999999999999", "/firmware/%31%30%30%30%30%30", "/tokens/x"])
def test_ids_that_are_none(otad, path):
    method = "DELETE" if path.startswith("/tokens") else "GET"
    problem(otad.api(method, path), 404)


def test_oversize_body_is_refused_before_it_is_read(otad):
    with otad.raw() as sock:
        sock.sendall(f"POST /api/v1/products HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {otad.token}\r\n"
                     "Content-Type: application/json\r\nContent-Length: 50000000\r\n"
                     "Expect: 100-continue\r\n\r\n".encode())
        assert b" 413 " in sock.makefile("rb").readline()
    reply = otad.curl("-H", f"Authorization: Bearer {otad.token}", "-H", "Content-Type: application/json",
                      "--data-binary", "@-", "-o", "/dev/null", "-w", "%{http_code}", otad.url("/api/v1/products"),
                      stdin=b"{" + b" " * 5_000_000, check=False)
    assert reply.stdout == b"413"


def test_errors_tell_nothing_of_the_inside(otad):
    reply = otad.api("GET", "/devices?tag=%27%22%3B--")
    assert reply.status in (200, 400, 422)
    assert "sqlite" not in json.dumps(reply.data).lower()


def test_nothing_is_changed_by_bad_input(otad, product):
    product.register("d1", tags={"site": "A"})
    path = f"/devices/{product.key}/d1"
    before = otad.ok("GET", path)
    for body in ({"tags": {"site": "B"}, "colour": 1}, {"tags": {"site": "B"}, "secret": 7}, {"tags": {"site": 1}}):
        assert otad.api("PATCH", path, body).status == 422
    after = otad.ok("GET", path)
    assert after == before
