"""GET and HEAD /firmware/{name}: ranges, preconditions, proofs, TLS."""
import email
import re
import socket
import ssl
import subprocess
import time
import urllib.parse
import warnings

import pytest

from harness import WAIT_S, Product, basic, pattern, read_reply, wait_until

SIZE = 100_003
DATA = pattern(SIZE)


class Shelf:
    """A public product with one file of telling bytes."""

    def __init__(self, otad):
        self.otad = otad
        self.product = Product(otad, public=True)
        self.row = self.product.upload(DATA, filename=f"{self.product.key}.bin")
        self.target = f"/firmware/{self.product.key}.bin"
        self.etag = self.get().headers["ETag"]

    def get(self, method="GET", **headers):
        return self.otad.http(method, self.target, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.fixture(scope="module")
def shelf(otad):
    return Shelf(otad)


def parts_of(reply):
    """(first, last, size, bytes) of each part of multipart/byteranges, read by the standard library."""
    head = f"Content-Type: {reply.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + reply.data)
    assert message.get_content_type() == "multipart/byteranges" and not message.defects
    boundary = message.get_boundary().encode()
    parts = []
    for piece in reply.data.split(b"--" + boundary)[1:-1]:  # the library would touch line ends in the bodies
        lines, body = piece.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)
        found = re.search(rb"(?mi)^Content-Range: bytes (\d+)-(\d+)/(\d+)\r?$", lines)
        assert body.endswith(b"\r\n")
        parts.append((*map(int, found.groups()), body[:-2]))
    assert reply.data.rstrip().endswith(b"--" + boundary + b"--")
    return parts


# ---- whole

def test_whole(shelf):
    reply = shelf.get()
    assert reply.status == 200
    assert reply.data == DATA
    assert reply.headers["Content-Length"] == str(SIZE)
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert re.fullmatch(r'"[A-Za-z0-9_-]{22}"', reply.headers["ETag"])
    assert reply.headers["Last-Modified"]
    assert reply.headers["Cache-Control"] == "private, immutable, no-transform"
    assert "Transfer-Encoding" not in reply.headers and "Content-Encoding" not in reply.headers


@pytest.mark.parametrize("size", [1, 16383, 16384, 16385, 65536, 131072])
def test_sizes_around_the_block(otad, size):
    product = Product(otad, public=True)
    product.upload(pattern(size, seed=7), filename=f"{product.key}.bin")
    reply = otad.http("GET", f"/firmware/{product.key}.bin")
    assert (reply.status, reply.data) == (200, pattern(size, seed=7))


# ---- one range

@pytest.mark.parametrize("value, first, last", [
    ("bytes=0-", 0, SIZE - 1),
    ("bytes=0-0", 0, 0),
    ("bytes=1-1", 1, 1),
    ("bytes=50-99", 50, 99),
    ("bytes=0-99", 0, 99),
    ("bytes=4095-4096", 4095, 4096),
    ("bytes=16384-32767", 16384, 32767),
    ("bytes=1-", 1, SIZE - 1),
    (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
    (f"bytes=0-{SIZE - 1}", 0, SIZE - 1),
    (f"bytes=0-{SIZE}", 0, SIZE - 1),  # one past the end, as esp_https_ota asks
    (f"bytes=99999-{SIZE + 1000}", 99999, SIZE - 1),
    ("bytes=5-18446744073709551615", 5, SIZE - 1),
    ("bytes=5-99999999999999999999999", 5, SIZE - 1),
    ("bytes=-1", SIZE - 1, SIZE - 1),
    ("bytes=-100", SIZE - 100, SIZE - 1),
    (f"bytes=-{SIZE}", 0, SIZE - 1),
    (f"bytes=-{SIZE + 1}", 0, SIZE - 1),
    ("bytes=-99999999999999999999999", 0, SIZE - 1),
    ("Bytes=3-7", 3, 7),
])
def test_one_range(shelf, value, first, last):
    reply = shelf.get(Range=value)
    assert reply.status == 206
    assert reply.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert reply.headers["Content-Length"] == str(last - first + 1)
    assert reply.headers["ETag"] == shelf.etag
    assert reply.data == DATA[first:last + 1]


@pytest.mark.parametrize("value", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0",
                                   "bytes=18446744073709551616-", f"bytes={SIZE}-,{SIZE + 9}-"])
