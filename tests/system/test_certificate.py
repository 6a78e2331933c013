"""Certificates of devices: what OpenSSL says of them, whose key they hold, and which requests are refused."""
import json
import subprocess

import pytest

from fleet import Product
from harness import problem

NAME_64 = "n" * 64


def openssl(*args, stdin=None, check=True):
    done = subprocess.run(["openssl", *map(str, args)], input=stdin, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"openssl {args}: {done.stderr}"
    return done


def make_key(path, *options):
    openssl("genpkey", *(options or ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")), "-out", path)
    return path


def make_csr(key, *options):
    return openssl("req", "-new", "-key", key, "-subj", "/CN=admin/O=somebody else", "-addext",
                   "subjectAltName=URI:urn:otad:other/device", "-addext", "basicConstraints=critical,CA:TRUE", *options).stdout


def public(pem, *how):
    return openssl(*how, "-noout", "-pubkey", stdin=pem).stdout


def ask(otad, product, name="d1", **body):
    return otad.api("POST", f"/devices/{product.key}/{name}/certificate", body or None)


@pytest.fixture
def registered(product):
    product.register("d1")
    return product


class Checked:
    """An answer, as files and as OpenSSL prints its certificate."""

    def __init__(self, reply, folder):
        assert reply.status == 201, reply.data
        self.data = reply.data
        self.text = openssl("x509", "-noout", "-text", "-nameopt", "RFC2253", stdin=self.data["certificate"]).stdout
        self.cert, self.ca = folder / "cert.pem", folder / "device-ca.pem"
        self.cert.write_text(self.data["certificate"])
        self.ca.write_text(self.data["device_ca"])

    def verify(self, purpose="sslclient"):
        return openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", self.ca, self.cert, check=False).returncode

    def end(self):
        return openssl("x509", "-noout", "-enddate", "-dateopt", "iso_8601", stdin=self.data["certificate"]).stdout.strip()


@pytest.mark.parametrize("body, bits, usage", [
    ({}, "256 bit", "Digital Signature"), ({"key_type": "ec"}, "256 bit", "Digital Signature"),
    ({"key_type": "rsa"}, "2048 bit", "Digital Signature, Key Encipherment"),
])
def test_a_certificate_with_its_key(otad, registered, tmp_path, body, bits, usage):
    made = Checked(ask(otad, registered, **body), tmp_path)
    assert set(made.data) == {"certificate", "key", "ca", "device_ca", "serial", "not_after"}
    assert made.verify() == 0
    assert made.verify("sslserver") != 0
    assert "Subject: CN=d1\n" in made.text
    assert f"URI:urn:otad:{registered.key}/d1\n" in made.text
    assert "TLS Web Client Authentication\n" in made.text
    assert "CA:FALSE" in made.text
    assert usage + "\n" in made.text
    assert f"Public-Key: ({bits})" in made.text
    assert public(made.data["certificate"], "x509") == openssl("pkey", "-pubout", stdin=made.data["key"]).stdout
    assert made.data["ca"] == otad.ca.read_text()
    assert made.data["device_ca"] == (otad.data / "certs" / "device-ca.pem").read_text()
    serial = openssl("x509", "-noout", "-serial", stdin=made.data["certificate"]).stdout.strip()
    assert serial == "serial=" + made.data["serial"].upper()
    assert made.data["not_after"] == made.end().removeprefix("notAfter=").replace(" ", "T").replace("Z", ".000Z")


def test_the_timeline_has_its_serial_and_not_its_key(otad, registered):
    made = ask(otad, registered, days=10).data
    line = otad.ok("GET", f"/devices/{registered.key}/d1/timeline")["items"][0]
    assert (line["kind"], line["campaign"], line["execution"]) == ("certificate", None, None)
    assert line["text"] == f"serial {made['serial']} until {made['not_after']}, by admin.token"


@pytest.mark.parametrize("options", [
    ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"), ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"),
])
def test_a_request_brings_its_key_and_nothing_else(otad, registered, tmp_path, options):
    csr = make_csr(make_key(tmp_path / "key", *options))
    made = Checked(ask(otad, registered, csr=csr, days=3), tmp_path)
    assert "key" not in made.data
    assert public(made.data["certificate"], "x509") == public(csr, "req")
    assert "Subject: CN=d1\n" in made.text
    assert f"URI:urn:otad:{registered.key}/d1\n" in made.text
    assert "other/device" not in made.text and "somebody" not in made.text and "CA:TRUE" not in made.text
    assert made.verify() == 0


@pytest.mark.parametrize("options", [
    ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"), ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    ("-algorithm", "ED25519"), ("-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"),
    ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"),
])
def test_other_keys_are_refused(otad, registered, tmp_path, options):
    problem(ask(otad, registered, csr=make_csr(make_key(tmp_path / "key", *options))), 422, "csr", "P-256")


def other_signature(tmp_path):
    """One bit of the signature, which ends the request."""
    der = tmp_path / "csr.der"
    make_csr(make_key(tmp_path / "key"), "-outform", "DER", "-out", der)
    data = bytearray(der.read_bytes())
    data[-1] ^= 1
    der.write_bytes(data)
    return openssl("req", "-inform", "DER", "-in", der).stdout


def other_key(tmp_path):
    """The request of one key with the public key of another in its place."""
    both = []
    for name in ("a", "b"):
        key = make_key(tmp_path / name)
        openssl("req", "-new", "-key", key, "-subj", "/CN=x", "-outform", "DER", "-out", tmp_path / f"{name}.csr")
        openssl("pkey", "-in", key, "-pubout", "-outform", "DER", "-out", tmp_path / f"{name}.pub")
        both.append(((tmp_path / f"{name}.csr").read_bytes(), (tmp_path / f"{name}.pub").read_bytes()))
    (csr, mine), (_, theirs) = both
    assert csr.count(mine) == 1
    (tmp_path / "swapped").write_bytes(csr.replace(mine, theirs))
    return openssl("req", "-inform", "DER", "-in", tmp_path / "swapped").stdout


@pytest.mark.parametrize("make", [other_signature, other_key])
def test_a_request_that_its_key_did_not_sign(otad, registered, tmp_path, make):
    problem(ask(otad, registered, csr=make(tmp_path)), 422, "csr", "not signed by the key")
    kinds = [line["kind"] for line in otad.ok("GET", f"/devices/{registered.key}/d1/timeline")["items"]]
    assert kinds == ["registered"]


@pytest.mark.parametrize("spoil", [
    lambda csr: "", lambda csr: "junk", lambda csr: csr[:200], lambda csr: csr.replace("REQUEST", "THING"),
    lambda csr: csr.replace("M", "N", 1), lambda csr: csr.replace("\n", " "),
])
def test_what_is_no_request(otad, registered, tmp_path, spoil):
    csr = make_csr(make_key(tmp_path / "key"))
    problem(ask(otad, registered, csr=spoil(csr)), 422, "csr", "PKCS#10")


@pytest.mark.parametrize("body, field", [
    ({"days": 0}, "days"), ({"days": 7306}, "days"), ({"days": -1}, "days"), ({"days": "30"}, "days"), ({"days": 1.5}, "days"),
    ({"csr": 7}, "csr"), ({"csr": ["x"]}, "csr"), ({"key_type": "dsa"}, "key_type"), ({"key_type": ""}, "key_type"),
    ({"csr": "x", "key_type": "ec"}, "key_type"), ({"subject": "x"}, "subject"),
])
def test_bodies_that_are_refused(otad, registered, body, field):
    problem(ask(otad, registered, **body), 422, field)


def test_a_huge_body(otad, registered):
    path = f"/devices/{registered.key}/d1/certificate"
    problem(otad.api("POST", path, {"csr": "A" * 17000}), 413)
    problem(otad.api("POST", path, {"csr": "A" * 16000}), 422, "csr")


def test_devices_that_are_not_there(otad, registered):
    problem(ask(otad, registered, "d2"), 404, "d2")
    problem(otad.api("POST", "/devices/nothing/d1/certificate"), 404, "nothing")


def test_a_name_must_fit_a_common_name(otad, product, tmp_path):
    product.register(NAME_64)
    product.register(NAME_64 + "x")
    made = Checked(ask(otad, product, NAME_64), tmp_path)
    assert f"Subject: CN={NAME_64}\n" in made.text and made.verify() == 0
    problem(ask(otad, product, NAME_64 + "x"), 422, "name", "65", "64")


def test_never_past_the_device_ca(otad, registered, tmp_path):
    made = Checked(ask(otad, registered, days=7305), tmp_path)
    assert made.end() == openssl("x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", made.ca).stdout.strip()
    assert made.verify() == 0


def test_who_may(otad, registered):
    path = f"/devices/{registered.key}/d1/certificate"
    for role, status in (("viewer", 403), ("uploader", 403), ("operator", 201)):
        token = otad.ok("POST", "/tokens", {"name": f"cert {role}", "role": role})["token"]
        assert otad.api("POST", path, token=token).status == status
    problem(otad.api("POST", path, token=""), 401)


def test_a_repeated_request_gets_another_key_and_the_store_has_none(otad, registered):
    headers = {"Idempotency-Key": f"cert-{registered.key}"}
    path = f"/devices/{registered.key}/d1/certificate"
    first, second = (otad.ok("POST", path, headers=headers) for _ in range(2))
    assert first["serial"] != second["serial"] and first["key"] != second["key"]
    line = first["key"].splitlines()[1].encode()
    for file in otad.data.rglob("*"):
        assert not file.is_file() or line not in file.read_bytes(), file
    assert line.decode() not in otad.log()


def test_many_at_once(otad, registered):
    """More of them than the server has threads, each on a connection of its own, and another write in between."""
    waiting = [otad.connection() for _ in range(8)]
    path = f"/api/v1/devices/{registered.key}/d1/certificate"
    for connection in waiting:
        connection.request("POST", path, json.dumps({"key_type": "rsa"}),
                           {"Authorization": f"Bearer {otad.token}", "Content-Type": "application/json"})
    registered.register("d2")
    answers = [connection.getresponse() for connection in waiting]
    serials = {json.loads(answer.read())["serial"] for answer in answers}
    assert [answer.status for answer in answers] == [201] * 8 and len(serials) == 8


# ---- lists and ends

def revoke(otad, product, serial, name="d1", **more):
    return otad.api("DELETE", f"/devices/{product.key}/{name}/certificates/{serial}", **more)


def rows(otad, product, name="d1"):
    return otad.pages(f"/devices/{product.key}/{name}/certificates?limit=2")


def test_the_list_of_a_devices_certificates(otad, registered):
    registered.register("d2")
    made = [ask(otad, registered, days=days).data for days in (1, 2, 3)]
    ask(otad, registered, "d2")
    seen = rows(otad, registered)
    assert [(row["serial"], row["not_after"]) for row in seen] == [(m["serial"], m["not_after"]) for m in reversed(made)]
    assert [row["revoked_at"] for row in seen] == [None] * 3
    assert seen == sorted(seen, key=lambda row: row["issued_at"], reverse=True) and seen[0]["issued_at"]
    problem(otad.api("GET", f"/devices/{registered.key}/d3/certificates"), 404, "d3")


def test_revoking_one(otad, registered):
    first, second = (ask(otad, registered).data["serial"] for _ in range(2))
    assert revoke(otad, registered, first.upper()).status == 204
    at = {row["serial"]: row["revoked_at"] for row in rows(otad, registered)}
    assert at[second] is None and at[first]
    line = otad.ok("GET", f"/devices/{registered.key}/d1/timeline")["items"][0]
    assert (line["kind"], line["text"]) == ("certificate", f"serial {first} revoked, by admin.token")
    assert revoke(otad, registered, first).status == 204
    assert {row["serial"]: row["revoked_at"] for row in rows(otad, registered)} == at
    assert otad.ok("GET", f"/devices/{registered.key}/d1/timeline")["items"][0]["id"] == line["id"]


def test_revoking_one_that_was_made_elsewhere(otad, registered):
    assert revoke(otad, registered, "ABC").status == 204
    row, = rows(otad, registered)
    assert (row["serial"], row["issued_at"], row["not_after"]) == ("0abc", None, None) and row["revoked_at"]


def test_what_cannot_be_revoked(otad, registered):
    registered.register("d2")
    serial = ask(otad, registered).data["serial"]
    problem(revoke(otad, registered, serial, "d2"), 404, serial)
    problem(revoke(otad, registered, serial, "d3"), 404, "d3")
    for text in ("xy", "12:34", "1" * 41):
        problem(revoke(otad, registered, text), 422, "serial")
    for role, status in (("viewer", 403), ("uploader", 403), ("operator", 204)):
        token = otad.ok("POST", "/tokens", {"name": f"revoke {role}", "role": role})["token"]
        assert otad.api("GET", f"/devices/{registered.key}/d1/certificates", token=token).status == 200
        assert revoke(otad, registered, serial, token=token).status == status


def test_without_the_key_of_the_device_ca(make_otad):
    otad = make_otad()
    product = Product(otad)
    product.register("d1")
    (otad.data / "certs" / "device-ca.key").unlink()
    problem(ask(otad, product), 409, "device-ca.key")


def test_a_server_with_a_certificate_of_its_operator(make_otad, tmp_path):
    key = make_key(tmp_path / "own.key")
    openssl("req", "-new", "-x509", "-key", key, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-out", tmp_path / "own.pem")
    otad = make_otad({"cert_file": tmp_path / "own.pem", "key_file": key}, start=False)
    otad.start()
    registered = json.dumps({"product": "p", "name": "d1"})
    kind = {"Content-Type": "application/json"}
    otad.by_socket("POST", "/api/v1/products", json.dumps({"key": "p", "protocol": "native"}), kind)
    otad.by_socket("POST", "/api/v1/devices", registered, kind)
    reply = otad.by_socket("POST", "/api/v1/devices/p/d1/certificate")
    made = Checked(reply, tmp_path)
    assert "ca" not in made.data and made.verify() == 0
