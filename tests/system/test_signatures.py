"""Signatures made elsewhere: the page's own commands, from the key to the device's check, and what is refused on the way."""
import base64
import hashlib
import itertools
import json
import subprocess

import pytest

from files import esp_image, pattern
from fleet import Device, Product
from harness import problem, wait_until
from maker import KINDS, PAGE, Maker
from walks import documents, parts, put_ports, run_walk

NUMBERS = itertools.count(1)


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


@pytest.fixture(params=KINDS)
def any_maker(request, tmp_path):
    return Maker(tmp_path, request.param)


@pytest.fixture
def data():
    """Of this test alone, so that nothing else keeps these bytes."""
    return pattern(30_001) + f"{next(NUMBERS)}".encode()


def product_of(server, *makers, **fields):
    return Product(server, public_keys=[one.public for one in makers], **fields)


def put(server, product, data, signature=None, version="1.2.0", sha256=None, **query):
    query = "".join(f"&{key}={value}" for key, value in query.items())
    stated = f"product={product.key}&version={version}" if "part_of" not in query else ""
    headers = {"X-Signature": signature, "X-Content-SHA256": sha256}
    return server.api("PUT", f"/firmware?{stated}{query}".replace("?&", "?"), body=data,
                      headers={name: value for name, value in headers.items() if value is not None})


def keys(server, product, *makers):
    return server.ok("PATCH", f"/products/{product.key}", {"public_keys": [one.public for one in makers]})


def stored(server, product):
    return server.pages(f"/firmware?product={product.key}")


def blob(server, data):
    digest = hashlib.sha256(data).hexdigest()
    return server.data / "blobs" / digest[:2] / digest


def refused(server, product, reply, data, status=422, field="X-Signature"):
    """With a sentence, and without a trace of the file."""
    problem(reply, status)
    assert reply.data["field"] == field, reply.data
    assert stored(server, product) == []
    wait_until(lambda: not blob(server, data).exists(), what="the end of a file that was refused")


# ---- the page

def test_every_walk_is_run_here():
    assert set(parts(PAGE)) == {"key", "ed-key", "function", "hold", "fingerprint", "sign", "ed-sign", "upload", "fetch",
                                "check", "ed-check", "rotate"}


@pytest.mark.parametrize("kind", KINDS)
def test_from_the_key_to_the_device(make_otad, tmp_path, kind):
    """Every command of the page in its order, then a campaign; the device checks what it was offered."""
    server = make_otad()
    walks = parts(PAGE)
    product = Product(server, key="thermo")
    folder = tmp_path / "walk"
    function = put_ports(walks["function"], {"8443": server.https_port})

    def run(*names):
        return run_walk(function + "".join(walks.get(KINDS[kind] + name, walks[name]) for name in names), server, folder)
    run("key")
    (shown,) = documents(run("hold"))
    (key,) = shown["public_keys"]
    assert (key["type"], key["pem"]) == (kind, (folder / "maker.pub").read_text())
    assert run("fingerprint").split()[0] == key["fingerprint"]
    (firmware,) = documents(run("sign", "upload"))
    assert firmware["signed_by"] == key["fingerprint"]
    assert base64.b64decode(firmware["signature"]) == (folder / "app.sig").read_bytes()
    run("fetch", "check")

    device = product.device("kitchen").connect()
    device.inform("1.1.0")
    product.campaign(firmware)
    offer = device.offer("1.2.0")
    got = server.fetch(offer["url"]).data
    (folder / "got.bin").write_bytes(got)
    (folder / "got.sig").write_bytes(base64.b64decode(offer["signature"], validate=True))
    run("check")
    (folder / "got.bin").write_bytes(got[:-1] + bytes([got[-1] ^ 1]))
    with pytest.raises(AssertionError):
        run("check")
    device.disconnect()

    *_, both, last = documents(run("rotate"))
    assert [len(shown["public_keys"]) for shown in (both, last)] == [2, 1]
    assert server.api("POST", "/campaigns", {"firmware": [firmware["id"]]}).status == 409


# ---- keys of a product