def test_not_satisfiable(shelf, value):
    reply = shelf.get(Range=value)
    assert reply.status == 416
    assert reply.headers["Content-Range"] == f"bytes */{SIZE}"
    assert DATA[:100] not in (reply.data if isinstance(reply.data, bytes) else b"")


@pytest.mark.parametrize("value", ["bytes=5-4", "bytes=a-b", "bytes=", "bytes", "bytes=-", "lines=1-2", "bytes=1-2-3",
                                   "bytes=+1-2", "bytes=0x1-2", "bytes=1-2;3-4", "bytes= ", "bytes=1.5-2"])
def test_ranges_that_are_none_are_ignored(shelf, value):
    reply = shelf.get(Range=value)
    assert (reply.status, reply.data) == (200, DATA)


def test_range_of_other_methods_means_nothing(shelf):
    assert shelf.get("POST", Range="bytes=0-1").status == 405


# ---- several ranges

@pytest.mark.parametrize("value, expected", [
    ("bytes=0-9,20-29", [(0, 9), (20, 29)]),
    ("bytes=0-0,-1", [(0, 0), (SIZE - 1, SIZE - 1)]),
    ("bytes=50000-50099, 0-99 ,70000-70049", [(50000, 50099), (0, 99), (70000, 70049)]),
    (f"bytes=0-9,{SIZE + 5}-", None),  # one part is left: not multipart
])
def test_several_ranges(shelf, value, expected):
    reply = shelf.get(Range=value)
    assert reply.status == 206
    assert reply.headers["Content-Length"] == str(len(reply.data))
    if expected is None:
        assert (reply.headers["Content-Range"], reply.data) == (f"bytes 0-9/{SIZE}", DATA[:10])
        return
    assert "Content-Range" not in reply.headers
    assert parts_of(reply) == [(first, last, SIZE, DATA[first:last + 1]) for first, last in expected]


def test_overlapping_ranges_are_sent_once(shelf):
    reply = shelf.get(Range="bytes=0-99,50-149")
    assert reply.status == 206
    assert (reply.headers["Content-Range"], reply.data) == (f"bytes 0-149/{SIZE}", DATA[:150])


def test_very_many_ranges_get_the_whole_file(shelf):
    reply = shelf.get(Range="bytes=" + ",".join(f"{i * 1000}-{i * 1000 + 1}" for i in range(60)))
    assert (reply.status, reply.data) == (200, DATA)


# ---- preconditions

def test_if_range(shelf):
    modified = shelf.get().headers["Last-Modified"]
    for value, status in ((shelf.etag, 206), ('"0123456789012345678901"', 200), ("W/" + shelf.etag, 200),
                          (modified, 206), ("Thu, 01 Jan 1970 00:00:00 GMT", 200), ("nonsense", 200)):
        reply = shelf.get(Range="bytes=10-19", If_Range=value)
        assert reply.status == status, value
        assert reply.data == (DATA[10:20] if status == 206 else DATA), value


def test_if_none_match(shelf):
    for value, status in ((shelf.etag, 304), ("*", 304), (f'"x", {shelf.etag}', 304), ("W/" + shelf.etag, 304),
                          ('"0123456789012345678901"', 200)):
        reply = shelf.get(If_None_Match=value)
        assert reply.status == status, value
        assert reply.data == (b"" if status == 304 else DATA), value
    reply = shelf.get(If_None_Match=shelf.etag)
    assert reply.headers["ETag"] == shelf.etag
    assert reply.headers["Cache-Control"] == "private, immutable, no-transform"


