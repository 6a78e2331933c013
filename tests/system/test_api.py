"""The operators' interface: what each call answers, and what bad input gets."""
import base64
import json
import re
import subprocess
import time

import pytest

from files import pattern
from fleet import Device, Product, Refused
from harness import problem, wait_until


# ---- products

def test_product_life(otad):
    made = otad.api("POST", "/products", {"key": "lamp", "name": "A lamp", "protocol": "native"})
    assert made.status == 201
    assert made.headers["Location"] == "/api/v1/products/lamp"
    assert (made.data["key"], made.data["name"], made.data["protocol"]) == ("lamp", "A lamp", "native")
    assert (made.data["enrolment"], made.data["public"], made.data["strict_version"]) == ("closed", False, False)
    assert made.data["id"]
    got = otad.api("GET", "/products/lamp")
    assert got.status == 200 and got.headers["ETag"]
    assert otad.ok("PATCH", "/products/lamp", {"public": True})["public"] is True
    assert "lamp" in [p["key"] for p in otad.pages("/products")]
    assert otad.api("DELETE", "/products/lamp").status in (200, 204)
    problem(otad.api("GET", "/products/lamp"), 404)


def test_the_name_of_a_product_may_be_left_out(otad):
    made = otad.ok("POST", "/products", {"key": "nameless", "protocol": "native"})
    assert isinstance(made["name"], str)


def test_a_product_key_is_taken_once(otad, product):
    problem(otad.api("POST", "/products", {"key": product.key, "protocol": "native"}), 409, product.key)


def test_urls_with_a_port_are_not_for_aliyuns_link_sdk(otad):
    """Its resolver is asked for "host:port" and fails, on every device."""
    fields = {"key": "sdk", "protocol": "aliyun"}
    problem(otad.api("POST", "/products", {**fields, "transfer": "https"}), 409, "transfer", "public_url", "Link SDK")
    assert otad.api("GET", "/products/sdk").status == 404
    made = otad.ok("POST", "/products", fields)
    assert (made["transfer"], made["sign_method"], made["digest_sign"]) == ("auto", "Md5", False)
    problem(otad.api("PATCH", "/products/sdk", {"transfer": "https"}), 409, "public_url")
    assert otad.ok("PATCH", "/products/sdk", {"transfer": "mqtt", "sign_method": "SHA256"})["transfer"] == "mqtt"
    other = Product(otad, transfer="https")  # a native one, which may become Aliyun's no more
    problem(otad.api("PATCH", f"/products/{other.key}", {"protocol": "aliyun"}), 409, "public_url")


def test_urls_without_a_port_are_for_all(make_otad):
    server = make_otad({"public_url": "https://localhost:443/"})
    made = server.ok("POST", "/products", {"key": "sdk", "protocol": "aliyun", "transfer": "https"})
    assert made["transfer"] == "https"
    server.stop()
    server.settings["public_url"] = "https://localhost:8443"
    server.start()
    assert server.ok("PATCH", "/products/sdk", {"enabled": False})["enabled"] is False
    problem(server.api("POST", "/products", {"key": "b", "protocol": "aliyun", "transfer": "https"}), 409, "8443")


def test_a_product_in_use_is_not_deleted(otad, product):
    product.register("d1")
    problem(otad.api("DELETE", f"/products/{product.key}"), 409)
    assert otad.api("GET", f"/products/{product.key}").status == 200


def test_enrolment_secret_is_shown_once(otad):
    opened = Product(otad, enrolment="open")
    assert len(opened.enrolment_secret) >= 16
    assert not otad.ok("GET", f"/products/{opened.key}").get("enrolment_secret")
    given = Product(otad, enrolment="open", enrolment_secret="a-secret-of-our-own")
    assert given.enrolment_secret == "a-secret-of-our-own"
    assert Product(otad).enrolment_secret is None