def test_keys_are_shown_and_taken_away(otad, tmp_path):
    makers = [Maker(tmp_path, kind) for kind in KINDS]
    product = product_of(otad, *makers)
    want = [{"fingerprint": one.fingerprint, "type": one.kind, "pem": one.public} for one in makers]
    assert product.made["public_keys"] == want
    path = f"/products/{product.key}"
    assert otad.ok("GET", path)["public_keys"] == want
    assert otad.ok("PATCH", path, {"name": "other"})["public_keys"] == want
    for nothing in ([], None):
        assert otad.ok("PATCH", path, {"public_keys": nothing})["public_keys"] == []
        assert keys(otad, product, *makers)["public_keys"] == want


def other_key(*command):
    def make(_maker):
        private = subprocess.run(["openssl", "genpkey", *command], capture_output=True, check=True).stdout
        return subprocess.run(["openssl", "pkey", "-pubout"], input=private, capture_output=True, check=True).stdout.decode()
    return make


@pytest.mark.parametrize("make, word", [
    (lambda maker: maker.private, "private"),
    (lambda maker: maker.public + maker.private, "private"),
    (lambda maker: maker.public + maker.public, "one public key"),
    (lambda _maker: "junk", "PEM"),
    (lambda _maker: "", "PEM"),
    (lambda _maker: 7, "text"),
    (other_key("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"), "P-256"),
    (other_key("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"), "P-256"),
], ids=["private", "both", "twice", "junk", "empty", "number", "P-384", "RSA"])
def test_what_is_no_key_is_refused(otad, tmp_path, make, word):
    """The sentence says nothing of what was sent, and nothing of it is kept."""
    good, bad = Maker(tmp_path), Maker(tmp_path)
    product = product_of(otad, good)
    given = make(bad)
    reply = otad.api("PATCH", f"/products/{product.key}", {"public_keys": [good.public, given]})
    problem(reply, 422)
    assert (reply.data["field"], word in reply.data["detail"]) == ("public_keys[1]", True), reply.data
    assert otad.ok("GET", f"/products/{product.key}")["public_keys"] == product.made["public_keys"]
    secret = bad.private.splitlines()[1]
    assert secret not in json.dumps(reply.data) and secret not in otad.log()
    assert all(secret.encode() not in path.read_bytes() for path in otad.data.glob("otad.db*"))


def test_a_key_comes_once_and_eight_are_the_most(otad, tmp_path):
    makers = [Maker(tmp_path) for _ in range(9)]
    product = product_of(otad, *makers[:8])
    for more, index in ((makers, 8), ([makers[0], makers[1], makers[0]], 2)):
        reply = otad.api("PATCH", f"/products/{product.key}", {"public_keys": [one.public for one in more]})
        problem(reply, 422)
        assert reply.data["field"] == f"public_keys[{index}]"


def test_ed25519_where_the_protocol_is_of_ecdsa(otad, tmp_path):
    ed, ec = Maker(tmp_path, "ed25519"), Maker(tmp_path)
    for protocol, fields, makers, ok in (("aws", {}, [ed], False), ("aws", {}, [ec], True), ("aliyun", {}, [ed], True),
                                         ("aliyun", {"digest_sign": True}, [ec, ed], False), ("onenet", {}, [ed], True),
                                         ("aliyun", {"digest_sign": True}, [ec], True)):
        body = {"key": f"e{next(NUMBERS)}", "protocol": protocol, "public_keys": [one.public for one in makers], **fields}
        reply = otad.api("POST", "/products", body)
        assert reply.status == (201 if ok else 422), (protocol, fields, reply.data)
    late = product_of(otad, ed, protocol="aliyun")
    assert otad.api("PATCH", f"/products/{late.key}", {"digest_sign": True}).status == 422


# ---- uploads

def test_a_file_with_its_signature(otad, any_maker, data):
    product = product_of(otad, any_maker)
    signature = any_maker.sign(data)
    reply = put(otad, product, data, signature)
    assert reply.status == 201, reply.data
    assert (reply.data["signature"], reply.data["signed_by"]) == (signature, any_maker.fingerprint)
    shown = otad.ok("GET", f"/firmware/{reply.data['id']}")
    assert (shown["signature"], shown["signed_by"]) == (signature, any_maker.fingerprint)
    assert [file["signed_by"] for file in shown["files"]] == [any_maker.fingerprint]
    assert any_maker.takes(otad.api("GET", f"/firmware/{reply.data['id']}/file").data, shown["signature"])


