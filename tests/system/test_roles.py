"""Every route asked by everybody: the table comes from otad itself, the rule of who may what stands here."""
import itertools
import json
import re
import subprocess
import urllib.parse

import pytest

from fleet import Product
from harness import BUILD, basic, problem, wait_until
from session import Session, native

# Who may call a route that asks for this role; and a device whose proof is its own.
MAY = {
    "none": {"nobody", "viewer", "uploader", "operator", "admin", "device"},
    "viewer": {"viewer", "uploader", "operator", "admin"},
    "uploader": {"uploader", "admin"},
    "operator": {"operator", "admin"},
    "admin": {"admin"},
    "device": {"device"},
}
OPERATORS = ("viewer", "uploader", "operator", "admin")
BAD = ("garbage", "shorter", "flipped", "expired", "deleted", "impostor")  # who says a wrong word about themselves

ROUTES = [line.split() for line in subprocess.run([str(BUILD / "otad"), "--routes"], check=True, capture_output=True,
                                                  text=True).stdout.splitlines()] if (BUILD / "otad").exists() else []


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class People:
    """Headers of everybody who may come."""

    def __init__(self, otad):
        self.otad = otad
        self.product, self.onenet = Product(otad), Product(otad, protocol="onenet")
        secret = self.product.register("d1")["secret"]
        self.modem = basic(f"{self.onenet.key}/d1", self.onenet.register("d1")["secret"])
        tokens = {role: self.make(role) for role in OPERATORS}
        deleted, expired = self.make("admin"), self.make("admin", expires_in="1s")
        otad.ok("DELETE", f"/tokens/{deleted['id']}")
        text = tokens["admin"]["token"]
        wrong = {
            "garbage": "garbage", "shorter": text[:-1], "flipped": text[:20] + ("A" if text[20] != "A" else "B") + text[21:],
            "expired": expired["token"], "deleted": deleted["token"],
        }
        self.headers = {"nobody": {}, "device": basic(f"{self.product.key}/d1", secret),
                        "impostor": basic(f"{self.product.key}/d1", secret[:-1] + "!"),
                        **{who: bearer(made["token"]) for who, made in tokens.items()},
                        **{who: bearer(token) for who, token in wrong.items()}}
        wait_until(lambda: otad.api("GET", "/tokens", token=expired["token"]).status == 401, what="the expiry")

    def make(self, role, **more):
        return self.otad.ok("POST", "/tokens", {"name": f"a {role}", "role": role, **more})


@pytest.fixture(scope="module")
def people(otad):
    return People(otad)


def target(path, people):
    """Of nothing that is there: who may, changes nothing. OneNET's devices are named by the path."""
    names = {"product": people.onenet.key, "device": "d1"} if path.startswith("/fuse-ota") else {}
    return re.sub(r"\{(\w+)\}", lambda m: names.get(m[1], "999999999"), path)


def ask(people, who, method, path):
    body = None if method in ("GET", "DELETE") else b"{" if method == "PUT" else b""
    headers = people.modem if who == "device" and path.startswith("/fuse-ota") else people.headers[who]
    return people.otad.http(method, target(path, people), body, dict(headers))


def denied(reply):
    """OneNET's devices read a code in a body, whatever the status."""
    if reply.status in (401, 403):
        return True
    code = reply.data.get("code") if isinstance(reply.data, dict) else None
    return reply.status == 200 and isinstance(code, int) and code != 0 and "auth" in reply.data.get("msg", "")


def allowed(who, role, proof):
    if who in BAD:
        return role == "none" and proof == "-"
    return who in MAY[role]


def test_the_table_is_whole():
    assert len(ROUTES) > 50 and all(len(row) == 4 for row in ROUTES)
    assert {role for _, _, role, _ in ROUTES} == set(MAY)
    assert not [path for method, path, role, _ in ROUTES if method != "GET" and role in ("none", "viewer")]


@pytest.mark.parametrize("method, path, role, proof", ROUTES, ids=lambda x: x)
def test_everybody(people, method, path, role, proof):
    may = {who: allowed(who, role, proof) for who in people.headers}
    got = {who: ask(people, who, method, path) for who in people.headers}
    assert {who: not denied(reply) for who, reply in got.items()} == may
    if path.startswith("/fuse-ota"):
        return
    for who, reply in got.items():
        if denied(reply) and who in OPERATORS:
            assert reply.status == 403, who
        elif denied(reply) and who != "device":
            assert reply.status == 401, who
    if not may["garbage"]:
        # one answer, whatever is wrong with a token
        assert len({json.dumps(got[who].data) for who in BAD}) == 1


@pytest.mark.parametrize("method, path, role, proof", [row for row in ROUTES if row[3] == "-" and row[2] != "none"], ids=lambda x: x)
def test_a_device_is_no_operator(people, method, path, role, proof):
    problem(ask(people, "device", method, path), 403)


# ---- a device and what is another's

def test_another_device_is_as_unknown(otad, product):
    """What device 1 is told of device 2 is what it is told of nobody."""
    mine = basic(f"{product.key}/d1", product.register("d1")["secret"])
    product.register("d2")
    for path in ("", "/timeline", "/executions", "/why"):
        other, nobody = (otad.http("GET", f"/api/v1/devices/{product.key}/{name}{path}", headers=mine) for name in ("d2", "nobody"))
        assert (other.status, other.data) == (nobody.status, nobody.data) and other.status == 403
    secret = product.register("d3")["secret"]
    as_other, as_nobody = (otad.http("GET", "/api/v1/device/offer", headers=basic(f"{product.key}/{name}", secret))
                           for name in ("d2", "nobody"))
    assert (as_other.status, as_other.data) == (as_nobody.status, as_nobody.data) and as_other.status == 401