@pytest.mark.parametrize("fields, word", [
    ({}, "key"),
    ({"key": "ok1"}, "protocol"),
    ({"key": "", "protocol": "native"}, "key"),
    ({"key": "a/b", "protocol": "native"}, "key"),
    ({"key": "a b", "protocol": "native"}, "key"),
    ({"key": "a+b", "protocol": "native"}, "key"),
    ({"key": "a#", "protocol": "native"}, "key"),
    ({"key": "x" * 400, "protocol": "native"}, "key"),
    ({"key": 7, "protocol": "native"}, "key"),
    ({"key": None, "protocol": "native"}, "key"),
    ({"key": "ok1", "protocol": "pigeon"}, "protocol"),
    ({"key": "ok1", "protocol": "native", "colour": "blue"}, "colour"),
    ({"key": "ok1", "protocol": "native", "enrolment": "ajar"}, "enrolment"),
    ({"key": "ok1", "protocol": "native", "public": "yes"}, "public"),
    ({"key": "ok1", "protocol": "native", "public": 1}, "public"),
    ({"key": "ok1", "protocol": "native", "strict_version": "no"}, "strict_version"),
    ({"key": "ok1", "protocol": "native", "chip": "z80"}, "chip"),
    ({"key": "ok1", "protocol": "native", "max_image_bytes": -1}, "max_image_bytes"),
    ({"key": "ok1", "protocol": "native", "max_image_bytes": 1.5}, "max_image_bytes"),
    ({"key": "ok1", "protocol": "native", "name": ["x"]}, "name"),
])
def test_products_that_are_refused(otad, fields, word):
    problem(otad.api("POST", "/products", fields), 422, word)
    problem(otad.api("GET", "/products/ok1"), 404)


# ---- devices

def test_device_life(otad, product):
    path = f"/devices/{product.key}/d1"
    made = otad.api("POST", "/devices", {"product": product.key, "name": "d1", "tags": {"site": "A"}})
    assert made.status == 201
    assert made.headers["Location"] == "/api/v1" + path
    assert len(made.data["secret"]) >= 16 and made.data["id"]
    got = otad.api("GET", path)
    assert (got.data["product"], got.data["name"], got.data["tags"]) == (product.key, "d1", {"site": "A"})
    assert not got.data.get("secret")
    changed = otad.ok("PATCH", path, {"tags": {"site": "B", "rack": "3"}})
    assert changed["tags"] == {"site": "B", "rack": "3"}
    problem(otad.api("POST", "/devices", {"product": product.key, "name": "d1"}), 409, "d1")
    assert otad.api("DELETE", path).status in (200, 204)
    problem(otad.api("GET", path), 404)


def test_a_given_secret_is_kept(otad, product):
    assert product.register("d1", secret="given-by-the-factory")["secret"] == "given-by-the-factory"
    Device(otad, product.key, "d1", "given-by-the-factory").connect().disconnect()


def test_a_changed_secret_counts(otad, product):
    product.register("d1", secret="the-first-secret")
    otad.ok("PATCH", f"/devices/{product.key}/d1", {"secret": "the-second-secret"})
    with pytest.raises(Refused):
        Device(otad, product.key, "d1", "the-first-secret").connect()
    Device(otad, product.key, "d1", "the-second-secret").connect().disconnect()


def test_device_filters(otad, product):
    for i in range(6):
        product.register(f"d{i}", tags={"site": "AB"[i % 2], "rack": str(i)})
    Product(otad).register("d0", tags={"site": "A"})

    def names(query):
        return [d["name"] for d in otad.pages(f"/devices?product={product.key}{query}")]
    assert names("") == [f"d{i}" for i in range(6)]
    assert names("&tag=site:A") == ["d0", "d2", "d4"]
    assert names("&tag=rack:5") == ["d5"]
    assert names("&tag=site:C") == []


@pytest.mark.parametrize("name", ["007", "a_b.c:d@e-f", "x" * 128, "AA:BB:CC:DD:EE:FF"])
def test_device_names(otad, product, name):
    assert product.register(name)["name"] == name
    assert otad.ok("GET", f"/devices/{product.key}/{name}")["name"] == name


@pytest.mark.parametrize("fields, word", [
    ({}, "product"),
    ({"product": "no-such-product", "name": "d"}, "product"),
    ({"product": "{key}"}, "name"),
    ({"product": "{key}", "name": ""}, "name"),
    ({"product": "{key}", "name": "a/b"}, "name"),
    ({"product": "{key}", "name": "a+"}, "name"),
    ({"product": "{key}", "name": "x" * 129}, "name"),
    ({"product": "{key}", "name": "sch\u00f6n"}, "name"),
    ({"product": "{key}", "name": 7}, "name"),
    ({"product": "{key}", "name": "d", "tags": "site=A"}, "tags"),
    ({"product": "{key}", "name": "d", "tags": {"site": 7}}, "site"),
    ({"product": "{key}", "name": "d", "secret": ""}, "secret"),
    ({"product": "{key}", "name": "d", "secret": "with:colon"}, "secret"),  # Basic divides at the last one
    ({"product": "{key}", "name": "d", "colour": "blue"}, "colour"),
])
def test_devices_that_are_refused(otad, product, fields, word):
    fields = {k: product.key if v == "{key}" else v for k, v in fields.items()}
    reply = otad.api("POST", "/devices", fields)
    assert reply.status in (404, 422)
    problem(reply, reply.status, word)
    assert otad.pages(f"/devices?product={product.key}") == []