def test_images_are_still_read(otad, any_maker):
    product = product_of(otad, any_maker)
    image = esp_image("2.3.4")
    assert put(otad, product, image, any_maker.sign(image), version="2.3.4").data["image"]["version"] == "2.3.4"


def flip(data, at, bit=0):
    data = bytearray(data)
    data[at] ^= 1 << bit
    return bytes(data)


@pytest.mark.parametrize("at", [0, 1, 12345, -1])
def test_one_bit_of_the_file(otad, any_maker, at, data):
    product = product_of(otad, any_maker)
    changed = flip(data, at)
    refused(otad, product, put(otad, product, changed, any_maker.sign(data)), changed)
    assert put(otad, product, data, any_maker.sign(data)).status == 201


def test_bits_of_the_signature(otad, any_maker, data):
    product = product_of(otad, any_maker)
    raw = any_maker.raw(data)
    for at in (0, 1, 4, 20, 40, len(raw) - 1):
        reply = put(otad, product, data, base64.b64encode(flip(raw, at, at % 8)).decode())
        refused(otad, product, reply, data)


def test_a_stranger_signs(otad, any_maker, tmp_path, data):
    product = product_of(otad, any_maker)
    stranger = Maker(tmp_path, any_maker.kind)
    refused(otad, product, put(otad, product, data, stranger.sign(data)), data)


@pytest.mark.parametrize("spoil", [
    lambda text, raw: "", lambda text, raw: "AAAA", lambda text, raw: text[:-1], lambda text, raw: text[:-4],
    lambda text, raw: text + "=", lambda text, raw: text + "AAAA", lambda text, raw: text.replace(text[8], "*"),
    lambda text, raw: raw.hex(), lambda text, raw: base64.b64encode(raw + b"\0").decode(),
    lambda text, raw: base64.b64encode(raw + bytes(2000)).decode(), lambda text, raw: base64.b64encode(bytes(72)).decode(),
], ids=["empty", "short", "cut", "cut4", "padded", "longer", "alphabet", "hex", "behind", "huge", "zeros"])
def test_what_is_no_signature_is_refused_before_the_body(otad, any_maker, spoil, data):
    product = product_of(otad, any_maker)
    raw = any_maker.raw(data)
    text = spoil(base64.b64encode(raw).decode(), raw)
    with otad.raw() as sock:
        sock.sendall(head_of(otad, product, 100_000, f"X-Signature: {text}"))
        assert " 422 " in sock.makefile("rb").readline().decode()
    assert stored(otad, product) == []


def head_of(server, product, length, *lines):
    return "\r\n".join([
        f"PUT /api/v1/firmware?product={product.key}&version=1.2.0 HTTP/1.1", f"Host: localhost:{server.https_port}",
        f"Authorization: Bearer {server.token}", f"Content-Length: {length}", "Expect: 100-continue", *lines, "", ""]).encode()


def test_a_missing_signature_is_refused_before_the_body(otad, maker, data):
    product = product_of(otad, maker)
    with otad.raw() as sock:
        sock.sendall(head_of(otad, product, 100_000))
        assert " 422 " in sock.makefile("rb").readline().decode()
    refused(otad, product, put(otad, product, data), data)
    assert "signature is missing" in put(otad, product, data).data["detail"]


def test_a_signature_that_nobody_would_check(otad, product, maker, data):
    reply = put(otad, product, data, maker.sign(data))
    refused(otad, product, reply, data)
    assert put(otad, product, data).status == 201


def test_a_file_of_no_stated_length(otad, any_maker, data):
    product, text = product_of(otad, any_maker), any_maker.sign(data)
    for body, status in ((data[:-1], 422), (data, 201)):
        connection = otad.connection()
        connection.request("PUT", f"/api/v1/firmware?product={product.key}&version=1.2.0", body=iter([body[:9000], body[9000:]]),
                           headers={"Authorization": f"Bearer {otad.token}", "X-Signature": text}, encode_chunked=True)
        assert connection.getresponse().status == status
        connection.close()


