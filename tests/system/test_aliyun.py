"""Aliyun's devices: the SDK that never subscribes, boards that read by sscanf, and what none of them may do."""
import contextlib
import ctypes
import hashlib
import hmac
import itertools
import json
import queue
import socket
import struct
import threading
import urllib.parse

import paho.mqtt.client as paho
import pytest

from conftest import Factory
from files import pattern
from fleet import Product, Refused
from harness import WAIT_S, wait_until
from maker import Maker
from walks import run_walk, walk

FOREVER = "2524608000000"  # the time that Link SDK signs


def sign(product, device, secret, cid, method="hmacsha256", timestamp=None):
    text = f"clientId{cid}deviceName{device}productKey{product}" + (f"timestamp{timestamp}" if timestamp else "")
    return hmac.new(secret.encode(), text.encode(), method.removeprefix("hmac")).hexdigest()


class Login:
    """What a device says in CONNECT."""

    def __init__(self, product, device, secret, *, cid=None, method="hmacsha256", timestamp=FOREVER, more="_ss=1,securemode=2,",
                 upper=True):
        cid = f"{product}.{device}" if cid is None else cid
        time = f"timestamp={timestamp}," if timestamp else ""
        self.client_id = f"{cid}|{time}{more}signmethod={method},ext=3|"
        self.username = f"{device}&{product}"
        password = sign(product, device, secret, cid, method, timestamp)
        self.password = password.upper() if upper else password


class Sdk:
    """A device with Link SDK: it subscribes to nothing, and hears what it needs."""

    def __init__(self, otad, product, name, secret, login=None, tls=True):
        self.otad, self.product, self.name = otad, product, name
        self.messages = queue.Queue()  # (topic, payload, qos)
        self.ids = itertools.count(1)
        self.answered, self.ended = threading.Event(), threading.Event()
        self.rc = None
        login = login or Login(product, name, secret)
        self.port = otad.mqtt_port if tls else otad.mqtt_plain_port
        self.client = paho.Client(login.client_id, clean_session=True)
        self.client.username_pw_set(login.username, login.password)
        if tls:
            self.client.tls_set_context(otad.tls())
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = lambda *_: self.ended.set()
        self.client.on_message = lambda _c, _u, m: self.messages.put((m.topic, m.payload, m.qos))

    def _on_connect(self, _client, _userdata, _flags, rc):
        self.rc = rc
        self.answered.set()

    def connect(self):
        self.client.connect("localhost", self.port, keepalive=60)
        self.client.loop_start()
        assert self.answered.wait(WAIT_S), "no CONNACK"
        if self.rc != 0:
            self.client.loop_stop()
            raise Refused(self.rc)
        return self

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()

    def ota(self, leaf):
        return f"/ota/device/{leaf}/{self.product}/{self.name}"

    def sys(self, leaf):
        return f"/sys/{self.product}/{self.name}/thing/{leaf}"

    def say(self, topic, body, qos=0):
        body = body if isinstance(body, (bytes, str)) else json.dumps(body, separators=(",", ":"))
        self.client.publish(topic, body, qos=qos).wait_for_publish(WAIT_S)

    def inform(self, version, module=None):
        params = {"version": version, **({"module": module} if module else {})}
        self.say(self.ota("inform"), f'{{"id":{next(self.ids)}, "params":{json.dumps(params)}}}')

    def progress(self, step, desc="", module=None):
        params = {"step": str(step), "desc": desc, **({"module": module} if module else {})}
        self.say(self.ota("progress"), f'{{"id":{next(self.ids)}, "params":{json.dumps(params)}}}')

    def next(self, topic):
        """The next message on the topic; what else comes is passed over."""
        while True:
            message = self.messages.get(timeout=WAIT_S)
            if message[0] == topic:
                return message

    def push(self):
        """The data of the next push, which must have the platform's frame."""
        topic, payload, qos = self.next(self.ota("upgrade"))
        body = json.loads(payload)
        assert list(body) == ["code", "data", "id", "message"] and (body["code"], body["message"]) == ("1000", "success")
        assert payload.decode() == json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        assert isinstance(body["id"], int) and 10**12 < body["id"] < 10**13
        assert qos == 0
        return body["data"]

    def get(self, leaf="ota/firmware/get", **params):
        """What a pull is answered with."""
        number = next(self.ids)
        self.say(self.sys(leaf), {"id": number, "params": params})
        body = json.loads(self.next(self.sys(leaf + "_reply"))[1])
        assert body["id"] == number and body["code"] == "1000"
        return body["data"]

    def ask(self, stream, size, offset, file=1, number=None, token='"fileToken":"default",'):
        """As Link SDK asks for a block: with the comma that is too many."""
        number = next(self.ids) if number is None else number
        self.say(self.sys("file/download"),
                 f'{{"id":"{number}","version":"1.0","params":{{{token}"fileInfo":{{"streamId":{stream},"fileId":{file},}},'
                 f'"fileBlock":{{"size":{size},"offset":{offset}}}}}}}')
        return str(number)

    def block(self, *args, **more):
        """The head and the bytes of what a request is answered with."""
        number = self.ask(*args, **more)
        topic, payload, qos = self.next(self.sys("file/download_reply"))
        head, data = open_answer(payload)
        assert qos == 0 and head["id"] == number
        return head, data

    def download(self, stream, size, file=1, step=10240):
        data = b""
        while len(data) < size:
            head, more = self.block(stream, min(step, size - len(data)), len(data), file=file)
            assert head["data"] == {"fileToken": "default", "bOffset": len(data), "fileLength": size, "bSize": len(more)}
            data += more
        return data

    def settle(self):
        """Returns when everything said before is in the store: it is answered in order."""
        return self.get()


