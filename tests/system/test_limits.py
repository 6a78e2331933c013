"""What one client may take of the server: time, connections, failed logins, a place in the queue. Others are served."""
import contextlib
import http.client
import os
import resource
import signal
import socket
import sqlite3
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import Factory
from files import pattern
from fleet import Product
from harness import WAIT_S, basic, problem, read_reply, wait_until
from session import Session

HERE, THERE = "127.0.0.1", "127.0.0.2"  # two addresses of one machine
NOT_AUTHORISED = 5  # CONNACK of MQTT 3.1.1
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(port, address=HERE, rcvbuf=None):
    sock = socket.socket()
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.settimeout(WAIT_S)
    sock.bind((address, 0))
    sock.connect((HERE, port))
    return sock


def tls_over(otad, sock):
    return otad.tls().wrap_socket(sock, server_hostname="localhost")


def call(otad, target, address=HERE, method="GET", headers=None, body=None):
    """A request over TLS from one of the two addresses."""
    connection = http.client.HTTPSConnection("localhost", otad.https_port, timeout=WAIT_S, context=otad.tls())
    connection.sock = tls_over(otad, connect(otad.https_port, address))
    try:
        connection.request(method, target, body=body, headers=headers or {})
        return read_reply(connection)
    finally:
        connection.close()


def counters(otad):
    return otad.by_socket("GET", "/api/v1/status").data["counters"]


def drip(sock, data, pause_s=0.1):
    """Sends byte after byte until the other side has had enough."""
    end = time.monotonic() + WAIT_S
    sock.settimeout(pause_s)
    sent = 0
    while time.monotonic() < end:
        try:
            sock.sendall(data[sent % len(data):][:1])
            sent += 1
            if sock.recv(4096) == b"":
                return sent
        except TimeoutError:
            continue
        except OSError:
            return sent
    raise AssertionError(f"still open after {sent} bytes")


def client_hello(otad):
    """The first bytes that a client of TLS says."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        otad.tls().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


# ---- slow heads

@pytest.fixture(scope="module")
def hasty():
    """Heads must be there within a second."""
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory({"header_timeout": "1s"})
        factory.stop()


def first_head(otad, tls):
    sock = connect(otad.https_port if tls else otad.http_port)
    return tls_over(otad, sock) if tls else sock


def later_head(otad, tls):
    sock = first_head(otad, tls)
    sock.sendall(GET)
    assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
    return sock


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("begin", [first_head, later_head])
def test_a_head_that_drips_is_cut(hasty, begin, tls):
    before = counters(hasty)["connections_cut"]
    with begin(hasty, tls) as sock:
        drip(sock, b"GET /health HTTP/1.1\r\nX: " + b"x" * 5000)
    assert counters(hasty)["connections_cut"] == before + 1
    assert hasty.http("GET", "/health").status == 200


def test_a_handshake_that_drips_is_cut(hasty):
    hello = client_hello(hasty)
    assert len(hello) > 100
    with connect(hasty.https_port) as sock:
        assert drip(sock, hello) < len(hello)


@pytest.mark.parametrize("said", [b"", b"half"])
def test_who_says_nothing_more_is_cut(hasty, said):
    hello = client_hello(hasty)
    with connect(hasty.https_port) as sock:
        sock.sendall(hello[:len(hello) // 2] if said else b"")
        assert sock.recv(100) == b""


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_half_a_handshake_keeps_no_core_busy(otad):
    """How long a second is, is not asked: only what otad does in it, which is nothing."""
    hello = client_hello(otad)
    with connect(otad.https_port) as sock:
        sock.sendall(hello[:len(hello) // 2])
        time.sleep(0.5)
        before = cpu_s(otad.pid)
        time.sleep(2)
        assert cpu_s(otad.pid) - before < 0.2
        sock.sendall(hello[len(hello) // 2:])
        assert sock.recv(3)[:1] == b"\x16"


@pytest.mark.parametrize("said", [GET, bytes(range(256)) * 8, b"\x16\x03\x01\xff\xff" + b"\xff" * 300],
                         ids=["http", "bytes", "record"])
def test_what_is_no_tls_is_closed(hasty, said):
    with connect(hasty.https_port) as sock:
        sock.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(4096):
                pass
    assert hasty.http("GET", "/health").status == 200


def test_a_connection_may_be_idle_between_requests(hasty):
    """Longer than a head may take: nothing has come of the next one."""
    with later_head(hasty, True) as kept, later_head(hasty, False) as plain:
        with connect(hasty.http_port) as silent:
            assert silent.recv(100) == b""
        with later_head(hasty, False) as dripping:
            drip(dripping, b"GET")
        for sock in (kept, plain):
            sock.sendall(GET)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


# ---- slow bodies and readers

def read_at(sock, size, pause_s, over):
    """Reads so much at a time, until the other side or the test has had enough."""
    data = bytearray()
    with contextlib.suppress(OSError):
        while more := sock.recv(size):
            data += more
            if over.wait(pause_s):
                break
    return bytes(data)


@pytest.mark.slow
def test_slow_bodies_and_readers_are_cut(make_otad):
    """All at once, since each takes its time: an upload that drips, downloads over TCP and TLS that are read too slowly; and
    one that is slow enough to be looked at, and read at some pace, is sent to its end."""
    otad = make_otad({"min_rate": 16384})
    product = Product(otad, public=True)
    data = pattern(24_000_000)
    product.upload(data, filename="big.bin")
    head = (f"PUT /api/v1/firmware?product={product.key}&version=9 HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {otad.token}\r\nContent-Length: 100000\r\n\r\n").encode()
    get = b"GET /firmware/big.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    over = threading.Event()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor() as pool:
        stack.callback(over.set)
        upload = stack.enter_context(connect(otad.http_port))
        upload.sendall(head)
        slow = [stack.enter_context(connect(otad.http_port, rcvbuf=4096)),
                stack.enter_context(tls_over(otad, connect(otad.https_port, rcvbuf=4096)))]
        steady = stack.enter_context(connect(otad.http_port, rcvbuf=65536))
        for sock in (*slow, steady):
            sock.sendall(get)
        for sock in slow:
            pool.submit(read_at, sock, 1000, 1, over)
        whole = pool.submit(read_at, steady, 32768, 0.1, threading.Event())
        drip(upload, b"x" * 1000, pause_s=1)
        assert counters(otad)["connections_cut"] == 1
        wait_until(lambda: counters(otad)["connections_cut"] == 3, 2 * WAIT_S, "the ends of slow readers")
        over.set()
        assert whole.result(4 * WAIT_S).split(b"\r\n\r\n", 1)[1] == data
    # the upload left nothing behind
    assert [row["version"] for row in otad.ok("GET", f"/firmware?product={product.key}")["items"]] == ["1.2.0"]


# ---- connections

@pytest.fixture(scope="module")
def capped():
    """Six connections for an address, the loopback's too."""
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory({"trusted_nets": "", "max_connections_per_address": 6})
        factory.stop()