def test_two_signatures_are_one_too_many(otad, maker, data):
    product, text = product_of(otad, maker), maker.sign(data)
    with otad.raw() as sock:
        sock.sendall(head_of(otad, product, 100, f"X-Signature: {text}", f"X-Signature: {text}"))
        assert " 400 " in sock.makefile("rb").readline().decode()


def test_ed25519_is_for_files_that_fit_memory(otad, tmp_path):
    """Told by the length, before the body; one of ECDSA is not held to that."""
    ed, ec = Maker(tmp_path, "ed25519"), Maker(tmp_path)
    product, most = product_of(otad, ed, ec), 64 * 1024 * 1024
    for one, length, answer in ((ed, most + 1, " 422 "), (ed, most, " 100 "), (ec, most + 1, " 100 ")):
        with otad.raw() as sock:
            sock.sendall(head_of(otad, product, length, f"X-Signature: {one.sign(b'x')}"))
            assert answer in sock.makefile("rb").readline().decode()


def test_same_file_again(otad, tmp_path, data):
    """With another signature that verifies: what is stored stays as it is."""
    one, other = Maker(tmp_path), Maker(tmp_path)
    product = product_of(otad, one, other)
    first = put(otad, product, data, one.sign(data))
    for again in (one.sign(data), other.sign(data)):
        reply = put(otad, product, data, again)
        assert (reply.status, reply.data["id"], reply.data["signature"]) == (200, first.data["id"], first.data["signature"])


def test_same_file_again_under_other_keys(otad, tmp_path, data):
    """Its row cannot be released any more, so to say that it is there would be no help."""
    one, other = Maker(tmp_path), Maker(tmp_path)
    product = Product(otad)
    first = put(otad, product, data)
    keys(otad, product, one)
    reply = put(otad, product, data, one.sign(data))
    problem(reply, 409)
    assert "otad's own key" in reply.data["detail"] and "delete" in reply.data["detail"]
    assert otad.api("DELETE", f"/firmware/{first.data['id']}").status == 204
    second = put(otad, product, data, one.sign(data))
    assert second.status == 201
    keys(otad, product, other)
    reply = put(otad, product, data, other.sign(data))
    problem(reply, 409)
    assert one.fingerprint in reply.data["detail"]
    assert otad.api("GET", f"/firmware/{second.data['id']}/file").data == data


def test_further_files_and_deltas(otad, maker, tmp_path, data):
    product, stranger = product_of(otad, maker, protocol="aliyun"), Maker(tmp_path)
    first = put(otad, product, data, maker.sign(data)).data
    more, delta = data + b"more", data + b"delta"
    for signature in (None, stranger.sign(more), maker.sign(data)):
        reply = put(otad, product, more, signature, part_of=first["id"], filename="b.bin")
        problem(reply, 422)
        reply = put(otad, product, delta, signature and stranger.sign(delta), delta_from="1.1.0")
        problem(reply, 422)
    assert not blob(otad, more).exists() and not blob(otad, delta).exists()
    whole = put(otad, product, more, maker.sign(more), part_of=first["id"], filename="b.bin")
    assert whole.status == 201, whole.data
    assert [file["signed_by"] for file in whole.data["files"]] == [maker.fingerprint] * 2
    assert maker.takes(more, whole.data["files"][1]["signature"])
    reply = put(otad, product, delta, maker.sign(delta), delta_from="1.1.0")
    assert (reply.status, reply.data["signed_by"]) == (201, maker.fingerprint)