def crc16_of(byte):
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


CRC16 = [crc16_of(byte) for byte in range(256)]


def crc16(data):
    """CRC-16/ARC."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ CRC16[(crc ^ byte) & 255]
    return crc


def open_answer(payload):
    """Length, JSON, bytes, CRC: no byte more or less. Errors have no bytes, and no CRC."""
    n, = struct.unpack_from(">H", payload)
    text, rest = payload[2:2 + n], payload[2 + n:]
    head = json.loads(text)
    assert len(text) == n and text.decode() == json.dumps(head, separators=(",", ":"))
    if head["code"] != 200:
        assert rest == b"" and head["message"]
        return head, None
    assert text.endswith(b'"message":"success"}')
    crc, = struct.unpack_from("<H", rest, len(rest) - 2)
    assert crc == crc16(rest[:-2])
    assert head["data"]["bSize"] == len(rest) - 2
    return head, rest[:-2]


class Fleet(Product):
    """A product of Aliyun's devices."""

    def __init__(self, otad, **fields):
        super().__init__(otad, protocol="aliyun", **fields)

    def sdk(self, name, **more):
        """Registered and connected."""
        return Sdk(self.otad, self.key, name, self.register(name)["secret"], **more).connect()


@pytest.fixture
def fleet(otad):
    return Fleet(otad)


@pytest.fixture(scope="module")
def bare_otad():
    """Its URLs have no port."""
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory({"public_url": "https://localhost"})
        factory.stop()


def path_of(url):
    parts = urllib.parse.urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("https", "localhost"), url
    return url[len("https://localhost"):]


# ---- the good way

def test_a_push_by_url_to_an_sdk_that_never_subscribes(bare_otad, devices):
    fleet = Fleet(bare_otad, transfer="https")
    data = pattern(70_001)
    device = devices(fleet.sdk("dev01"))
    device.inform("1.0.0")
    campaign = fleet.campaign(fleet.upload(data, version="1.0.1"))
    push = device.push()
    md5 = hashlib.md5(data).hexdigest()
    assert list(push.items())[:3] == [("size", 70_001), ("sign", md5), ("version", "1.0.1")]
    assert list(push.items())[4:] == [("signMethod", "Md5"), ("md5", md5)]
    assert len(push["url"]) <= 254
    reply = bare_otad.http("GET", path_of(push["url"]), headers={"Range": "bytes=0-"})
    assert reply.status == 206 and reply.data == data
    for step in (0, 50, 100):
        device.progress(step)
    bare_otad.wait_state(campaign, "dev01", "downloaded")  # 100 is not success
    device.inform("1.0.1")
    bare_otad.wait_state(campaign, "dev01", "succeeded")
    assert device.get() == {}