def is_served(otad, sock):
    """A kept connection; False when it was closed without a word."""
    try:
        sock.sendall(GET)
        return sock.recv(65536).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def test_connections_of_one_address(capped):
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(capped.http_port)) for _ in range(30)]
        served = [sock for sock in socks if is_served(capped, sock)]
        assert 6 <= len(served) < 12  # two threads that accept in the same moment may let one more in each
        assert counters(capped)["connections_refused"] >= 18
        assert call(capped, "/health", THERE).status == 200
        # the same address over the other listener
        with pytest.raises((ssl.SSLError, OSError)):
            call(capped, "/health", HERE)
        for sock in served:
            sock.close()
        wait_until(lambda: is_served(capped, stack.enter_context(connect(capped.http_port))), what="a place again")


def test_a_thousand_idle_connections_of_one_address(make_otad):
    otad = make_otad({"trusted_nets": "", "max_connections": 400, "header_timeout": "1h"})
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(connect(otad.https_port))
        wait_until(lambda: counters(otad)["connections_refused"] >= 1000 - 200 - 8, what="refusals beyond half of all")
        assert call(otad, "/health", THERE).status == 200


def test_trusted_networks_have_no_cap(make_otad):
    otad = make_otad({"max_connections_per_address": 2})
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(otad.http_port)) for _ in range(20)]
        assert all(is_served(otad, sock) for sock in socks)


def test_more_connections_than_there_may_be(make_otad):
    """They wait; and since nobody may be slow, they do not wait for ever."""
    otad = make_otad({"max_connections": 16, "header_timeout": "1s"})
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connect(otad.http_port))
        assert is_served(otad, stack.enter_context(connect(otad.http_port)))


def test_no_descriptors_left(make_otad):
    otad = make_otad({"header_timeout": "1s"})
    broker = otad.broker_pid()
    folder = f"/proc/{otad.pid}/fd"
    resource.prlimit(otad.pid, resource.RLIMIT_NOFILE, (len(os.listdir(folder)) + 20,) * 2)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connect(otad.http_port))
        # a thread's first request wants descriptors too, for its reader of the store
        wait_until(lambda: is_served(otad, stack.enter_context(connect(otad.http_port))), what="a place")
    wait_until(lambda: otad.http("GET", "/health").status == 200, what="an answer")
    assert otad.broker_pid() == broker
    assert len(otad.log().splitlines()) < 200