def test_if_match(shelf):
    for value, status in ((shelf.etag, 200), ("*", 200), ('"0123456789012345678901"', 412), ("W/" + shelf.etag, 412)):
        assert shelf.get(If_Match=value).status == status, value


def test_dates(shelf):
    modified = shelf.get().headers["Last-Modified"]
    old, future = "Thu, 01 Jan 2015 00:00:00 GMT", "Fri, 01 Jan 2099 00:00:00 GMT"
    assert shelf.get(If_Modified_Since=modified).status == 304
    assert shelf.get(If_Modified_Since=old).status == 200
    assert shelf.get(If_Modified_Since="yesterday").status == 200
    assert shelf.get(If_Unmodified_Since=old).status == 412
    assert shelf.get(If_Unmodified_Since=future).status == 200
    assert shelf.get(If_None_Match='"other"', If_Modified_Since=modified).status == 200  # the tag decides


def test_head_is_get_without_the_body(shelf):
    for headers in ({}, {"Range": "bytes=5-9"}, {"If_None_Match": shelf.etag}, {"Range": f"bytes={SIZE}-"}):
        get, head = shelf.get(**headers), shelf.get("HEAD", **headers)
        assert head.data == b""
        assert head.status == get.status
        for name in ("Content-Length", "Content-Range", "ETag", "Accept-Ranges", "Content-Type", "Last-Modified"):
            assert head.headers[name] == get.headers[name], (headers, name)