def test_blocks_where_a_url_would_have_a_port(otad, fleet, devices):
    data = pattern(70_001)
    device = devices(fleet.sdk("dev01"))
    device.inform("1.0.0")
    firmware = fleet.upload(data, version="1.0.1")
    campaign = fleet.campaign(firmware)
    push = device.push()
    md5 = hashlib.md5(data).hexdigest()
    assert list(push.items()) == [("size", 70_001), ("streamId", firmware["id"]), ("sign", md5), ("dProtocol", "mqtt"),
                                  ("version", "1.0.1"), ("signMethod", "Md5"), ("streamFileId", 1), ("md5", md5)]
    assert device.download(push["streamId"], 70_001) == data
    wait_until(lambda: otad.executions(campaign)["dev01"]["percent"] >= 95)
    device.progress(100)
    device.inform("1.0.1")
    otad.wait_state(campaign, "dev01", "succeeded")


def test_everything_that_a_push_may_hold(otad, devices):
    fleet = Fleet(otad, transfer="mqtt", sign_method="SHA256", digest_sign=True)
    device = devices(fleet.sdk("dev01"))
    device.inform("1.0.0", module="MCU")
    firmware = fleet.upload(pattern(300), version="1.0.1", module="MCU")
    fleet.campaign(firmware, ext_data={"_package_udi": '{"z":1}', "k": "v"})
    push = device.push()
    assert list(push) == ["size", "streamId", "digestsign", "extData", "module", "sign", "dProtocol", "version",
                          "signMethod", "streamFileId", "md5"]
    assert (push["sign"], push["signMethod"], push["md5"]) == (firmware["sha256"], "SHA256", firmware["md5"])
    assert (push["digestsign"], push["extData"]) == (firmware["signature"], {"_package_udi": '{"z":1}', "k": "v"})


def test_a_push_has_its_makers_signature(otad, devices, tmp_path):
    maker, data = Maker(tmp_path), pattern(301)
    fleet = Fleet(otad, transfer="mqtt", digest_sign=True, public_keys=[maker.public])
    device = devices(fleet.sdk("dev01"))
    device.inform("1.0.0")
    fleet.campaign(maker.upload(fleet, data))
    assert maker.takes(data, device.push()["digestsign"])


def test_what_waited_is_pushed_to_a_device_that_says_nothing(otad, fleet, devices):
    """Its session begins after the campaign; it neither informs nor subscribes."""
    secret = fleet.register("dev01")["secret"]
    campaign = fleet.campaign(fleet.upload(version="1.0.1"))
    otad.wait_campaign(campaign, "running")
    device = devices(Sdk(otad, fleet.key, "dev01", secret).connect())
    assert device.push()["version"] == "1.0.1"
    otad.wait_state(campaign, "dev01", "offered")


def test_a_download_goes_on_when_the_session_breaks(otad, fleet, devices):
    """Link SDK connects again by itself, says nothing, and asks for the next block: an offer would begin it all anew."""
    secrets = [fleet.register(name)["secret"] for name in ("dev01", "dev02")]
    device = devices(Sdk(otad, fleet.key, "dev01", secrets[0]).connect())
    device.inform("1.0.0")
    campaign = fleet.campaign(fleet.upload(pattern(70_001), version="1.0.1"))
    pushed = device.push()
    device.block(pushed["streamId"], 10240, 0)
    otad.wait_state(campaign, "dev01", "downloading")
    device.disconnect()  # or it would connect again, and end the session of the one that is back
    back = devices(Sdk(otad, fleet.key, "dev01", secrets[0]).connect())
    other = devices(Sdk(otad, fleet.key, "dev02", secrets[1]).connect())
    assert other.push() == pushed  # devices are seen to in the order of their logins
    back.say(back.sys("ota/firmware/get"), {"id": 7, "params": {}})
    assert back.messages.get(timeout=WAIT_S)[0] == back.sys("ota/firmware/get_reply")
    assert back.download(pushed["streamId"], 70_001) == pattern(70_001)
    back.progress(100)
    otad.wait_state(campaign, "dev01", "downloaded")
    back.inform("1.0.0")  # a restart, and no success
    assert back.push() == pushed


