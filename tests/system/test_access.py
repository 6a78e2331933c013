"""Who may fetch a file and by which proof, which paths lead nowhere, and the TLS that small clients need."""
import socket
import ssl
import subprocess
import urllib.parse

import pytest

from files import DATA, SIZE, pattern
from fleet import Product
from harness import WAIT_S, basic, receive, wait_until

# ---- proofs

class Offered:
    """A device of a private product, and the URL of what is due to it."""

    def __init__(self, otad, **policy):
        self.otad = otad
        self.product = Product(otad)
        self.row = self.product.upload(DATA + self.product.key.encode(), filename="app.bin")
        secret = self.product.register("d1")["secret"]
        self.basic = basic(f"{self.product.key}/d1", secret)
        campaign = self.product.campaign(self.row, policy=policy)
        otad.wait_campaign(campaign, "running")
        reply = wait_until(lambda: self.poll() if self.poll().status == 200 else None, what="an offer by poll")
        self.url = reply.data["url"]

    def poll(self):
        return self.otad.http("GET", "/api/v1/device/offer?module=default&version=1.0.0", headers=self.basic)

    def status(self, url=None, **more):
        return self.otad.fetch(url or self.url, **more).status


@pytest.fixture(scope="module")
def offered(otad):
    return Offered(otad)


def change(url, **fields):
    """The same URL with query members changed, or left out where None."""
    parts = urllib.parse.urlsplit(url)
    query = {k: v for k, v in {**dict(urllib.parse.parse_qsl(parts.query)), **fields}.items() if v is not None}
    return parts._replace(query=urllib.parse.urlencode(query, safe="/")).geturl()


def test_signed_url_is_proof_enough(offered):
    reply = offered.otad.fetch(offered.url)
    assert (reply.status, len(reply.data)) == (200, offered.row["size"])
    assert reply.data[:SIZE] == DATA
    ranged = offered.otad.fetch(offered.url, headers={"Range": "bytes=7-11"})
    assert (ranged.status, ranged.data) == (206, DATA[7:12])
    assert offered.status(change(offered.url)) == 200  # re-encoded by us, still good


def test_tampered_urls_are_refused(offered):
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(offered.url).query))
    swapped = ("B" if query["s"][0] == "A" else "A") + query["s"][1:]
    other = Product(offered.otad).upload(pattern(999, seed=11))["sha256"]
    tampered = [
        change(offered.url, e=str(int(query["e"]) + 1)), change(offered.url, e="0"), change(offered.url, e=""),
        change(offered.url, e="99999999999999999999"), change(offered.url, s=swapped), change(offered.url, s=""),
        change(offered.url, s=query["s"][:-1]), change(offered.url, s=None), change(offered.url, e=None),
        change(offered.url, d=None), change(offered.url, d=f"{offered.product.key}/d2"), change(offered.url, d="x"),
        offered.url.replace(offered.row["sha256"], other), offered.url.replace("/firmware/", "/firmware/x"),
    ]
    for url in tampered:
        assert offered.status(url) in (401, 403, 404), url


def test_a_device_by_its_secret(offered):
    for name in (offered.row["sha256"], "app.bin"):
        reply = offered.otad.http("GET", f"/firmware/{name}", headers=offered.basic)
        assert (reply.status, reply.data[:SIZE]) == (200, DATA), name


def test_no_proof_no_file(offered):
    get = offered.otad.http
    key = offered.product.key
    for name in (offered.row["sha256"], "app.bin"):
        assert get("GET", f"/firmware/{name}").status in (401, 404)
        assert get("GET", f"/firmware/{name}", headers=basic(f"{key}/d1", "wrong")).status == 401
        assert get("GET", f"/firmware/{name}", headers=basic(f"{key}/nobody", "wrong")).status == 401
        assert get("GET", f"/firmware/{name}", headers={"Authorization": "Basic %%%"}).status == 401


def test_a_device_may_not_have_the_files_of_others(otad, offered):
    other = Product(otad)
    stranger = basic(f"{other.key}/d1", other.register("d1")["secret"])
    assert otad.http("GET", f"/firmware/{offered.row['sha256']}", headers=stranger).status in (401, 403, 404)


def test_public_product_by_name_gives_the_newest(otad):
    product = Product(otad, public=True)
    for seed, version in enumerate(("1.0.0", "1.1.0", "1.2.0")):
        product.upload(pattern(100, seed), version, filename=f"{product.key}-own.bin")
        assert otad.http("GET", f"/firmware/{product.key}-own.bin").data == pattern(100, seed)