def test_import_of_csv(otad, product):
    lines = ["product,name,secret,tag.site,tag.rack"]
    lines += [f'{product.key},c{i},secret-number-{i},"Hall ""{i % 2}"", south",{i}' for i in range(50)]
    reply = otad.api("POST", "/devices:import", body="\r\n".join(lines) + "\r\n", headers={"Content-Type": "text/csv"})
    assert reply.status in (200, 201), reply.data
    assert len(otad.pages(f"/devices?product={product.key}")) == 50
    assert otad.ok("GET", f"/devices/{product.key}/c7")["tags"] == {"site": 'Hall "1", south', "rack": "7"}
    Device(otad, product.key, "c7", "secret-number-7").connect().disconnect()


def test_import_of_ndjson(otad, product):
    lines = [json.dumps({"product": product.key, "name": f"n{i}", "secret": f"secret-number-{i}",
                         "tags": {"site": "A"}}) for i in range(50)]
    reply = otad.api("POST", "/devices:import", body="\n".join(lines),
                     headers={"Content-Type": "application/x-ndjson"})
    assert reply.status in (200, 201), reply.data
    assert len(otad.pages(f"/devices?product={product.key}")) == 50
    Device(otad, product.key, "n49", "secret-number-49").connect().disconnect()


@pytest.mark.parametrize("kind, body, words", [
    ("text/csv", "product,name\n{key},ok\n{key},not/ok\n", ["3", "name"]),
    ("text/csv", "product,name\n{key},ok\nno-such-product,x\n", ["3", "product"]),
    ("text/csv", "product,name,colour\n{key},ok,blue\n", ["colour"]),
    ("text/csv", 'product,name\n{key},"open\n', ["2"]),
    ("text/csv", "name\nok\n", ["product"]),
    ("application/x-ndjson", '{"product":"{key}","name":"ok"}\n{"product":"{key}"\n', ["2"]),
    ("application/x-ndjson", '{"product":"{key}","name":"ok"}\n{"product":"{key}","name":"x","colour":1}', ["2", "colour"]),
    ("application/x-ndjson", '{"product":"{key}","name":"ok"}\n[]', ["2"]),
])
def test_a_bad_line_imports_nothing(otad, product, kind, body, words):
    reply = otad.api("POST", "/devices:import", body=body.replace("{key}", product.key),
                     headers={"Content-Type": kind})
    assert reply.status in (400, 422)
    problem(reply, reply.status, *words)
    assert otad.pages(f"/devices?product={product.key}") == []


def test_timeline(otad, product):
    device = product.device("d1").connect()
    device.inform("1.0.0")
    device.settle()
    device.disconnect()
    lines = otad.pages(f"/devices/{product.key}/d1/timeline")
    assert any("1.0.0" in json.dumps(line) for line in lines)
    problem(otad.api("GET", f"/devices/{product.key}/nobody/timeline"), 404)


# ---- tokens and roles

def make_token(otad, role):
    reply = otad.api("POST", "/tokens", {"name": f"a {role}", "role": role})
    assert reply.status == 201, reply.data
    return reply.data


def test_token_life(otad):
    made = make_token(otad, "viewer")
    secret = made["token"]
    assert otad.api("GET", "/products", token=secret).status == 200
    (row,) = [t for t in otad.pages("/tokens") if t["id"] == made["id"]]
    assert (row["name"], row["role"]) == ("a viewer", "viewer")
    assert secret not in json.dumps(row)
    assert otad.api("DELETE", f"/tokens/{made['id']}").status in (200, 204)
    problem(otad.api("GET", "/products", token=secret), 401)
    for path in otad.data.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert secret not in otad.log()


ROLES = ("viewer", "uploader", "operator", "admin")