def test_a_further_file_of_what_another_key_signed(otad, tmp_path, data):
    """All of a firmware can be released, or nothing of it: to add to what cannot would be no help."""
    one, other = Maker(tmp_path), Maker(tmp_path)
    product, more = product_of(otad, one), data + b"more"
    firmware = put(otad, product, data, one.sign(data)).data
    keys(otad, product, other)
    reply = put(otad, product, more, other.sign(more), part_of=firmware["id"], filename="b.bin")
    problem(reply, 409)
    assert one.fingerprint in reply.data["detail"]
    assert len(otad.ok("GET", f"/firmware/{firmware['id']}")["files"]) == 1
    wait_until(lambda: not blob(otad, more).exists(), what="the end of the file")
    keys(otad, product, one, other)
    assert put(otad, product, more, other.sign(more), part_of=firmware["id"], filename="b.bin").status == 201


def test_keys_that_change_during_the_upload(otad, tmp_path, data):
    one, other = Maker(tmp_path), Maker(tmp_path)
    product = product_of(otad, one)
    with otad.raw() as sock:
        sock.sendall(head_of(otad, product, len(data), f"X-Signature: {one.sign(data)}"))
        answers = sock.makefile("rb")
        assert " 100 " in answers.readline().decode()
        answers.readline()
        keys(otad, product, other)
        sock.sendall(data)
        assert " 409 " in answers.readline().decode()
    assert stored(otad, product) == []
    wait_until(lambda: not blob(otad, data).exists(), what="the end of the file")


# ---- a digest that is claimed

def test_a_claimed_digest_that_is_right(otad, product, data):
    digest = hashlib.sha256(data).hexdigest()
    assert put(otad, product, data, sha256=digest).status == 201
    assert put(otad, product, data, sha256=digest.upper()).status == 200


def test_a_claimed_digest_of_another_file(otad, product, data):
    reply = put(otad, product, data, sha256=hashlib.sha256(data + b"x").hexdigest())
    refused(otad, product, reply, data, field="X-Content-SHA256")


@pytest.mark.parametrize("text", ["", hashlib.md5(b"x").hexdigest(), hashlib.sha1(b"x").hexdigest(),
                                  hashlib.sha256(b"x").hexdigest()[:-1], hashlib.sha256(b"x").hexdigest() + "0",
                                  base64.b64encode(hashlib.sha256(b"x").digest()).decode(), "g" * 64])
def test_what_is_no_sha256_is_refused(otad, product, text, data):
    reply = put(otad, product, data, sha256=text)
    refused(otad, product, reply, data, status=400, field="X-Content-SHA256")


# Two files of one MD5, by X. Wang and H. Yu.
TWINS = [bytes.fromhex(
    f"d131dd02c5e6eec4693d9a0698aff95c2fcab5{a}12467eab4004583eb8fb7f8955ad340609f4b30283e4888325{b}1415a085125e8f7cdc99fd91dbd{c}"
    f"280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2{d}487da03fd02396306d248cda0e99f33420f577ee8ce54b67080{e}0d1ec69821bcb6a88393"
    f"96f965{f}6ff72a70")
    for a, b, c, d, e, f in (("87", "7", "f", "b", "a8", "2b"), ("07", "f", "7", "3", "28", "ab"))]


def test_files_of_one_md5_are_two(otad, product):
    first, second = (put(otad, product, data, version=version) for data, version in zip(TWINS, ("1.0.0", "1.0.1")))
    assert (first.status, second.status) == (201, 201)
    assert first.data["md5"] == second.data["md5"] and first.data["sha256"] != second.data["sha256"]
    for row, data in zip((first, second), TWINS):
        assert otad.api("GET", f"/firmware/{row.data['id']}/file").data == data
        assert otad.api("PUT", f"/firmware?product={product.key}&version=2.0.0", body=data,
                        headers={"X-Content-SHA256": row.data["sha256"]}).status in (201, 409)
    assert put(otad, product, TWINS[1], version="1.0.0").status == 409


# ---- release

def campaign(server, firmware, **fields):
    return server.api("POST", "/campaigns", {"firmware": [firmware["id"]], **fields})


