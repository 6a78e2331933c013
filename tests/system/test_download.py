"""GET and HEAD /firmware/{name}: ranges, preconditions, connections."""
import email
import re
import socket
import ssl
import subprocess

import pytest

from files import DATA, SIZE, pattern
from fleet import Product
from harness import WAIT_S, read_reply, wait_until


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
    for headers in ({}, {"If_None_Match": shelf.etag}, {"If_Match": '"other"'}):
        get, head = shelf.get(**headers), shelf.get("HEAD", **headers)
        assert head.data == b""
        assert head.status == get.status
        for name in ("Content-Length", "Content-Range", "ETag", "Accept-Ranges", "Content-Type", "Last-Modified"):
            assert head.headers[name] == get.headers[name], (headers, name)


def test_range_means_nothing_to_head(shelf):
    """RFC 9110 14.2: GET is the only method for which range handling is defined."""
    head = shelf.get("HEAD", Range="bytes=5-9")
    assert (head.status, head.headers["Content-Length"], head.data) == (200, str(SIZE), b"")


def test_the_head_of_a_206_is_small(shelf):
    with shelf.otad.raw() as sock:
        sock.sendall(f"GET {shelf.target} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-99\r\n"
                     "Connection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: sock.recv(65536), b""))
    head, body = reply.split(b"\r\n\r\n", 1)
    assert body == DATA[:100]
    assert len(head) + 4 < 300, head
    assert all(len(line) <= 128 for line in head.split(b"\r\n"))


def test_small_answers_come_in_one_segment(shelf):
    """Small clients expect head and body of a short range together: each answer is one read of the TCP socket."""
    ask = f"GET {shelf.target} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-99\r\n\r\n".encode()
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = shelf.otad.tls().wrap_bio(coming, going, server_hostname="localhost")

    def step(act):
        """What act answers, and how many reads it took."""
        reads = 0
        while True:
            try:
                return act(), reads
            except ssl.SSLWantReadError:
                sock.sendall(going.read())
                coming.write(sock.recv(65536))
                reads += 1

    def answer():
        tls.write(ask)
        data, reads = step(lambda: tls.read(65536))
        while not data.endswith(DATA[:100]):
            more, again = step(lambda: tls.read(65536))
            data, reads = data + more, reads + again
        return reads
    with socket.create_connection(("localhost", shelf.otad.https_port), timeout=WAIT_S) as sock:
        step(tls.do_handshake)
        answer()  # comes with the session's tickets
        assert [answer() for _ in range(20)] == [1] * 20


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