def test_pulls(otad, fleet, devices):
    device = devices(fleet.sdk("dev01"))
    device.inform("1.0.0")
    assert device.get() == {}
    assert device.get(module="MCU") == {}
    campaign = fleet.campaign(fleet.upload(version="1.0.1"))
    pushed = device.push()
    assert device.get() == device.get(module="default") == pushed
    assert device.get(module="MCU") == {}
    assert device.push() == pushed  # what is due comes all the same
    device.say(device.ota("request"), {"id": "77", "params": {"version": "1.0.0"}}, qos=1)
    body = json.loads(device.next(device.ota("request"))[1])
    assert body == {"code": "1000", "data": pushed, "id": 77, "message": "success"}
    device.inform("1.0.1")
    otad.wait_state(campaign, "dev01", "succeeded")
    device.say(device.ota("request"), {"id": 78, "params": {"version": "1.0.1"}}, qos=1)
    assert json.loads(device.next(device.ota("request"))[1]) == {"code": "1000", "data": {}, "id": 78, "message": "success"}


@pytest.mark.parametrize("step, reason", [(-1, "unknown"), (-2, "download"), (-3, "verify"), (-4, "flash")])
def test_failures(otad, fleet, devices, step, reason):
    device = devices(fleet.sdk("dev01"))
    device.inform("1.0.0")
    campaign = fleet.campaign(fleet.upload(version="1.0.1"), policy={"max_attempts": 1})
    device.push()
    device.progress(10)
    device.progress(step, desc="OTA升级失败，请求不到升级包信息。")
    row = otad.wait_state(campaign, "dev01", "failed")
    assert (row["reason"], row["detail"]) == (reason, "OTA升级失败，请求不到升级包信息。")


def test_modules_one_after_the_other(otad, fleet, devices):
    device = devices(fleet.sdk("dev01"))
    device.inform("1.0.0")
    device.inform("m1", module="MCU")
    app, mcu = pattern(1000) + b"app", pattern(600) + b"mcu"
    firmware = [fleet.upload(app, version="1.0.1"), fleet.upload(mcu, version="m2", module="MCU")]
    campaign = fleet.campaign(*firmware)
    first = device.push()
    assert (first["version"], "module" in first) == ("1.0.1", False)
    assert device.download(first["streamId"], len(app)) == app
    device.inform("1.0.1")
    second = device.push()
    while second["version"] == "1.0.1":
        second = device.push()
    assert (second["version"], second["module"]) == ("m2", "MCU")
    assert device.download(second["streamId"], len(mcu)) == mcu
    assert otad.state_of(campaign, "dev01") != "succeeded"
    device.progress(100, module="MCU")
    device.inform("m2", module="MCU")
    otad.wait_state(campaign, "dev01", "succeeded")


def test_several_files(otad, bare_otad, devices):
    one, two = pattern(5003), pattern(20_000)[7:]
    for server in (otad, bare_otad):
        fleet = Fleet(server)
        device = devices(fleet.sdk("dev01"))
        device.inform("1.0.0")
        firmware = fleet.upload(one, version="1.0.1", filename="a.bin")
        server.ok("PUT", f"/firmware?part_of={firmware['id']}&filename=b.bin", body=two)
        campaign = fleet.campaign(firmware)
        push = device.push()
        assert push["size"] == len(one) + len(two) and not {"sign", "md5", "url", "streamFileId"} & set(push)
        for file, name, data in zip(push["files"], ("a.bin", "b.bin"), (one, two)):
            md5 = hashlib.md5(data).hexdigest()
            assert (file["fileName"], file["fileSize"], file["fileMd5"], file["fileSign"]) == (name, len(data), md5, md5)
            if "fileUrl" in file:
                assert server is bare_otad and server.http("GET", path_of(file["fileUrl"])).data == data
            else:
                assert server is otad
                assert device.download(push["streamId"], len(data), file=file["streamFileId"]) == data
        device.inform("1.0.1")
        server.wait_state(campaign, "dev01", "succeeded")


# ---- a board that reads by sscanf, on a bare socket

LIBC = ctypes.CDLL(None)


def sscanf(text, form, *out):
    return LIBC.sscanf(text, form, *[ctypes.byref(o) if isinstance(o, ctypes.c_int) else o for o in out])