def test_the_head_of_a_206_is_small(shelf):
    with shelf.otad.raw() as sock:
        sock.sendall(f"GET {shelf.target} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-99\r\n"
                     "Connection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: sock.recv(65536), b""))
    head, body = reply.split(b"\r\n\r\n", 1)
    assert body == DATA[:100]
    assert len(head) + 4 < 300, head
    assert all(len(line) <= 128 for line in head.split(b"\r\n"))


def test_small_answers_come_in_one_piece(shelf):
    """Small clients expect head and body of a short range in one record."""
    with shelf.otad.raw() as sock:
        sock.sendall(f"GET {shelf.target} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-99\r\n\r\n".encode())
        assert sock.recv(16384).endswith(DATA[:100])


# ---- connections

def test_500_ranges_on_one_connection(shelf):
    connection = shelf.otad.connection()
    connection.connect()
    port, got = connection.sock.getsockname()[1], b""
    for i in range(500):
        first = i * 200
        connection.request("GET", shelf.target, headers={"Range": f"bytes={first}-{first + 199}"})
        reply = read_reply(connection)
        assert reply.status == 206
        got += reply.data
        assert connection.sock and connection.sock.getsockname()[1] == port, f"closed after {i + 1}"
    connection.close()
    assert got == DATA[:100_000]


def test_pipelined_requests_are_answered_in_order(shelf):
    ask = "".join(f"GET {shelf.target} HTTP/1.1\r\nHost: localhost\r\nRange: bytes={i}-{i}\r\n"
                  + ("Connection: close\r\n" if i == 9 else "") + "\r\n" for i in range(10))
    with shelf.otad.raw() as sock:
        sock.sendall(ask.encode())
        reply = b"".join(iter(lambda: sock.recv(65536), b""))
    found = re.findall(rb"Content-Range: bytes (\d+)-", reply)
    assert [int(n) for n in found] == list(range(10))


def test_curl_resumes_after_a_cut(otad, shelf, tmp_path):
    product = Product(otad, public=True)
    data = pattern(2_000_003, seed=9)
    product.upload(data, filename=f"{product.key}.bin")
    out, url = tmp_path / "app.bin", otad.url(f"/firmware/{product.key}.bin")
    slow = subprocess.Popen(["curl", "-sS", "--cacert", otad.ca, "--limit-rate", "200k", "-o", out, url])
    wait_until(lambda: out.exists() and out.stat().st_size > 0, what="the first bytes")
    slow.kill()
    slow.wait()
    had = out.stat().st_size
    assert 0 < had < len(data)
    done = otad.curl("-f", "-C", "-", "-o", out, "-w", "%{http_code} %{size_download}", url)
    assert done.stdout.decode() == f"206 {len(data) - had}"
    assert out.read_bytes() == data


def test_a_client_that_goes_away_harms_nobody(shelf):
    for _ in range(20):
        with shelf.otad.raw() as sock:
            sock.sendall(f"GET {shelf.target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            sock.recv(1000)
    assert shelf.get().data == DATA


def test_plain_http_serves_the_same_file(shelf):
    with socket.create_connection(("localhost", shelf.otad.http_port), timeout=WAIT_S) as sock:
        sock.sendall(f"GET {shelf.target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: sock.recv(65536), b""))
    assert reply.split(b"\r\n\r\n", 1)[1] == DATA


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


def test_a_signed_url_expires(otad):
    """One with the shortest life that a policy gives; it lives at least as long as its execution."""
    offered = Offered(otad, offer_timeout="1s", finish_timeout="1s")
    expires = int(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(offered.url).query))["e"])
    if expires - time.time() > WAIT_S:
        pytest.skip("the shortest URL outlives this test; test_tampered_urls covers the forged one")
    wait_until(lambda: time.time() > expires + 1)
    assert offered.status() in (401, 403, 404)


def test_public_product_by_name_gives_the_newest(otad):
    product = Product(otad, public=True)
    product.upload(pattern(100, seed=1), "1.0.0", filename="same.bin")
    product.upload(pattern(100, seed=2), "1.1.0", filename="same.bin")
    # other products may have a file of that name as well; this name is this product's alone
    product.upload(pattern(100, seed=3), "1.2.0", filename=f"{product.key}-own.bin")
    product.upload(pattern(100, seed=4), "1.3.0", filename=f"{product.key}-own.bin")
    assert otad.http("GET", f"/firmware/{product.key}-own.bin").data == pattern(100, seed=4)


@pytest.mark.parametrize("path", [
    "/firmware/../../etc/passwd", "/firmware/..%2f..%2fetc%2fpasswd", "/firmware/%2e%2e/%2e%2e/etc/passwd",
    "/firmware/..%2F..%2F..%2F..%2Fetc%2Fpasswd", "/firmware/%252e%252e%252fetc%252fpasswd", "/firmware//etc/passwd",
    "/firmware/..", "/firmware/.", "/firmware/", "/firmware/%00", "/firmware/app.bin%00.txt", "/firmware/..%5c..%5cetc",
    "/firmware/../admin.token", "/firmware/..%2fadmin.token", "/firmware/%2e%2e%2fcerts%2fca.key", "/firmware/%",
    "/firmware/%zz", "/firmware/%c0%ae%c0%ae/", "/firmware/" + "a" * 1500, "/firmware/" + "0" * 64,
])
def test_no_path_leads_outside(otad, path):
    token = {"Authorization": f"Bearer {otad.token}"}
    for headers in ({}, token):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reply = otad.http("GET", path, headers=headers)
        assert reply.status in (400, 404), (path, reply.status)
        assert b"root:" not in (reply.data if isinstance(reply.data, bytes) else b"")
    assert otad.http("GET", "/firmware/../../etc/passwd").status == 404


# ---- TLS

def negotiate(otad, version=None, session=None, ciphers=None):
    context = otad.tls()
    if version:
        context.minimum_version = ssl.TLSVersion.TLSv1
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
    assert first.recv(16384).endswith(DATA[:10])  # the ticket of TLS 1.3 comes after the handshake
    session = first.session
    first.close()
    plain = socket.create_connection(("localhost", shelf.otad.https_port), timeout=WAIT_S)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as second:
        second.sendall(ask)
        assert second.recv(16384).endswith(DATA[:10])
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