def test_what_otad_signed_is_not_released_once_there_are_keys(otad, maker, data):
    product = Product(otad)
    old = put(otad, product, data, version="1.1.0").data
    draft = campaign(otad, old, draft=True).data["id"]
    keys(otad, product, maker)
    for reply in (campaign(otad, old), otad.api("POST", "/campaigns?dry_run=1", {"firmware": [old["id"]]}),
                  otad.api("POST", f"/campaigns/{draft}/start")):
        problem(reply, 409)
        assert (reply.data["field"], "otad's own key" in reply.data["detail"]) == ("firmware", True)
    new = put(otad, product, data, maker.sign(data)).data
    assert campaign(otad, new).status == 201
    otad.ok("PATCH", f"/products/{product.key}", {"public_keys": []})
    assert campaign(otad, old).status == 201
    assert campaign(otad, new).status == 409


def test_a_key_that_was_taken_away(otad, tmp_path, devices, data):
    """What it signed is in no new campaign; one that runs goes on, until somebody ends it."""
    one, other = Maker(tmp_path), Maker(tmp_path)
    product = product_of(otad, one)
    firmware = put(otad, product, data, one.sign(data)).data
    product.register("d1")
    running = campaign(otad, firmware).data["id"]
    otad.wait_campaign(running, "running")
    keys(otad, product, one, other)
    assert campaign(otad, firmware, draft=True).status == 201
    keys(otad, product, other)
    reply = campaign(otad, firmware)
    problem(reply, 409)
    assert one.fingerprint in reply.data["detail"]
    secret = otad.ok("PATCH", f"/devices/{product.key}/d1", {"secret": "a secret of d1"}).get("secret", "a secret of d1")
    device = devices(Device(otad, product.key, "d1", secret).connect())
    device.inform("1.1.0")
    offer = device.offer("1.2.0")
    assert one.takes(otad.fetch(offer["url"]).data, offer["signature"])


def test_the_newest_of_a_public_product(otad, maker, data):
    """What no campaign names is held against the keys too."""
    product = Product(otad, public=True)
    manifest = f"/update/{product.key}/manifest.json"
    put(otad, product, data, version="1.0.0")
    assert otad.http("GET", manifest).data["version"] == "1.0.0"
    keys(otad, product, maker)
    assert otad.http("GET", manifest).status == 404
    put(otad, product, data + b"1", maker.sign(data + b"1"), version="1.0.1")
    assert otad.http("GET", manifest).data["version"] == "1.0.1"
    keys(otad, product)
    assert otad.http("GET", manifest).data["version"] == "1.0.0"


def test_the_newest_of_a_name(otad, maker, data, tmp_path):
    """Nor is what a public product's devices fetch by one name for ever an exception."""
    product, other = Product(otad, public=True), Maker(tmp_path)
    name = f"{product.key}.bin"

    def get():
        reply = otad.http("GET", f"/firmware/{name}")
        return reply.data if reply.status == 200 else reply.status
    put(otad, product, data, version="1.0.0", filename=name)
    assert get() == data
    keys(otad, product, maker)
    assert get() == 404
    put(otad, product, data + b"1", maker.sign(data + b"1"), version="1.0.1", filename=name)
    assert get() == data + b"1"
    keys(otad, product, maker, other)
    put(otad, product, data + b"2", other.sign(data + b"2"), version="1.0.2", filename=name)
    assert get() == data + b"2"
    keys(otad, product, maker)
    assert get() == data + b"1"


def test_the_firmware_survives_a_restart(make_otad, maker, data):
    server = make_otad()
    product = product_of(server, maker)
    firmware = put(server, product, data, maker.sign(data)).data
    server.restart()
    shown = server.ok("GET", f"/firmware/{firmware['id']}")
    assert (shown["signature"], shown["signed_by"]) == (firmware["signature"], maker.fingerprint)
    assert server.ok("GET", f"/products/{product.key}")["public_keys"] == product.made["public_keys"]
    assert campaign(server, firmware).status == 201


def test_otads_own_key_is_not_used(otad, any_maker, data):
    product, own = product_of(otad, any_maker), Product(otad)
    assert otad.ok("GET", "/signing-key").decode() != any_maker.public
    by_otad, by_maker = put(otad, own, data).data, put(otad, product, data, any_maker.sign(data)).data
    assert by_otad["signed_by"] is None and not any_maker.takes(data, by_otad["signature"])
    assert any_maker.takes(data, by_maker["signature"])