class Board:
    """As the STM32 examples do it: QoS-0 PUBLISH is what begins with 0x30, and there is no second try."""

    def __init__(self, otad, product, name, secret):
        self.product, self.name = product, name
        self.buffer = b""
        self.sock = socket.create_connection(("localhost", otad.mqtt_plain_port), timeout=WAIT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client_id = f"{name}|securemode=3,signmethod=hmacsha1|"
        password = sign(product, name, secret, name, "hmacsha1")
        fields = b"".join(struct.pack(">H", len(f)) + f for f in (client_id.encode(), f"{name}&{product}".encode(),
                                                                 password.encode()))
        self.send(0x10, b"\0\4MQTT\4\xc2" + struct.pack(">H", 100) + fields)
        assert self.packet() == (0x20, b"\0\0")

    def send(self, first, body):
        length, n = b"", len(body)
        while True:
            n, digit = n >> 7, n & 127
            length += bytes([digit | (128 if n else 0)])
            if not n:
                break
        self.sock.sendall(bytes([first]) + length + body)

    def packet(self):
        while True:
            found = self.split()
            if found:
                return found
            more = self.sock.recv(65536)
            assert more, "closed"
            self.buffer += more

    def split(self):
        n = 0
        for i, byte in enumerate(self.buffer[1:5]):
            n |= (byte & 127) << 7 * i
            if byte < 128:
                end = i + 2 + n
                if len(self.buffer) < end:
                    return None
                found, self.buffer = (self.buffer[0], self.buffer[i + 2:end]), self.buffer[end:]
                return found
        return None

    def subscribe(self, topic):
        self.send(0x82, b"\0\1" + struct.pack(">H", len(topic)) + topic.encode() + b"\0")
        assert self.packet() == (0x90, b"\0\1\0")

    def publish(self, topic, text):
        """QoS 1, without waiting for the PUBACK."""
        self.send(0x32, struct.pack(">H", len(topic)) + topic.encode() + b"\0\2" + text.encode())

    def heard(self, leaf):
        """Topic and payload of the next PUBLISH there as one text, as the examples copy it, and the payload."""
        while True:
            first, body = self.packet()
            if first == 0x40:
                continue
            assert first == 0x30, f"{first:#x}: that is no PUBLISH that a board knows"
            n, = struct.unpack_from(">H", body)
            if leaf in body[2:2 + n].decode():
                return body[2:], body[2 + n:]

    def topic(self, leaf):
        return f"/ota/device/{leaf}/{self.product}/{self.name}"

    def offer(self):
        text, _ = self.heard("upgrade")
        size, stream, version = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(27)
        assert len(text) < 512
        form = (self.topic("upgrade") + '{"code":"1000","data":{"size":%d,"streamId":%d,"sign":"%*32s","dProtocol":"mqtt",'
                '"version":"%3s","signMethod":"Md5","streamFileId":1,"md5":"%*32s"},"id":%*d,"message":"success"}')
        assert sscanf(text, form.encode(), size, stream, version) == 3, text
        return size.value, stream.value, version.value.decode()

    def block(self, stream, size, offset):
        self.publish(f"/sys/{self.product}/{self.name}/thing/file/download",
                     f'{{"id": "1","params": {{"fileInfo":{{"streamId":{stream},"fileId":1}},'
                     f'"fileBlock":{{"size":{size},"offset":{offset}}}}}}}')
        _, payload = self.heard("download_reply")
        at, got = ctypes.c_int(), ctypes.c_int()
        head = payload[2:2 + payload[0] * 256 + payload[1]]
        assert len(head) < 128
        form = b'{"code":200,"data":{"bOffset":%d,"fileLength":%*d,"bSize":%d},"id":"%*d","message":"success"}'
        assert sscanf(head, form, at, got) == 2, head
        assert (at.value, got.value) == (offset, size)
        data = payload[-size - 2:-2]  # from the end, as the examples find it
        assert payload == payload[:2] + head + data + struct.pack("<H", crc16(data))
        return data


def test_a_board_that_reads_by_sscanf(otad, fleet):
    data = pattern(5092)
    board = Board(otad, fleet.key, "D001", fleet.register("D001")["secret"])
    board.subscribe(f"/sys/{fleet.key}/D001/thing/service/property/set")
    board.subscribe(f"/sys/{fleet.key}/D001/thing/file/download_reply")
    board.publish(board.topic("inform"), '{"id": "1","params": {"version": "1.0"}}')
    campaign = fleet.campaign(fleet.upload(data, version="1.1"))
    size, stream, version = board.offer()
    assert (size, version) == (len(data), "1.1")
    got = b"".join(board.block(stream, min(256, size - offset), offset) for offset in range(0, size, 256))
    assert got == data
    board.publish(board.topic("progress"), '{"id": "1","params": {"step": "100","desc": "","module": "default"}}')
    board.publish(board.topic("inform"), '{"id": "1","params": {"version": "1.1"}}')
    otad.wait_state(campaign, "D001", "succeeded")
    board.sock.close()


# ---- blocks that cannot be

@pytest.fixture
def loader(otad, fleet, devices):
    """A device with an offer of 300,001 bytes."""
    device = devices(fleet.sdk("dev01"))
    device.inform("1.0.0")
    device.data = pattern(300_001)
    device.firmware = fleet.upload(device.data, version="1.0.1")
    device.campaign = fleet.campaign(device.firmware)
    device.stream = device.push()["streamId"]
    return device


@pytest.mark.parametrize("size, offset, want", [
    (131072, 0, 131072), (131072, 299_000, 1001), (131073, 0, 131072), (2**40, 7, 131072), (256, 300_000, 1),
    (1, 299_999, 1), (100, 5, 100), (0, 0, 256), (-1, 0, 256), ('"512"', '"512"', 512),
])
def test_sizes(loader, size, offset, want):
    head, data = loader.block(loader.stream, size, offset)
    at = int(str(offset).strip('"'))
    assert head["code"] == 200 and data == loader.data[at:at + want]
    assert head["data"] == {"fileToken": "default", "bOffset": at, "fileLength": 300_001, "bSize": want}


@pytest.mark.parametrize("stream, offset, file, code", [
    (None, 300_001, 1, 416), (None, 16_777_216, 1, 416), (None, 2**62, 1, 416), (None, 0, 2, 404), (None, 0, 0, 404),
    (0, 0, 1, 404), (999_999, 0, 1, 404), (2**63 - 1, 0, 1, 404), (None, -1, 1, 400), ('"x"', 0, 1, 400), ("{}", 0, 1, 400),
])
def test_blocks_that_are_not_there(loader, stream, offset, file, code):
    head, data = loader.block(loader.stream if stream is None else stream, 256, offset, file=file)
    assert (head["code"], data) == (code, None)
    assert loader.block(loader.stream, 256, 0)[1] == loader.data[:256]


def test_requests_that_are_broken(loader):
    for body in (b'{"id":"1","params":{', b"\xff\xfe", b"[1,2]", b"{" * 5000):
        loader.say(loader.sys("file/download"), body)
        head, _ = open_answer(loader.next(loader.sys("file/download_reply"))[1])
        assert (head["code"], head["id"]) == (400, "0")
    loader.say(loader.sys("file/download"), '{"id":"9","params":{}}')
    assert open_answer(loader.next(loader.sys("file/download_reply"))[1])[0]["id"] == "9"
    assert loader.block(loader.stream, 256, 0)[1] == loader.data[:256]


def test_a_token_is_optional(loader):
    head, _ = loader.block(loader.stream, 256, 0, token="")
    assert list(head["data"]) == ["bOffset", "fileLength", "bSize"]
    head, _ = loader.block(loader.stream, 256, 0, token='"fileToken":"1bb8_x.9876543210",')
    assert head["data"]["fileToken"] == "1bb8_x.987654321"  # its first 16 characters


def test_files_of_another_device(otad, fleet, loader, devices):
    """A stream is a device's only while it has an offer of it."""
    other = devices(fleet.sdk("dev02"))
    other.inform("1.0.0")
    assert other.block(loader.stream, 256, 0)[0]["code"] == 404
    foreign = devices(Fleet(otad).sdk("dev01"))
    assert foreign.block(loader.stream, 256, 0)[0]["code"] == 404
    other.say(loader.sys("file/download"), '{"id":"1","params":{"fileInfo":{"streamId":%d},"fileBlock":{"offset":0}}}' % loader.stream)
    other.settle()
    loader.settle()
    assert loader.messages.empty()
    loader.inform("1.0.1")
    otad.wait_state(loader.campaign, "dev01", "succeeded")
    wait_until(lambda: loader.block(loader.stream, 256, 0)[0]["code"] == 404)


def test_one_that_asks_as_fast_as_it_can_does_not_starve_another(otad, fleet, loader):
    """It has always more asked for than it has got."""
    greedy = Board(otad, fleet.key, "greedy", fleet.register("greedy")["secret"])
    greedy.publish(greedy.topic("inform"), '{"id": "1","params": {"version": "1.0"}}')
    fleet.campaign(loader.firmware, target={"devices": ["greedy"]})
    _, payload = greedy.heard("upgrade")
    stream = json.loads(payload)["data"]["streamId"]
    stop, taken = threading.Event(), []

    def ask():
        greedy.publish(f"/sys/{fleet.key}/greedy/thing/file/download",
                       f'{{"id":"1","params":{{"fileInfo":{{"streamId":{stream},"fileId":1}},'
                       '"fileBlock":{"size":131072,"offset":0}}}')

    def live():
        for _ in range(200):
            ask()
        while not stop.is_set():
            taken.append(open_answer(greedy.heard("download_reply")[1])[1])
            ask()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        wait_until(lambda: len(taken) > 10)
        assert loader.download(loader.stream, len(loader.data), step=4096) == loader.data
    finally:
        stop.set()
        thread.join()
        greedy.sock.close()
    assert set(taken) == {loader.data[:131072]}


def test_one_that_asks_without_end_does_not_starve_another(otad, fleet, loader):
    """It waits for no answer, and the queue between broker and otad is everybody's: one lost request of the other would
    end its download, since boards do not ask twice."""
    greedy = Board(otad, fleet.key, "greedy", fleet.register("greedy")["secret"])
    topic = f"/sys/{fleet.key}/greedy/thing/file/download".encode()
    ask = b'{"id":"1","params":{"fileInfo":{"streamId":1,"fileId":1},"fileBlock":{"size":256,"offset":0}}}'
    packet = bytes([0x30, 0x80 | (2 + len(topic) + len(ask)) & 127, 2 + len(topic) + len(ask) >> 7])
    burst = 500 * (packet + struct.pack(">H", len(topic)) + topic + ask)
    asked, stop = [], threading.Event()

    def live():
        while not stop.is_set() and len(asked) < 2000:
            greedy.sock.sendall(burst)
            asked.append(len(burst))
            greedy.sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while greedy.sock.recv(1 << 20):
                    pass
            greedy.sock.setblocking(True)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        wait_until(lambda: len(asked) > 50)
        assert loader.download(loader.stream, len(loader.data), step=4096) == loader.data
    finally:
        stop.set()
        thread.join()
        greedy.sock.close()
    assert "asks for blocks of files faster than" in otad.log()


# ---- logins

@pytest.mark.parametrize("more", [
    {}, {"upper": False}, {"method": "hmacsha1"}, {"method": "hmacmd5"}, {"timestamp": None}, {"timestamp": "1"},
    {"method": "hmacsha1", "timestamp": None, "more": "securemode=3,"}, {"cid": ""}, {"cid": "any id & more"},
    {"more": "_v=sdk-c-4.2.0,securemode=-2,_conn=tcp_0,"},
])
def test_logins(otad, fleet, devices, more):
    secret = fleet.register("dev01")["secret"]
    for tls in (True, False):
        device = Sdk(otad, fleet.key, "dev01", secret, login=Login(fleet.key, "dev01", secret, **more), tls=tls).connect()
        assert device.get() == {}
        device.disconnect()


def refused(otad, fleet, login):
    with pytest.raises(Refused):
        Sdk(otad, fleet.key, "dev01", None, login=login).connect()


def test_logins_that_are_refused(otad, fleet):
    secret, other = fleet.register("dev01")["secret"], fleet.register("dev02")["secret"]

    def login(**more):
        return Login(fleet.key, "dev01", secret, **more)

    def but(change, **more):
        made = login(**more)
        change(made)
        return made

    foreign = Fleet(otad)
    foreign.register("dev01")
    refused(otad, fleet, Login(fleet.key, "dev01", other))
    refused(otad, fleet, Login(fleet.key, "dev03", secret))
    refused(otad, fleet, Login("nowhere", "dev01", secret))
    refused(otad, fleet, but(lambda m: setattr(m, "password", m.password[:-1] + ("0" if m.password[-1] != "0" else "1"))))
    refused(otad, fleet, but(lambda m: setattr(m, "password", "")))
    refused(otad, fleet, but(lambda m: setattr(m, "password", secret)))
    refused(otad, fleet, but(lambda m: setattr(m, "username", f"dev02&{fleet.key}")))  # replayed as another
    refused(otad, fleet, but(lambda m: setattr(m, "username", f"dev01&{foreign.key}")))
    refused(otad, fleet, but(lambda m: setattr(m, "username", f"{fleet.key}/dev01")))
    refused(otad, fleet, but(lambda m: setattr(m, "client_id", m.client_id.replace("hmacsha256", "hmacsha512"))))
    refused(otad, fleet, but(lambda m: setattr(m, "client_id", m.client_id.replace("timestamp=2", "timestamp=3"))))
    native = Product(otad)
    native.register("dev01", secret=secret)
    refused(otad, fleet, Login(native.key, "dev01", secret))


def test_a_second_login_ends_the_first(otad, fleet, devices):
    secret = fleet.register("dev01")["secret"]
    first = Sdk(otad, fleet.key, "dev01", secret)
    first.client._reconnect_on_failure = False
    first.connect()
    second = devices(Sdk(otad, fleet.key, "dev01", secret, login=Login(fleet.key, "dev01", secret, cid="another")).connect())
    assert first.ended.wait(WAIT_S)
    assert second.get() == {}
    first.disconnect()


def test_open_enrolment(otad, devices):
    fleet = Fleet(otad, enrolment="open")
    device = devices(Sdk(otad, fleet.key, "new-1", fleet.enrolment_secret).connect())
    device.inform("1.0.0")
    wait_until(lambda: otad.module_version(fleet.key, "new-1") == "1.0.0")


# ---- topics

def test_the_topics_of_another_device(otad, fleet, devices):
    spy, victim = devices(fleet.sdk("spy")), devices(fleet.sdk("victim"))
    victim.inform("1.0.0")
    victim.settle()
    for filter_ in ("#", "/ota/#", "/ota/device/upgrade/+/+", f"/sys/{fleet.key}/+/thing/file/download_reply",
                    victim.ota("upgrade"), victim.sys("#"), f"/{fleet.key}/victim/user/#"):
        spy.client.subscribe(filter_, 1)
    campaign = fleet.campaign(fleet.upload(version="1.0.1"), target={"devices": ["victim"]})
    stream = victim.push()["streamId"]
    spy.say(victim.ota("inform"), '{"id":1,"params":{"version":"1.0.1"}}', qos=1)
    spy.say(victim.ota("progress"), '{"id":1,"params":{"step":"-4"}}', qos=1)
    spy.say(victim.ota("upgrade"), '{"code":"1000"}', qos=1)
    spy.say(victim.sys("file/download_reply"), b"\0\2{}", qos=1)
    spy.settle()
    victim.block(stream, 256, 0)
    assert otad.module_version(fleet.key, "victim") == "1.0.0"
    assert otad.state_of(campaign, "victim") in ("offered", "downloading")
    while not spy.messages.empty():
        assert spy.messages.get()[0] == spy.sys("ota/firmware/get_reply")


def test_other_data_has_its_place(otad, fleet, devices):
    """What the device sends and wants to hear beside its updates is let through and not looked at."""
    device = devices(fleet.sdk("dev01"))
    granted = queue.Queue()
    device.client.on_subscribe = lambda _c, _u, _mid, qos: granted.put(qos)
    for topic in (f"/{fleet.key}/dev01/user/update", device.sys("service/property/set"), f"/ext/ntp/{fleet.key}/dev01/response"):
        device.client.subscribe(topic, 1)
        assert granted.get(timeout=WAIT_S) == (1,)
    device.say(f"/{fleet.key}/dev01/user/update", b"\x00\x01 of its own", qos=1)
    device.say(device.sys("event/property/post"), '{"id":"1","params":{"Switch1":1}}', qos=1)
    device.say(device.sys("deviceinfo/update"), '{"id":"1","params":[]}', qos=1)
    device.say(device.sys("config/get"), '{"id":"1","params":{}}', qos=1)
    assert device.get() == {}
    assert device.messages.empty()


# ---- the page

def test_the_walk_of_the_page(make_otad, tmp_path):
    """From nothing to an update, as docs/devices/aliyun.md has it; only waiting for the campaign is added."""
    server = make_otad()
    script = walk("docs/devices/aliyun.md", {"8443": server.https_port, "8883": server.mqtt_port}, "ask ota/firmware/get")
    printed = run_walk(script, server, tmp_path)
    md5 = hashlib.md5(pattern(70001)).hexdigest()
    assert ('{"code":"1000","data":{"size":70001,"streamId":1,"sign":"%s","dProtocol":"mqtt","version":"1.0.1",'
            '"signMethod":"Md5","streamFileId":1,"md5":"%s"},"id":2,"message":"success"}' % (md5, md5)) in printed
    assert (tmp_path / "new.bin").read_bytes() == pattern(70001)
    server.wait_state(1, "esp32", "succeeded")
