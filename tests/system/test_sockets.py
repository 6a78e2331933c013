"""What stands in one TCP segment or TLS record: controllers take what they read at once for one packet, and look for CONNACK in
4 bytes and for SUBACK in 5. The kernel counts the segments that came in, so that nothing here depends on who reads how fast."""
import hmac
import json
import socket
import struct
import uuid

import pytest

from files import pattern
from fleet import Product
from harness import WAIT_S

SECRET = "0123456789abcdef0123456789abcdef"
DATA_SEGS_IN = 152  # of struct tcp_info in linux/tcp.h: segments with data that the kernel has taken in
CONNACK, SUBACK, PINGRESP = b"\x20\x02\0\0", b"\x90\x03\0\x01\0", b"\xd0\0"


def segments(sock):
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, DATA_SEGS_IN + 4)
    return struct.unpack_from("=I", info, DATA_SEGS_IN)[0]


class Line:
    """A connection that knows in how many pieces what was read has come: segments, or records where there is TLS, of which
    one read never takes two."""

    def __init__(self, sock, tls):
        self.sock, self.tls = sock, tls
        self.buffer = b""
        self.records = 0

    def send(self, data):
        self.sock.sendall(data)

    def read(self, complete):
        """What complete(buffer) says how long it is, once it is whole."""
        while not complete(self.buffer):
            more = self.sock.recv(65536)
            assert more, f"closed after {self.buffer!r}"
            self.records += 1
            self.buffer += more
        n = complete(self.buffer)
        found, self.buffer = self.buffer[:n], self.buffer[n:]
        return found

    def pieces(self):
        return self.records if self.tls else segments(self.sock)


def string(text):
    return struct.pack(">H", len(text)) + text.encode()


def packet(first, body):
    length, n = b"", len(body)
    while True:
        length += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            return bytes([first]) + length + body


def split(data):
    """Bytes of the first packet's head, and of all of it; 0, 0 while the head is not whole."""
    n = 0
    for i, byte in enumerate(data[1:5]):
        n |= (byte & 127) << 7 * i
        if byte < 128:
            return i + 2, i + 2 + n
    return 0, 0


def packet_end(data):
    """Bytes of the first packet in data; 0 while it is not whole."""
    _, end = split(data)
    return end if len(data) >= end else 0


class Board(Line):
    """A device of Aliyun's that writes its packets by hand, as those on microcontrollers do."""

    def __init__(self, otad, product, tls, name="dev01"):
        port = otad.mqtt_port if tls else otad.mqtt_plain_port
        sock = socket.create_connection(("localhost", port), timeout=WAIT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(otad.tls().wrap_socket(sock, server_hostname="localhost") if tls else sock, tls)
        self.product, self.name = product.key, name
        text = f"clientId{name}deviceName{name}productKey{self.product}"
        password = hmac.new(SECRET.encode(), text.encode(), "sha1").hexdigest()
        login = [f"{name}|securemode=3,signmethod=hmacsha1|", f"{name}&{self.product}", password]
        self.send(packet(0x10, b"\0\4MQTT\4\xc2\0\x64" + b"".join(map(string, login))))

    def packet(self):
        return self.read(packet_end)

    def message(self):
        """Topic and payload of the next packet, which must be the only kind of PUBLISH that boards know."""
        found = self.packet()
        assert found[0] == 0x30, found
        head, _ = split(found)
        body = found[head:]
        n, = struct.unpack_from(">H", body)
        return body[2:2 + n].decode(), body[2 + n:]

    def topic(self, leaf):
        return f"/ota/device/{leaf}/{self.product}/{self.name}"

    def subscribe(self, topic):
        return packet(0x82, b"\0\1" + string(topic) + b"\0")

    def ask(self, stream, size, offset):
        text = (f'{{"id": "1","params": {{"fileInfo":{{"streamId":{stream},"fileId":1}},'
                f'"fileBlock":{{"size":{size},"offset":{offset}}}}}}}')
        return packet(0x30, string(f"/sys/{self.product}/{self.name}/thing/file/download") + text.encode())


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def tls(request):
    return request.param


@pytest.fixture
def fleet(otad):
    product = Product(otad, key=f"a1{uuid.uuid4().hex[:9]}", protocol="aliyun", transfer="mqtt")
    product.register("dev01", secret=SECRET)
    return product


@pytest.fixture
def due(otad, fleet):
    """The firmware of a campaign that waits for the device."""
    firmware = fleet.upload(pattern(5092), version="1.1")
    otad.wait_campaign(fleet.campaign(firmware), "running")
    return firmware


# ---- MQTT

def test_nothing_comes_with_connack(otad, fleet, due, tls):
    board = Board(otad, fleet, tls)
    assert board.packet() == CONNACK
    topic, payload = board.message()
    assert (topic, json.loads(payload)["data"]["streamId"]) == (board.topic("upgrade"), due["id"])
    assert board.pieces() == 2


def test_nothing_comes_with_suback(otad, fleet, due, tls):
    board = Board(otad, fleet, tls)
    assert board.packet() == CONNACK
    board.send(board.subscribe(board.topic("upgrade")))
    packets = [board.packet(), board.packet()]  # the offer may be on its way already
    assert SUBACK in packets
    assert [p[0] for p in packets if p != SUBACK] == [0x30]
    assert board.pieces() == 3


def test_packets_that_are_due_together_come_apart(otad, fleet, tls):
    board = Board(otad, fleet, tls)
    assert board.packet() == CONNACK
    board.send(board.subscribe("/sys/x/y") + packet(0xC0, b"") * 2)
    packets = [board.packet() for _ in range(3)]
    assert packets[0][:4] == SUBACK[:4] and packets[1:] == [PINGRESP] * 2
    assert board.pieces() == 4


def test_blocks_come_apart_and_whole(otad, fleet, due, tls):
    board = Board(otad, fleet, tls)
    assert board.packet() == CONNACK
    board.message()
    board.send(b"".join(board.ask(due["id"], 1024, offset) for offset in range(0, 4096, 1024)))
    blocks = [board.message()[1] for _ in range(4)]
    assert b"".join(block[-1026:-2] for block in blocks) == pattern(4096)
    assert board.pieces() == 6


def test_a_refused_login_is_4_bytes(otad, fleet):
    otad.ok("PATCH", f"/devices/{fleet.key}/dev01", {"enabled": False})
    board = Board(otad, fleet, False)
    answer = board.packet()
    assert len(answer) == 4 and answer[:3] == CONNACK[:3] and answer[3] in (4, 5)


# ---- HTTP

ENDS = {"whole": ("", 200, 1000), "part": ("Range: bytes=256-511\r\n", 206, 256), "missing": ("", 404, None)}


def http_end(data):
    """Bytes of the answer in data; 0 while it is not whole."""
    head, found, _ = data.partition(b"\r\n\r\n")
    if not found:
        return 0
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
    return len(head) + 4 + length if len(data) >= len(head) + 4 + length else 0


@pytest.mark.parametrize("what", ENDS)
def test_a_small_answer_comes_at_once(otad, tls, what):
    lines, status, size = ENDS[what]
    product = Product(otad, public=True)
    name = f"{product.key}.bin"
    product.upload(pattern(1000), filename=name)
    sock = otad.raw() if tls else socket.create_connection(("localhost", otad.http_port), timeout=WAIT_S)
    line = Line(sock, tls)
    line.send(f"GET /firmware/{'none' if what == 'missing' else name} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
    head, body = line.read(http_end).split(b"\r\n\r\n", 1)
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
    assert size in (None, len(body))
    assert line.pieces() == 1