def test_a_stop_lets_running_requests_end(make_otad):
    """Downloads and an upload under way, and nobody new."""
    otad = make_otad()
    product = Product(otad, public=True)
    data = pattern(4_000_000)
    product.upload(data, filename="big.bin")
    head = (f"PUT /api/v1/firmware?product={product.key}&version=9 HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {otad.token}\r\nContent-Length: 2000\r\n\r\n").encode()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(50) as pool:
        upload = stack.enter_context(tls_over(otad, connect(otad.https_port)))
        upload.sendall(head + data[:1000])
        socks = [stack.enter_context(connect(otad.http_port, rcvbuf=8192)) for _ in range(50)]
        for sock in socks:
            sock.sendall(b"GET /firmware/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.recv(1)
        wait_until(lambda: counters(otad)["requests"] >= 52, what="the upload's head")
        otad.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in otad.log(), what="the stop")

        def refused():
            with contextlib.suppress(ConnectionRefusedError, ConnectionResetError), connect(otad.http_port):
                return False
            return True
        wait_until(refused, what="new connections to be refused")
        whole = [pool.submit(read_at, sock, 1 << 20, 0, threading.Event()) for sock in socks]
        upload.sendall(data[1000:2000])
        assert upload.recv(65536).startswith(b"HTTP/1.1 201 ")
        for one in whole:
            assert one.result(WAIT_S).split(b"\r\n\r\n", 1)[1] == data
    otad.stop()


# ---- shapes that two parsers would read differently

INNER = "GET /api/v1/ca HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = "POST /api/v1/products HTTP/1.1\r\nHost: localhost\r\n"


SHAPES = [
    POST + f"Content-Length: {len(INNER)}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    POST + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + INNER,
    POST + f"Content-Length: 0\r\nContent-Length: {len(INNER)}\r\n\r\n" + INNER,
    POST + f"Content-Length: {len(INNER)}\r\nContent-Length: 0\r\n\r\n" + INNER,
    POST + f"Content-Length : {len(INNER)}\r\n\r\n" + INNER,
    POST + f"Content-Length: +{len(INNER)}\r\n\r\n" + INNER,
    POST + "Content-Length: -1\r\n\r\n" + INNER,
    POST + "Content-Length: 0x0\r\n\r\n" + INNER,
    POST + "Content-Length: 18446744073709551616\r\n\r\n" + INNER,
    POST + f"Content-Length: 0, {len(INNER)}\r\n\r\n" + INNER,
    POST + "Content-Length:\r\n\r\n" + INNER,
    POST + "Transfer-Encoding: gzip\r\n\r\n" + INNER,
    POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + INNER,
    POST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + INNER,
    POST + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + INNER,
    POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + INNER,
    POST + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + INNER,
    POST + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + INNER,
    POST + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + INNER,
    POST + "Transfer-Encoding: chunked\r\n\r\n5;" + "x" * 9000 + "\r\n" + INNER,
    POST + "X\0: a\r\n\r\n" + INNER,
    "POST /api/v1/products HTTP/1.1\r\n\r\n" + INNER,
    POST + "Host: other\r\n\r\n" + INNER,
    "POST /api/v1/products\0 HTTP/1.1\r\nHost: localhost\r\n\r\n" + INNER,
    "POST /api/v1/products HTTP/1.1\r\nHost : localhost\r\n\r\n" + INNER,
    "POST /api/v1/products HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n" + INNER,
    "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n" + INNER,
    "G@T / HTTP/1.1\r\nHost: localhost\r\n\r\n" + INNER,
]


@pytest.mark.parametrize("said", SHAPES, ids=range(len(SHAPES)))
def test_no_second_request_is_smuggled(hasty, said):
    """The answer is a refusal, and the last word on the connection: what follows was handled by nobody."""
    before = counters(hasty)["requests"]
    with connect(hasty.http_port) as sock:
        sock.sendall(said.encode())
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while more := sock.recv(65536):
                data += more
    assert data == b"" or data.startswith(b"HTTP/1.1 4") or data.startswith(b"HTTP/1.1 5"), data
    assert b"BEGIN CERTIFICATE" not in data
    handled = counters(hasty)["requests"] - before - 1  # the question for the counter is one too
    assert handled in (0, 1), data
    assert hasty.http("GET", "/health").status == 200


