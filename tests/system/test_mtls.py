"""HTTPS for devices that show a certificate: which ones open the door, what is asked again at each request, and that a session
which goes on from an earlier one skips nothing of it."""
import contextlib
import http.client
import json
import signal
import socket
import ssl
import struct
import subprocess
import uuid

import pytest

from conftest import Factory
from files import DATA
from fleet import Product
from harness import WAIT_S, basic, free_ports, problem, read_reply, wait_until

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
OFFER = "/api/v1/device/offer"
NOT_AUTHORISED = 5


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {args}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def otad():
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        ports = dict(zip(("https_cert_port", "mqtt_cert_port"), free_ports(2)))
        yield factory(ports)
        factory.stop()


def context_of(otad, pem=None, version=None):
    context = otad.tls()
    if pem:
        context.load_cert_chain(pem)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class Line(http.client.HTTPConnection):
    """One connection, which stays: by default to the port that demands a certificate."""

    def __init__(self, otad, context, session=None, port=None):
        super().__init__("localhost", port or otad.settings["https_cert_port"], timeout=WAIT_S)
        plain = socket.create_connection(("localhost", self.port), timeout=WAIT_S)
        self.sock = self.tls = context.wrap_socket(plain, server_hostname="localhost", session=session)
        self.auto_open = 0  # never another one in its place

    def getresponse(self):
        """Also keeps the session, with the tickets that have come: the end of the answer may be that of the line."""
        answer = super().getresponse()
        self.session = self.tls.session
        return answer

    def ask(self, method="GET", target=OFFER, body=None, headers=None):
        self.request(method, target, body=body, headers=headers or {})
        return read_reply(self)


class Board:
    """A registered device, and files with its certificates."""

    def __init__(self, otad, folder, product=None, name="d1", **fields):
        self.otad, self.folder, self.name = otad, folder, name
        self.product = product or Product(otad)
        self.path = f"/devices/{self.product.key}/{name}"
        self.made = self.product.register(name, **fields)

    def certificate(self, **wish):
        """The PEM file and the serial number."""
        made = self.otad.ok("POST", f"{self.path}/certificate", wish or None)
        pem = self.folder / f"{uuid.uuid4().hex}.pem"
        pem.write_text(made["key"] + made["certificate"])
        return pem, made["serial"]

    def line(self, pem=None, version=None, session=None):
        return Line(self.otad, context_of(self.otad, pem or self.certificate()[0], version), session)


@pytest.fixture
def board(otad, tmp_path):
    return Board(otad, tmp_path)


@pytest.fixture
def line(board):
    one = board.line()
    yield one
    one.close()


def refused(open_line, **ask):
    """The handshake fails: with TLS 1.3 the client's side of it is over before the server has seen what came."""
    with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
        open_line().ask(**ask)


def resume(before, otad, context):
    """A second line that goes on with the session of the first."""
    before.close()
    after = Line(otad, context, before.session)
    assert after.tls.session_reused, "no session was resumed"
    return after


# ---- what a good certificate opens

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wish", [{}, {"key_type": "rsa"}])
def test_an_update_from_poll_to_success(otad, board, version, wish):
    """Over one connection, by the certificate alone: the file by the signed URL, and by its name, in pieces."""
    line = board.line(board.certificate(**wish)[0], version)
    assert line.tls.version() == version.name.replace("_", ".")
    assert line.ask(target=OFFER + "?version=1.1.0").status == 204
    firmware = board.product.upload(DATA)
    campaign = board.product.campaign(firmware)
    offer = wait_until(lambda: line.ask(target=OFFER + "?version=1.1.0").data)
    otad.wait_state(campaign, "d1", "offered")
    target = offer["url"].split(f":{otad.https_port}", 1)[1]
    assert line.ask(target=target).data == DATA
    target = f"/firmware/{firmware['sha256']}"
    assert line.ask(target=target).data == DATA
    part = line.ask(target=target, headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.data) == (206, DATA[1000:2000])
    assert line.ask("HEAD", target).status == 200
    report = json.dumps({"id": offer["id"], "state": "installing"})
    assert line.ask("POST", "/api/v1/device/report", report, {"Content-Type": "application/json"}).status == 204
    assert otad.state_of(campaign) == "installing"
    assert line.ask(target=OFFER + "?version=1.2.0").status == 204
    otad.wait_state(campaign, "d1", "succeeded")
    line.close()


def test_with_curl(otad, board):
    pem, _ = board.certificate()
    firmware = board.product.upload(DATA)
    url = f"https://localhost:{otad.settings['https_cert_port']}/firmware/{firmware['sha256']}"
    assert otad.curl("--cert", pem, "-r", "7-99999", url).stdout == DATA[7:100000]
    assert otad.curl(url, check=False).returncode != 0