def test_another_product_s_file_is_as_unknown(otad, product):
    other = Product(otad)
    sha256 = other.upload()["sha256"]
    mine = basic(f"{product.key}/d1", product.register("d1")["secret"])
    theirs, nobodys = (otad.http("GET", f"/firmware/{name}", headers=mine) for name in (sha256, "0" * 64))
    assert (theirs.status, theirs.data) == (nobodys.status, nobodys.data) and theirs.status == 401


@pytest.mark.parametrize("field", ["role", "token_hash", "id", "registered_at", "revision", "secret_len", "product", "name"])
def test_no_field_slips_in(otad, product, field):
    product.register("d1")
    before = otad.ok("GET", f"/devices/{product.key}/d1")
    problem(otad.api("PATCH", f"/devices/{product.key}/d1", {field: "admin"}), 422, field)
    assert otad.ok("GET", f"/devices/{product.key}/d1") == before
    if field not in ("role", "name"):
        problem(otad.api("POST", "/tokens", {"name": "x", "role": "viewer", field: "admin"}), 422, field)


# ---- tokens

@pytest.mark.parametrize("name", ["token", "access_token", "Access_Token"])
def test_no_token_in_a_url(otad, name):
    for path in ("/api/v1/devices", "/api/v1/status", "/health", "/api/v1/tokens"):
        for headers in ({}, bearer(otad.token)):
            problem(otad.http("GET", f"{path}?{name}=x", headers=headers), 400, name, "never into a URL")


def test_a_token_of_ours_in_any_url(otad):
    """By whatever name, and where devices call."""
    for path in ("/firmware/x?key=", "/api/v1/device/offer?version=", "/update/p?token=", "/api/v1/devices?product="):
        reply = otad.http("GET", path + otad.token)
        problem(reply, 400, "never into a URL")
        assert otad.token not in json.dumps(reply.data)
    assert otad.http("GET", "/update/p?token=theirs").status == 404


def test_last_use(make_otad):
    otad = make_otad(clock=True)
    made = otad.ok("POST", "/tokens", {"name": "t", "role": "viewer"})
    assert made["last_used_at"] is None

    def used():
        return otad.ok("GET", f"/tokens/{made['id']}")["last_used_at"]
    otad.later("100s")
    assert otad.api("GET", "/status", token=made["token"]).status == 200
    first = used()
    otad.later("100s")
    assert used() == first
    assert otad.api("POST", "/products", {}, token=made["token"]).status == 403
    assert used() > first  # refused, and yet somebody has it
    kept = used()
    otad.restart()
    assert used() == kept
    assert [row["last_used_at"] for row in otad.pages("/tokens") if row["id"] == made["id"]] == [kept]


def test_no_secret_is_told(make_otad):
    """Used rightly and wrongly, at the loudest: neither in the log nor in an answer nor in the command line."""
    otad = make_otad({"log_level": "debug"})
    product = Product(otad, enrolment="open")
    secret = product.register("d1")["secret"]
    token = otad.ok("POST", "/tokens", {"name": "t", "role": "operator"})["token"]
    said = []
    proofs = [bearer(token), bearer(token + "x"), {"Authorization": token}, bearer(f"{token} {token}"), basic("a/b", token),
              basic(f"{product.key}/d1", secret), basic(f"{product.key}/d2", secret), basic(secret, secret), bearer(secret)]
    paths = ["/api/v1/tokens", "/api/v1/devices", f"/api/v1/devices?product={token}", f"/api/v1/{token}", "/api/v1/device/offer",
             "/firmware/" + "0" * 64, f"/update/{product.key}", f"/fuse-ota/{product.key}/d1/version"]
    for (path, proof), method in itertools.product(itertools.product(paths, proofs), ("GET", "POST")):
        said.append(otad.http(method, path, None if method == "GET" else b'{"secret":', dict(proof)))
    otad.api("POST", "/devices", {"product": product.key, "name": "d1", "secret": secret})
    said.append(otad.api("PATCH", f"/devices/{product.key}/d1", {"secret": secret + ":"}))
    commands = [open(f"/proc/{pid}/cmdline", "rb").read() for pid in filter(None, (otad.pid, otad.broker_pid()))]
    otad.stop()
    answers = "".join(repr(reply.data) + str(reply.headers) for reply in said)
    for text in (token, secret, product.enrolment_secret, otad.token):
        assert text not in answers and text not in otad.log()
        assert not any(text.encode() in command for command in commands)
    otad.start()


def test_no_line_is_forged(make_otad):
    """What strangers and operators say of themselves stays in its line, and paints nothing on a terminal."""
    otad = make_otad({"log_level": "debug"})
    product = Product(otad)
    forged = "\n2026-01-01T00:00:00.000Z error forged \x1b[31m"
    for text in (forged, "d1" + forged):
        assert native(otad, product.key, text, "some-secret").connect().rc != 0
        assert Session(otad.mqtt_plain_port, text, text, client_id=text).connect().rc != 0
        otad.http("GET", "/api/v1/device/offer", headers=basic(f"{product.key}/{text}", text))
        problem(otad.api("POST", "/devices", {"product": product.key, "name": text}), 422, "name")
        problem(otad.api("POST", "/tokens", {"name": text, "role": "viewer"}), 422, "name")
        problem(otad.api("PATCH", f"/products/{product.key}", {"name": text}), 422, "name")
        problem(otad.api("GET", f"/devices/{product.key}/{urllib.parse.quote(text)}"), 400)
    otad.stop()
    lines = otad.log().splitlines()
    assert [line for line in lines if not re.match(r"2\d{3}-\d\d-\d\dT[\d:.]+Z (error|warn |info |debug) ", line)] == []
    assert [line for line in lines if "error forged" in line[:40] or "\x1b" in line] == []
    otad.start()