def test_an_absolute_target_is_a_path(hasty):
    with connect(hasty.http_port) as sock:
        sock.sendall(b"GET http://elsewhere/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", ["/api/v1/x%0d%0aSet-Cookie:a=b", "/firmware/x%0aSet-Cookie:a=b",
                                  "/%0d%0a%0d%0aHTTP/1.1%20200"])
def test_no_field_is_reflected(hasty, path):
    reply = hasty.http("GET", path)
    assert reply.status in (400, 404)
    assert "Set-Cookie" not in reply.headers


# ---- failed logins

@pytest.fixture(scope="module")
def strict():
    """The loopback is an address like others."""
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory({"trusted_nets": "", "login_failures": 20, "login_failures_per_address": 100,
                       "max_connections_per_address": 1000})
        factory.stop()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def slowed(reply):
    problem(reply, 429)
    assert 5 <= int(reply.headers["Retry-After"]) <= 15


def fail_until_slowed(fail, most=60):
    """How many failures were answered as such."""
    for n in range(most):
        reply = fail()
        if reply.status == 429:
            slowed(reply)
            return n
        assert reply.status == 401, reply
    raise AssertionError(f"{most} failures, and none was slowed")


@pytest.fixture
def address():
    """An address of the loopback's network that no other test has failed from."""
    return f"127.1.{next(address.numbers)}.1"


address.numbers = iter(range(1, 255))


def test_wrong_tokens_are_slowed_and_the_right_one_never(strict, address):
    assert fail_until_slowed(lambda: call(strict, "/api/v1/products", address, headers=bearer("wrong" * 8))) >= 20
    assert call(strict, "/api/v1/products", THERE, headers=bearer(strict.token)).status == 200
    assert call(strict, "/api/v1/products", address, headers=bearer(strict.token)).status == 200
    slowed(call(strict, "/api/v1/products", address, headers=bearer("other" * 8)))
    assert call(strict, "/health", address).status == 200


def test_guesses_at_a_device_are_slowed(strict, address):
    product = Product(strict)
    secret, other = (product.register(name)["secret"] for name in ("d1", "d2"))

    def offer(name, word, where=address):
        return call(strict, "/api/v1/device/offer", where, headers=basic(f"{product.key}/{name}", word))
    assert offer("d1", secret).status == 204
    assert fail_until_slowed(lambda: offer("d1", "guess")) >= 20
    # or a guess would be known to be right by its answer
    slowed(offer("d1", secret))
    assert offer("d2", other).status == 204
    assert offer("d1", secret, THERE).status == 204
    # it leaks
    wait_until(lambda: offer("d1", secret).status == 204, what="the device to be let in again", pause_s=1)


def test_unknown_devices_are_slowed_alike(strict, address):
    product = Product(strict)
    assert fail_until_slowed(lambda: call(strict, "/api/v1/device/offer", address,
                                          headers=basic(f"{product.key}/nobody", "guess"))) >= 20


def test_onenet_tokens_are_slowed(strict, address):
    product = Product(strict, protocol="onenet")
    product.register("d1")
    path = f"/fuse-ota/{product.key}/d1/version"
    token = (f"version=2018-10-31&res=products%2F{product.key}%2Fdevices%2Fd1&et=2524608000&method=sha1"
             "&sign=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D")
    for _ in range(60):
        reply = call(strict, path, address, headers={"Authorization": token})
        if reply.status == 429:
            break
        assert reply.status == 200 and reply.data["code"] != 0, reply
    assert reply.status == 429 and reply.headers["Retry-After"], reply


def test_updaters_are_slowed(strict, address):
    product = Product(strict)
    product.register("d1")
    assert fail_until_slowed(lambda: call(strict, f"/update/{product.key}", address,
                                          headers=basic(f"{product.key}/d1", "guess"))) >= 20


def test_all_names_of_an_address_have_a_ceiling(strict, address):
    product = Product(strict)
    product.register("d1")
    names = iter(range(1000))
    assert fail_until_slowed(lambda: call(strict, "/api/v1/device/offer", address,
                                          headers=basic(f"{product.key}/n{next(names)}", "guess")), 300) >= 100
    assert call(strict, "/api/v1/products", address, headers=bearer(strict.token)).status == 200


def test_forged_urls_count_and_late_ones_do_not(strict, address):
    product = Product(strict)
    device = product.register("d1")
    firmware = product.upload(pattern(5000))
    strict.wait_campaign(product.campaign(firmware), "running")
    headers = basic(f"{product.key}/d1", device["secret"])
    poll = "/api/v1/device/offer?version=1.0.0"
    offer = wait_until(lambda: call(strict, poll, THERE, headers=headers).data, what="an offer")["url"]
    target = offer[len("https://localhost:") + len(str(strict.https_port)):]
    assert call(strict, target, address).status == 200
    before = counters(strict)["logins_failed"]
    forged = target[:-5] + ("AAAAA" if target[-5:] != "AAAAA" else "BBBBB")
    assert fail_until_slowed(lambda: call(strict, forged, address), 300) >= 100
    assert counters(strict)["logins_failed"] - before >= 100
    assert call(strict, target, address).status == 200