def test_a_device_that_knows_nothing_but_a_url(otad, board, line):
    otad.wait_campaign(board.product.campaign(board.product.upload(DATA)), "running")
    assert line.ask(target=f"/update/{board.product.key}?version=1.1.0").data == DATA
    assert line.ask(target=f"/update/{board.product.key}?version=1.2.0").status == 304
    other = Product(otad)
    problem(line.ask(target=f"/update/{other.key}"), 403, other.key)


def test_the_file_of_another_product(otad, line):
    file = Product(otad).upload(DATA + b"another's")
    problem(line.ask(target=f"/firmware/{file['sha256']}"), 401)


def test_a_device_of_onenet(otad, tmp_path):
    board = Board(otad, tmp_path, Product(otad, protocol="onenet"))
    other = Board(otad, tmp_path, board.product, "d2")
    line = board.line()
    assert line.ask(target=f"/fuse-ota/{board.product.key}/d1/version").data["code"] == 0
    assert line.ask(target=f"/fuse-ota/{board.product.key}/{other.name}/version").data["code"] != 0
    line.close()


def test_a_thing_of_aws(otad, tmp_path):
    """By its names, and where an authority states the thing's alone by that: as at the broker."""
    product = Product(otad, protocol="aws")
    board = Board(otad, tmp_path, product, f"{product.key}-thing")
    bare = forge(otad, tmp_path, board.name, "extendedKeyUsage = clientAuth")
    for pem in (board.certificate()[0], bare):
        line = board.line(pem)
        assert line.ask().status == 204
        line.close()


def test_the_usual_port_asks_for_no_certificate(otad):
    """Small clients would stumble over the question."""
    for port, asked in ((otad.https_port, False), (otad.settings["https_cert_port"], True)):
        for version in ("-tls1_2", "-tls1_3"):
            done = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{port}", "-CAfile", otad.ca, version], text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=WAIT_S, check=False)
            assert ("Acceptable client certificate CA names" in done.stdout) == asked, done.stdout