def held(otad, token, method, path, body):
    """A request whose head is taken, and whose body is still to come."""
    sock = otad.raw()
    sock.sendall(f"{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
                 f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
    receive(sock, b"HTTP/1.1 100 Continue\r\n\r\n")
    return sock


@pytest.mark.parametrize("ends", ["deleted", "good"])
@pytest.mark.parametrize("role, method, path, body", [
    ("admin", "POST", "/tokens", b'{"name":"another","role":"admin"}'),
    ("uploader", "PUT", "/firmware?product={}&version=1.0.0", b"bytes of a firmware"),
    ("operator", "POST", "/devices/{}/d1/certificate", b'{"days":30}')])
def test_a_token_that_is_deleted_before_the_body_has_come_does_nothing(otad, role, method, path, body, ends):
    product = Product(otad)
    product.register("d1")
    token = otad.ok("POST", "/tokens", {"name": f"held by {role}", "role": role})

    def made():
        return (len(otad.pages("/tokens")), len(otad.pages(f"/firmware?product={product.key}")),
                len(otad.pages(f"/devices/{product.key}/d1/certificates")))

    with held(otad, token["token"], method, path.format(product.key), body) as sock:
        if ends == "deleted":
            otad.ok("DELETE", f"/tokens/{token['id']}")
        before = made()
        sock.sendall(body)
        answer = sock.recv(4096)
    assert answer.startswith(b"HTTP/1.1 401 " if ends == "deleted" else b"HTTP/1.1 201 "), answer
    assert (made() == before) == (ends == "deleted")


@pytest.mark.parametrize("path", [
    "/firmware/../../etc/passwd", "/firmware/..%2f..%2fetc%2fpasswd", "/firmware/%2e%2e/%2e%2e/etc/passwd",
    "/firmware/..%2F..%2F..%2F..%2Fetc%2Fpasswd", "/firmware/%252e%252e%252fetc%252fpasswd", "/firmware//etc/passwd",
    "/firmware/..", "/firmware/.", "/firmware/", "/firmware/%00", "/firmware/app.bin%00.txt", "/firmware/..%5c..%5cetc",
    "/firmware/../admin.token", "/firmware/..%2fadmin.token", "/firmware/%2e%2e%2fcerts%2fca.key", "/firmware/%",
    "/firmware/%zz", "/firmware/%c0%ae%c0%ae/", "/firmware/" + "a" * 1500,
])
def test_no_path_leads_outside(otad, path):
    token = {"Authorization": f"Bearer {otad.token}"}
    for headers in ({}, token):
        reply = otad.http("GET", path, headers=headers)
        assert reply.status in (400, 404), (path, reply.status)
        assert b"root:" not in (reply.data if isinstance(reply.data, bytes) else b"")
    assert otad.http("GET", "/firmware/../../etc/passwd").status == 404


# ---- TLS

def negotiate(otad, version=None, session=None, ciphers=None):
    context = otad.tls()
    if version:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    plain = socket.create_connection(("localhost", otad.https_port), timeout=WAIT_S)
    return context, context.wrap_socket(plain, server_hostname="localhost", session=session)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(otad, version):
    with pytest.raises(ssl.SSLError):
        negotiate(otad, version, ciphers="ALL:@SECLEVEL=0")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(shelf, version):
    context, first = negotiate(shelf.otad, version)
    ask = f"GET {shelf.target} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-9\r\n\r\n".encode()
    first.sendall(ask)
    receive(first, DATA[:10])  # the ticket of TLS 1.3 comes after the handshake
    session = first.session
    first.close()
    plain = socket.create_connection(("localhost", shelf.otad.https_port), timeout=WAIT_S)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as second:
        second.sendall(ask)
        receive(second, DATA[:10])
        assert second.session_reused


@pytest.mark.parametrize("length", [512, 1024, 2048, 4096])
def test_clients_with_small_records(shelf, length):
    """TLS 1.2 with max_fragment_length: records no longer than asked for, and the file complete."""
    ask = f"GET {shelf.target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    done = subprocess.run(
        ["openssl", "s_client", "-quiet", "-tls1_2", "-maxfraglen", str(length), "-CAfile", shelf.otad.ca,
         "-verify_return_error", "-connect", f"localhost:{shelf.otad.https_port}"],
        input=ask, capture_output=True, timeout=WAIT_S)
    assert done.stdout.split(b"\r\n\r\n", 1)[1:] == [DATA], done.stderr[-500:]


def test_offered_ciphers_are_modern(otad):
    for version, expected in ((ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
                              (ssl.TLSVersion.TLSv1_3, "TLS_AES_128_GCM_SHA256")):
        _, sock = negotiate(otad, version)
        assert sock.cipher()[0] == expected
        sock.close()