@pytest.mark.parametrize("method, path, body, allowed", [
    ("GET", "/products", None, {"viewer", "uploader", "operator", "admin"}),
    ("GET", "/campaigns", None, {"viewer", "uploader", "operator", "admin"}),
    ("PUT", "/firmware?product={key}&version=1.0", b"file of {role}", {"uploader", "admin"}),
    ("POST", "/devices", {"product": "{key}", "name": "by-{role}"}, {"operator", "admin"}),
    ("POST", "/campaigns", {"firmware": [999999]}, {"operator", "admin"}),
    ("GET", "/tokens", None, {"admin"}),
    ("POST", "/tokens", {"name": "x", "role": "viewer"}, {"admin"}),
])
def test_roles(otad, product, method, path, body, allowed):
    for role in ROLES:
        secret = make_token(otad, role)["token"]

        def fill(text):
            return text.replace("{key}", product.key).replace("{role}", role)
        if isinstance(body, dict):
            reply = otad.api(method, fill(path), json.loads(fill(json.dumps(body))), token=secret)
        else:
            reply = otad.api(method, fill(path), body=body and fill(body.decode()).encode(), token=secret)
        assert (reply.status == 403) == (role not in allowed), (role, reply)
        if role not in allowed:
            problem(reply, 403)
        else:
            assert reply.status not in (401, 403)


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer ", "Bearer wrong", "Bearer " + "x" * 500, "Basic d3Jvbmc=",
                                    "Token {token}", "Bearer {token}x", "Bearer {short}"])
def test_missing_and_wrong_tokens(otad, header):
    headers = {}
    if header:
        headers["Authorization"] = header.format(token=otad.token, short=otad.token[:-1])
    for method, path in (("GET", "/products"), ("POST", "/products"), ("DELETE", "/products/x"), ("GET", "/status")):
        reply = otad.http(method, "/api/v1" + path, headers=headers)
        problem(reply, 401)
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")


# ---- pages

def test_pages(otad):
    product = Product(otad)
    for i in range(25):
        product.register(f"d{i:02}")
    path, seen = f"/devices?product={product.key}&limit=10", []
    sizes = []
    while path:
        reply = otad.api("GET", path)
        sizes.append(len(reply.data["items"]))
        seen += [d["name"] for d in reply.data["items"]]
        link = reply.headers["Link"]
        if reply.data.get("next"):
            assert "product=" in link and "limit=10" in link
            path = re.fullmatch(r'<(?:https://[^/>]*)?/api/v1(/[^>]*)>; rel="next"', link).group(1)
        else:
            assert link is None
            path = None
    assert sizes == [10, 10, 5]
    assert seen == [f"d{i:02}" for i in range(25)]


def test_a_page_that_ends_exactly(otad):
    product = Product(otad)
    for i in range(4):
        product.register(f"d{i}")
    page = otad.ok("GET", f"/devices?product={product.key}&limit=4")
    assert len(page["items"]) == 4
    rest = otad.ok("GET", f"/devices?product={product.key}&limit=4&after={page['next']}") if page["next"] else None
    assert rest is None or rest["items"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=many", "limit=1000000", "after=%zz'", "colour=blue",
                                   "limit=1&limit=2x"])
def test_bad_pages(otad, query):
    reply = otad.api("GET", "/devices?" + query)
    assert reply.status in (400, 422), reply
    problem(reply, reply.status)


# ---- editing

def test_if_match(otad, product):
    path = f"/products/{product.key}"
    tag = otad.api("GET", path).headers["ETag"]
    changed = otad.api("PATCH", path, {"name": "first"}, headers={"If-Match": tag})
    assert changed.status == 200
    assert changed.headers["ETag"] not in (None, tag)
    problem(otad.api("PATCH", path, {"name": "second"}, headers={"If-Match": tag}), 412)
    assert otad.ok("GET", path)["name"] == "first"
    assert otad.api("PATCH", path, {"name": "third"}, headers={"If-Match": changed.headers["ETag"]}).status == 200
    assert otad.api("PATCH", path, {"name": "fourth"}).status == 200


def test_if_match_of_devices(otad, product):
    product.register("d1")
    path = f"/devices/{product.key}/d1"
    tag = otad.api("GET", path).headers["ETag"]
    assert otad.api("PATCH", path, {"tags": {"a": "1"}}, headers={"If-Match": tag}).status == 200
    problem(otad.api("PATCH", path, {"tags": {"a": "2"}}, headers={"If-Match": tag}), 412)
    assert otad.ok("GET", path)["tags"] == {"a": "1"}