def test_old_tls(make_otad, tmp_path):
    """In the compatible profile, RSA key exchange too."""
    otad = make_otad({"https_cert_port": free_ports(1)[0], "tls_profile": "compatible"})
    board = Board(otad, tmp_path)
    context = context_of(otad, board.certificate(key_type="rsa")[0], ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("AES128-SHA@SECLEVEL=0")
    line = Line(otad, context)
    assert line.ask().status == 204
    line = resume(line, otad, context)
    assert line.tls.cipher()[0] == "AES128-SHA" and line.ask().status == 204
    otad.ok("PATCH", board.path, {"enabled": False})
    problem(line.ask(), 403, "switched off")
    line.close()


# ---- what does not

def forge(otad, folder, common_name, *extensions, ca="device-ca", signer=None):
    """A certificate and its key, signed by an authority of the data directory, or by the pair in signer; "" by itself."""
    base = folder / uuid.uuid4().hex
    key, csr, conf = (base.with_suffix(end) for end in (".key", ".csr", ".conf"))
    conf.write_text("\n".join(extensions or ["extendedKeyUsage = clientAuth"]) + "\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", key, "-subj",
            f"/CN={common_name}", "-out", csr)
    certs = otad.data / "certs"
    by = {None: ("-CA", certs / f"{ca}.pem", "-CAkey", certs / f"{ca}.key"), "": ("-key", key)}.get(
        signer, ("-CA", signer, "-CAkey", signer))
    leaf = openssl("x509", "-req", "-in", csr, *by, "-days", "90", "-extfile", conf)
    pem = base.with_suffix(".pem")
    pem.write_text(key.read_text() + leaf + (signer.read_text() if signer else ""))
    return pem


CLIENT = "extendedKeyUsage = clientAuth"


def urns(*names):
    return "subjectAltName = " + ",".join(f"URI:urn:otad:{name}" for name in names)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_certificate_no_line(otad, board, version):
    secret = basic(f"{board.product.key}/d1", board.made["secret"])
    assert otad.http("GET", OFFER, headers=secret).status == 204
    refused(lambda: Line(otad, context_of(otad, None, version)), headers=secret)


def test_what_is_asked_of_a_certificate(otad, board, tmp_path):
    """The first two are as they should be."""
    key = board.product.key
    Board(otad, tmp_path, board.product, "d2")
    own, _ = board.certificate()
    rows = [
        (forge(otad, tmp_path, "d1", urns(f"{key}/d1"), CLIENT), 204, ""),
        (forge(otad, tmp_path, "d1", urns(f"{key}/d1")), 204, ""),
        (forge(otad, tmp_path, "d1", urns(f"{key}/d1"), CLIENT, signer=""), 401, "NOT trusted"),
        (forge(otad, tmp_path, "d1", urns(f"{key}/d1"), CLIENT, ca="ca"), 401, "NOT trusted"),
        (forge(otad, tmp_path, "d1", urns(f"{key}/d1"), CLIENT, signer=own), 401, "NOT trusted"),
        (forge(otad, tmp_path, "d1", urns(f"{key}/d1"), "extendedKeyUsage = serverAuth"), 401, "purpose"),
        (forge(otad, tmp_path, "d2", urns(f"{key}/d1"), CLIENT), 401, "is not its device"),
        (forge(otad, tmp_path, "d1", urns(f"{key}/d1", f"{key}/d2"), CLIENT), 401, "several devices"),
        (forge(otad, tmp_path, "d1", urns(f"{key}/d1", f"{key}/d1"), CLIENT), 401, "several devices"),
        (forge(otad, tmp_path, "d1/CN=d2", urns(f"{key}/d1"), CLIENT), 401, "several common names"),
        (forge(otad, tmp_path, "d1", urns("other/d1"), CLIENT), 401, "not registered"),
        (forge(otad, tmp_path, "d3", urns(f"{key}/d3"), CLIENT), 401, "not registered"),
        (forge(otad, tmp_path, "d1", CLIENT), 401, "not registered"),
    ]
    for i, (pem, status, words) in enumerate(rows):
        for version in VERSIONS:
            line = board.line(pem, version)
            reply = line.ask()
            assert reply.status == status, (i, version, reply.data)
            if status != 204:
                problem(reply, status, words)
            line.close()


@pytest.mark.parametrize("target", ["/health", "/api/v1/ca", "/api/v1/status", OFFER, "public"])
def test_who_has_no_good_certificate_is_told_nothing(otad, board, tmp_path, target):
    """Whatever else is shown: each request is as good on the usual port."""
    if target == "public":
        product = Product(otad, public=True)
        product.upload(DATA, filename=f"{product.key}.bin")
        target = f"/firmware/{product.key}.bin"
    pem = forge(otad, tmp_path, "d1", urns(f"{board.product.key}/d1"), CLIENT, signer="")
    secret = basic(f"{board.product.key}/d1", board.made["secret"])
    for headers in ({}, secret, {"Authorization": f"Bearer {otad.token}"}):
        line = board.line(pem)
        problem(line.ask(target=target, headers=headers), 401, "NOT trusted")
        line.close()
    assert {otad.http("GET", target, headers=headers).status
            for headers in (secret, {"Authorization": f"Bearer {otad.token}"})} & {200, 204}


def test_a_certificate_is_for_a_devices_own_affairs(otad, line):
    assert line.ask(target="/health").status == 200
    admin = {"Authorization": f"Bearer {otad.token}"}
    for headers in ({}, admin):
        problem(line.ask(target="/api/v1/devices", headers=headers), 403, "devices with a certificate")
        problem(line.ask("POST", "/api/v1/products", headers=headers), 403)
    problem(line.ask(headers=admin), 403, "Authorization")


def test_a_secret_beside_a_certificate(otad, board, line, tmp_path):
    """It must be the same device's."""
    other = Board(otad, tmp_path, board.product, "d2")
    key = board.product.key
    assert line.ask(headers=basic(f"{key}/d1", board.made["secret"])).status == 204
    problem(line.ask(headers=basic(f"{key}/d2", other.made["secret"])), 403, f"{key}/d1")
    problem(line.ask(headers=basic(f"{key}/d1", "another-secret")), 401)
    file = board.product.upload(DATA)
    target = f"/firmware/{file['sha256']}"
    problem(line.ask(target=target, headers=basic(f"{key}/d2", other.made["secret"])), 403, f"{key}/d1")
    assert line.ask(target=target, headers=basic(f"{key}/d1", board.made["secret"])).data == DATA


# ---- what ends at once

def states(board):
    """How it is switched off and on again."""
    return [(board.path, {"enabled": False}, {"enabled": True}),
            (f"/products/{board.product.key}", {"enabled": False}, {"enabled": True})]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", [0, 1])
def test_switched_off_on_a_line_that_stays(otad, board, version, what):
    path, off, on = states(board)[what]
    context = context_of(otad, board.certificate()[0], version)
    line = Line(otad, context)
    assert line.ask().status == 204
    otad.ok("PATCH", path, off)
    problem(line.ask(), 403, "switched off")
    line = resume(line, otad, context)
    problem(line.ask(), 403, "switched off")
    otad.ok("PATCH", path, on)
    assert line.ask().status == 204
    line.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_revoked_on_a_line_that_stays(otad, board, version):
    pem, serial = board.certificate()
    context = context_of(otad, pem, version)
    line, other = Line(otad, context), board.line()
    assert line.ask().status == other.ask().status == 204
    otad.ok("DELETE", f"{board.path}/certificates/{serial}")
    problem(line.ask(), 401, "revoked", serial)
    line = resume(line, otad, context)
    problem(line.ask(), 401, "revoked")
    line.close()
    assert other.ask().status == 204
    other.close()


def test_revoked_though_it_was_made_elsewhere(otad, board, tmp_path):
    pem = forge(otad, tmp_path, "d1", urns(f"{board.product.key}/d1"), CLIENT)
    line = board.line(pem)
    assert line.ask().status == 204
    serial = openssl("x509", "-noout", "-serial", "-in", pem).strip().removeprefix("serial=")
    otad.ok("DELETE", f"{board.path}/certificates/{serial}")
    problem(line.ask(), 401, "revoked")
    line.close()


def test_a_device_that_was_deleted_and_another_of_its_name(otad, board, tmp_path):
    pem, _ = board.certificate()
    line = board.line(pem)
    assert line.ask().status == 204
    otad.ok("DELETE", board.path)
    problem(line.ask(), 401, "not registered")
    again = Board(otad, tmp_path, board.product)
    problem(line.ask(), 401, "gone")
    line.close()
    line = again.line()
    assert line.ask().status == 204
    line.close()


def test_a_download_under_way_goes_on(otad, board):
    """What was begun may end; its rest, asked for again, is refused."""
    data = DATA * 200  # more than all buffers on the way hold
    target = f"/firmware/{board.product.upload(data)['sha256']}"
    line = board.line()
    line.request("GET", target)
    answer = line.getresponse()
    begin = answer.read(1000)
    otad.ok("PATCH", board.path, {"enabled": False})
    assert begin + answer.read() == data
    problem(line.ask(target=target, headers={"Range": "bytes=1000-"}), 403, "switched off")
    line.close()


# ---- sessions that go on

@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_goes_on_with_its_certificate(otad, board, version):
    context = context_of(otad, board.certificate()[0], version)
    line = Line(otad, context)
    assert line.ask().status == 204
    for _ in range(3):
        line = resume(line, otad, context)
        assert line.ask().status == 204
    line.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_that_was_refused_is_refused_again(otad, board, tmp_path, version):
    context = context_of(otad, forge(otad, tmp_path, "d1", urns(f"{board.product.key}/d1"), CLIENT, signer=""), version)
    line = Line(otad, context)
    problem(line.ask(), 401, "NOT trusted")
    line = resume(line, otad, context)
    problem(line.ask(), 401, "NOT trusted")
    line.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_of_the_usual_port_opens_nothing(otad, board, version):
    """Nor the other way round: each port has its own key of tickets."""
    for pem in (None, board.certificate()[0]):
        context = context_of(otad, pem, version)
        usual = Line(otad, context, port=otad.https_port)
        assert usual.ask(target="/health").status == 200
        session = usual.session
        assert session.has_ticket
        usual.close()
        again = Line(otad, context, session, otad.https_port)
        assert again.tls.session_reused
        again.close()
        if not pem:
            refused(lambda: Line(otad, context, session))  # noqa: B023
            continue
        line = Line(otad, context, session)
        assert not line.tls.session_reused
        assert line.ask().status == 204
        line.close()
        usual = Line(otad, context, line.session, otad.https_port)
        assert not usual.tls.session_reused
        problem(usual.ask(), 401)
        usual.close()


# ---- time, and new files

def clocked(make_otad, tmp_path):
    otad = make_otad({"https_cert_port": free_ports(1)[0]}, clock=True)
    return otad, Board(otad, tmp_path)


def test_before_and_after_its_days(make_otad, tmp_path):
    otad, board = clocked(make_otad, tmp_path)
    pem, _ = board.certificate(days=2)
    line = board.line(pem)
    assert line.ask().status == 204
    begins = otad.clock.now_ms - 86_400_000  # it is backdated by a day
    ends = otad.clock.now_ms + 2 * 86_400_000
    for at, status, words in ((begins - 2000, 401, "not yet valid"), (begins + 2000, 204, ""), (ends - 2000, 204, ""),
                              (ends + 2000, 401, "expired")):
        otad.clock.set(at)
        fresh = board.line(pem)
        reply = fresh.ask()
        assert reply.status == status, (at, reply.data)
        if words:
            problem(reply, status, words)
        fresh.close()
    problem(line.ask(), 401, "expired")
    line.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_expired_when_its_session_goes_on(make_otad, tmp_path, version):
    otad, board = clocked(make_otad, tmp_path)
    context = context_of(otad, board.certificate(days=1)[0], version)
    otad.clock.set(otad.clock.now_ms + 86_400_000 - 60_000)
    line = Line(otad, context)
    assert line.ask().status == 204
    otad.clock.set(otad.clock.now_ms + 120_000)
    line = resume(line, otad, context)
    problem(line.ask(), 401, "expired")
    line.close()


def hup(otad, words):
    """Waits for one more line with these words."""
    before = otad.log().count(words)
    otad.process.send_signal(signal.SIGHUP)
    wait_until(lambda: otad.log().count(words) > before, what=words)


def test_new_files_on_hup(make_otad, tmp_path):
    """The certificate of the server, and another CA of devices: whoever comes then, or comes back, is judged by that."""
    otad = make_otad({"https_cert_port": free_ports(1)[0]})
    board = Board(otad, tmp_path)
    context = context_of(otad, board.certificate()[0])
    line = Line(otad, context)
    assert line.ask().status == 204
    hup(otad, "certificate reloaded")
    assert line.ask().status == 204
    line = resume(line, otad, context)
    assert line.ask().status == 204
    ca = otad.data / "certs" / "device-ca.pem"
    old = ca.read_text()
    ca.write_text("junk")
    hup(otad, "device-ca.pem cannot be used")
    fresh = Line(otad, context)
    assert fresh.ask().status == 204
    fresh.close()
    ca.write_text(openssl("req", "-new", "-x509", "-newkey", "rsa:2048", "-noenc", "-keyout", tmp_path / "key", "-subj",
                          "/CN=another CA", "-days", "9"))
    hup(otad, "certificate reloaded")
    line = resume(line, otad, context)
    problem(line.ask(), 401, "NOT trusted")
    line.close()
    ca.write_text(ca.read_text() + old)
    hup(otad, "certificate reloaded")
    line = Line(otad, context)
    assert line.ask().status == 204
    line.close()


# ---- the same at the broker

def connack(otad, context, name, session=None, port=None):
    """The return code of a thing's CONNECT, and the line."""
    plain = socket.create_connection(("localhost", port or otad.settings["mqtt_cert_port"]), timeout=WAIT_S)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
        body = b"\0\x04MQTT\x04\x02\0\x3c" + struct.pack(">H", len(name)) + name.encode()
        tls.sendall(bytes([0x10, len(body)]) + body)
        answer = tls.recv(4)
        assert answer[:1] == b"\x20", answer
        return answer[3], tls.session_reused, tls.session


def thing(otad, tmp_path):
    product = Product(otad, protocol="aws")
    return Board(otad, tmp_path, product, f"{product.key}-thing")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_that_goes_on_at_the_broker(otad, tmp_path, version):
    board = thing(otad, tmp_path)
    pem, serial = board.certificate()
    context = context_of(otad, pem, version)
    code, _, session = connack(otad, context, board.name)
    assert code == 0
    assert connack(otad, context, board.name, session)[:2] == (0, True)
    otad.ok("DELETE", f"{board.path}/certificates/{serial}")
    assert connack(otad, context, board.name, session)[:2] == (NOT_AUTHORISED, True)
    bare = context_of(otad, None, version)
    _, _, session = connack(otad, bare, board.name, port=otad.mqtt_port)
    assert connack(otad, bare, board.name, session, otad.mqtt_port)[:2] == (NOT_AUTHORISED, True)
    with pytest.raises((OSError, AssertionError)):
        connack(otad, bare, board.name, session)


@pytest.mark.parametrize("version", VERSIONS)
def test_expired_when_its_session_goes_on_at_the_broker(make_otad, tmp_path, version):
    otad = make_otad({"mqtt_cert_port": free_ports(1)[0]}, clock=True)
    board = thing(otad, tmp_path)
    context = context_of(otad, board.certificate(days=1)[0], version)
    otad.clock.set(otad.clock.now_ms + 86_400_000 - 60_000)
    code, _, session = connack(otad, context, board.name)
    assert code == 0
    otad.clock.set(otad.clock.now_ms + 120_000)
    assert connack(otad, context, board.name, session)[:2] == (NOT_AUTHORISED, True)