def test_trusted_networks_are_not_slowed(make_otad):
    otad = make_otad({"login_failures": 3})
    for _ in range(30):
        assert call(otad, "/api/v1/products", headers=bearer("wrong")).status == 401


# ---- the broker

def mqtt_refused(otad, name, secret):
    """The code of CONNACK; None for a line that was closed without one."""
    return Session(otad.mqtt_plain_port, name, secret).refused()


def test_logins_at_the_broker_are_slowed(strict):
    """Not under another name; and the right secret is refused like a wrong one, without saying that it is for good."""
    product = Product(strict)
    secret, other = (product.register(name)["secret"] for name in ("d1", "d2"))
    name = f"{product.key}/d1"
    n = next(n for n in range(60) if mqtt_refused(strict, name, "guess") != NOT_AUTHORISED)
    assert n >= 20
    assert mqtt_refused(strict, name, secret) != NOT_AUTHORISED
    session = Session(strict.mqtt_plain_port, f"{product.key}/d2", other).connect()
    assert session.rc == 0
    session.disconnect()

    def let_in():
        again = Session(strict.mqtt_plain_port, name, secret).connect()
        again.disconnect()
        return again.rc == 0
    wait_until(let_in, what="the device to be let in again", pause_s=1)


def test_trusted_networks_are_not_slowed_at_the_broker(make_otad):
    otad = make_otad({"login_failures": 3})
    product = Product(otad)
    secret = product.register("d1")["secret"]
    for _ in range(10):
        assert mqtt_refused(otad, f"{product.key}/d1", "guess") == NOT_AUTHORISED
    session = Session(otad.mqtt_plain_port, f"{product.key}/d1", secret).connect()
    assert session.rc == 0
    session.disconnect()


# ---- more work than can be done

@contextlib.contextmanager
def held_up(otad):
    """The store's writer waits for a lock that is another's."""
    db = sqlite3.connect(otad.data / "otad.db", isolation_level=None, timeout=WAIT_S)
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")
    finally:
        db.close()


def test_too_many_wait_for_the_writer(make_otad):
    """Who would wait behind too many is sent away for a while, with nothing charged; reading goes on, and the operator at the
    socket is not sent away."""
    otad = make_otad({"max_waiting": 4})
    product = Product(otad)
    secret = product.register("d1")["secret"]
    headers = basic(f"{product.key}/d1", secret)
    poll = "/api/v1/device/offer?version=1.0.0"
    assert otad.http("GET", poll, headers=headers).status == 204
    campaign = product.campaign(product.upload(pattern(5000)))
    otad.wait_state(campaign, "d1", "queued")
    waiting = []
    with held_up(otad):
        def create(n):
            waiting.append(otad.api("POST", "/products", {"key": f"w{n}", "protocol": "native"}).status)
        threads = [threading.Thread(target=create, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        wait_until(lambda: counters(otad)["requests_shed"] >= 8 - 4, what="the first to be sent away")

        def shed():
            reply = otad.http("GET", poll, headers=headers)
            return reply if reply.status == 503 else None
        reply = wait_until(shed, what="a poll that is sent away")
        assert 5 <= int(reply.headers["Retry-After"]) <= 15
        assert otad.ok("GET", f"/devices/{product.key}/d1")["name"] == "d1"
        assert otad.state_of(campaign) == "queued"
    for thread in threads:
        thread.join()
    assert set(waiting) <= {201, 503} and 503 in waiting

    def offered():
        reply = otad.http("GET", poll, headers=headers)
        return reply.data if reply.status == 200 and reply.data else None
    wait_until(offered, what="the offer, when there is room again")
    row = otad.executions(campaign)["d1"]
    assert (row["state"], row["attempt"]) == ("offered", 1), row
    assert otad.health() == 0


def test_retry_after_differs(make_otad):
    """Those who were sent away together do not come back together."""
    otad = make_otad({"trusted_nets": "", "login_failures": 1})
    seen = set()

    def look():
        reply = call(otad, "/api/v1/products", headers=bearer("wrong"))
        seen.update([int(reply.headers["Retry-After"])] if reply.status == 429 else [])
        return len(seen) > 3
    wait_until(look, what="different spans", pause_s=0)
    assert seen <= set(range(5, 16))