# ---- idempotency

def test_idempotency_key_replays(otad, product):
    body, key = {"product": product.key, "name": "d1"}, {"Idempotency-Key": f"order-1-{product.key}"}
    first = otad.api("POST", "/devices", body, headers=key)
    again = otad.api("POST", "/devices", body, headers=key)
    assert first.status == again.status == 201
    assert first.data["id"] == again.data["id"]
    assert first.headers["Location"] == again.headers["Location"]
    assert len(otad.pages(f"/devices?product={product.key}")) == 1


def test_idempotency_key_with_another_body_conflicts(otad, product):
    key = {"Idempotency-Key": f"order-2-{product.key}"}
    assert otad.api("POST", "/devices", {"product": product.key, "name": "d1"}, headers=key).status == 201
    reply = otad.api("POST", "/devices", {"product": product.key, "name": "d2"}, headers=key)
    assert reply.status in (409, 422)
    assert [d["name"] for d in otad.pages(f"/devices?product={product.key}")] == ["d1"]


def test_idempotency_key_of_a_campaign(otad, product):
    firmware, key = product.upload(), {"Idempotency-Key": f"order-3-{product.key}"}
    ids = {otad.ok("POST", "/campaigns", {"firmware": [firmware["id"]]}, headers=key)["id"] for _ in range(3)}
    assert len(ids) == 1


def test_idempotency_keys_belong_to_their_caller(otad, product):
    key = {"Idempotency-Key": f"order-4-{product.key}"}
    other = make_token(otad, "operator")["token"]
    assert otad.api("POST", "/devices", {"product": product.key, "name": "d1"}, headers=key).status == 201
    assert otad.api("POST", "/devices", {"product": product.key, "name": "d2"}, headers=key, token=other).status == 201


# ---- the socket, keys, health, status

def test_the_socket_is_admin(otad):
    reply = otad.by_socket("POST", "/api/v1/tokens", json.dumps({"name": "by socket", "role": "operator"}),
                           {"Content-Type": "application/json"})
    assert reply.status == 201
    assert otad.api("GET", "/products", token=reply.data["token"]).status == 200
    done = subprocess.run(["curl", "-fsS", "--unix-socket", otad.data / "otad.sock", "http://localhost/api/v1/tokens"],
                          capture_output=True, check=True)
    assert "by socket" in [t["name"] for t in json.loads(done.stdout)["items"]]
    assert otad.by_socket("GET", "/api/v1/nothing").status == 404


def test_the_signing_key_verifies_firmware(otad, product, tmp_path):
    data = pattern(30_001)
    firmware = product.upload(data)
    key = otad.api("GET", "/signing-key")
    assert key.status == 200
    (tmp_path / "pub.pem").write_bytes(key.data)
    (tmp_path / "s.bin").write_bytes(base64.b64decode(firmware["signature"], validate=True))
    for name, content, ok in (("app.bin", data, True), ("other.bin", data[:-1] + b"x", False)):
        (tmp_path / name).write_bytes(content)
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", tmp_path / "pub.pem", "-signature",
                               tmp_path / "s.bin", tmp_path / name], capture_output=True)
        assert (done.returncode == 0) == ok, done


def test_the_ca_to_pin(otad):
    reply = otad.api("GET", "/ca")
    assert reply.status == 200
    assert reply.data == otad.ca.read_bytes()


def test_health_needs_no_token(otad):
    assert otad.http("GET", "/health").status == 200


def test_status(otad):
    status = otad.ok("GET", "/status")
    text = json.dumps(status)
    version = subprocess.run([otad.args[0], "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    assert version in text
    for word in ("broker", "disk", "certificate"):
        assert word in text, word


def test_status_counts_executions(otad, product):
    product.register("d1")
    campaign = product.campaign(product.upload())
    otad.wait_campaign(campaign, "running")
    assert "queued" in json.dumps(otad.ok("GET", "/status"))


def test_last_seen_is_shown(otad, product):
    began = time.time()
    device = product.device("d1").connect()
    device.inform("1.0.0")
    device.settle()
    seen = wait_until(lambda: otad.ok("GET", f"/devices/{product.key}/d1").get("last_seen_at"), what="last_seen_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", seen)
    assert seen[:13] >= time.strftime("%Y-%m-%dT%H", time.gmtime(began))
    device.disconnect()
