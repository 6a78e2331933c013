"""OneNET's devices: its HTTP service over bare sockets, as modems and small controllers use it, and its MQTT."""
import base64
import ctypes
import hashlib
import hmac
import json
import queue
import re
import socket
import threading
import time
import urllib.parse

import paho.mqtt.client as paho
import pytest

from files import pattern
from fleet import Device, Product, Refused
from harness import WAIT_S, basic, wait_until
from walks import run_walk, walk

FAR = 4_102_444_800  # 2100


def token(res, key, end_s=FAR, method="md5", version="2018-10-31", order="version res et method sign"):
    text = f"{end_s}\n{method}\n{res}\n{version}"
    sign = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), method).digest()).decode()
    members = {"version": version, "res": res, "et": str(end_s), "method": method, "sign": sign}
    return "&".join(f"{name}={urllib.parse.quote(members[name], safe='')}" for name in order.split())


class Thing:
    """A device of OneNET's: one connection for each request, with heads as short as its own."""

    def __init__(self, otad, product, name="dev01", key=None, tls=False):
        self.otad, self.product, self.name, self.tls = otad, product.key, name, tls
        self.key = key or product.register(name)["secret"]
        self.token = token(f"products/{self.product}/devices/{name}", self.key)

    def connect(self):
        return self.otad.raw() if self.tls else socket.create_connection(("localhost", self.otad.http_port), WAIT_S)

    def head(self, method, rest, *lines):
        lines = [f"Authorization:{self.token}", "Host:iot-api.heclouds.com", *lines]
        return "\r\n".join([f"{method} /fuse-ota/{self.product}/{self.name}/{rest} HTTP/1.1", *lines, "", ""])

    def ask(self, method, rest, body="", *lines, raw=None):
        if body:
            lines = ("Content-Type:application/json", f"Content-Length:{len(body)}", *lines)
        with self.connect() as sock:
            sock.sendall((raw or self.head(method, rest, *lines) + body).encode())
            return answer(sock, method)

    def text(self, *args, **more):
        head, body = self.ask(*args, **more)
        assert head.startswith("HTTP/1.1 200 OK\r\n"), head
        assert f"\r\nContent-Length: {len(body)}\r\n" in head and len(head) < 200, head
        return body.decode()

    def json(self, *args, **more):
        found = json.loads(self.text(*args, **more))
        assert re.fullmatch("[0-9a-f]{32}", found.pop("request_id"))
        return found

    def version(self, sota, fota="V9.9"):
        return self.json("POST", "version", f'{{"s_version":"{sota}","f_version":"{fota}"}}')

    def check(self, version, kind=2):
        return self.json("GET", f"check?type={kind}&version={version}")

    def step(self, tid, step):
        return self.json("POST", f"{tid}/status", f'{{"step":{step}}}')

    def task(self, version, kind=2):
        """The task, once its campaign runs."""
        return wait_until(lambda: self.check(version, kind).get("data"), what="a task")

    def fetch(self, tid, size, block=256):
        data = b""
        while len(data) < size:
            last = min(len(data) + block, size) - 1
            head, body = self.ask("GET", f"{tid}/download", "", f"Range:bytes={len(data)}-{last}")
            assert head.startswith("HTTP/1.1 206 Partial Content\r\n"), head
            assert f"\r\nContent-Range: bytes {len(data)}-{last}/{size}\r\n" in head
            assert f"\r\nContent-Length: {last + 1 - len(data)}\r\n" in head and "\r\nOta-Errno: 0\r\n" in head
            assert f"Content-Length: {last + 1 - len(data)}\r\n" in head.split("Ota-Errno: 0")[0], head  # where clients look
            assert len(head) < 200, head
            data += body
        return data


def read_some(sock, data, complete):
    while not complete(data):
        more = sock.recv(65536)
        assert more, f"closed after {data!r}"
        data += more
    return data


def answer(sock, method="GET"):
    data = read_some(sock, b"", lambda d: b"\r\n\r\n" in d)
    head, body = data.split(b"\r\n\r\n", 1)
    head = head.decode() + "\r\n\r\n"
    length = 0 if method == "HEAD" else int(re.search(r"(?m)^Content-Length: (\d+)\r$", head)[1])
    body = read_some(sock, body, lambda d: len(d) >= length)
    assert len(body) == length, (head, body)
    return head, body


SUCC = {"code": 0, "msg": "succ"}
NONE = {"code": 12012, "msg": "not exist"}
NOBODY = {"code": 10403, "msg": "authentication failed:invalid authorization"}


@pytest.fixture
def product(otad):
    return Product(otad, protocol="onenet")


@pytest.fixture
def thing(otad, product):
    return Thing(otad, product)


# ---- a whole update

FIELD = (b'{"code":0,"msg":"succ","data":{"target":"%3s","tid":%d,"size":%d,"md5":"%*32s","status":1,"type":1},'
         b'"request_id":"%*32s"}')


def scanned(text):
    """What a controller's sscanf finds, and how much of the text it took."""
    libc = ctypes.CDLL(None)
    target, tid, size, end = ctypes.create_string_buffer(8), ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    n = libc.sscanf(text.encode(), FIELD + b"%n", target, ctypes.byref(tid), ctypes.byref(size), ctypes.byref(end))
    assert (n, end.value) == (3, len(text)), (n, text)
    return target.value.decode(), tid.value, size.value


@pytest.mark.parametrize("tls", [False, True])
def test_an_update_as_the_field_does_it(otad, product, tls):
    thing = Thing(otad, product, tls=tls)
    data = pattern(5003)
    assert thing.version("1.2") == SUCC
    assert thing.check("1.2") == NONE
    row = product.upload(data, version="1.3")
    campaign = product.campaign(row, policy={"retry_after": "1s"})
    thing.task("1.2")
    target, tid, size = scanned(thing.text("GET", "check?type=2&version=1.2"))
    assert (target, tid, size) == ("1.3", campaign, len(data))
    assert thing.check("1.2")["data"] == {"target": "1.3", "tid": campaign, "size": 5003, "md5": row["md5"],
                                          "status": 1, "type": 1}
    assert thing.step(tid, 10) == SUCC
    assert otad.state_of(campaign, thing.name) == "downloading"
    assert thing.json("GET", f"{tid}/check") == {**SUCC, "data": {"status": 2}}
    assert thing.fetch(tid, size) == data
    otad.wait_state(campaign, thing.name, "downloaded")
    assert thing.step(tid, 205) == SUCC  # wrong MD5, it says: once more
    row = otad.executions(campaign)[thing.name]
    assert (row["state"], row["reason"], row["attempt"]) == ("queued", "verify", 1)
    assert thing.step(tid, 10) == {"code": 17, "msg": "invalid state"}
    assert thing.json("GET", f"{tid}/check")["data"] == {"status": 1}
    assert thing.task("1.2")["tid"] == tid
    assert hashlib.md5(thing.fetch(tid, size)).hexdigest() == thing.check("1.2")["data"]["md5"]
    assert thing.step(tid, 100) == SUCC
    assert thing.check("1.2")["data"]["status"] == 3
    assert thing.step(tid, 201) == SUCC
    assert otad.state_of(campaign, thing.name) == "installing"  # its word is not the proof
    assert thing.version("1.3") == SUCC
    row = otad.wait_state(campaign, thing.name, "succeeded")
    assert row["attempt"] == 2
    assert thing.step(tid, 201) == SUCC
    assert thing.step(tid, 50) == {"code": 20, "msg": "task finish"}
    assert thing.json("GET", f"{tid}/check")["data"] == {"status": 4}
    assert thing.check("1.3") == NONE
    assert thing.json("GET", "version") == {**SUCC, "data": {"f_version": "V9.9", "s_version": "1.3"}}


def test_the_device_s_own_word_where_the_product_takes_it(otad):
    product = Product(otad, protocol="onenet", success="report")
    thing = Thing(otad, product)
    campaign = product.campaign(product.upload(version="1.3"))
    tid = thing.task("1.2")["tid"]
    assert thing.step(tid, 201) == SUCC
    otad.wait_state(campaign, thing.name, "succeeded")
    assert otad.module_version(thing.product, thing.name) == "1.3"


@pytest.mark.parametrize("step, reason", [
    (102, "space"), (103, "space"), (104, "download"), (105, "power"),
    (106, "download"), (107, "download"), (202, "power"), (203, "space"),
    (204, "incompatible"), (205, "verify"), (206, "flash"), (207, "unknown"),
    (208, "expired")])
def test_steps_that_are_errors(otad, product, thing, step, reason):
    campaign = product.campaign(product.upload(version="1.3"), policy={"max_attempts": 1})
    tid = thing.task("1.2")["tid"]
    assert thing.step(tid, step) == SUCC
    row = otad.executions(campaign)[thing.name]
    assert (row["state"], row["reason"]) == ("failed", reason)
    assert thing.json("GET", f"{tid}/check")["data"] == {"status": 5}
    assert thing.step(tid, step) == {"code": 20, "msg": "task finish"}
    head, body = thing.ask("GET", f"{tid}/download")
    assert head.startswith("HTTP/1.1 404 ") and "\r\nOta-Errno: 5\r\n" in head
    assert json.loads(body)["code"] == 12012


def test_bad_steps(product, thing):
    product.campaign(product.upload(version="1.3"))
    tid = thing.task("1.2")["tid"]
    for body in ('{"step":108}', '{"step":-1}', '{"step":"x"}', '{"stop":1}', "{}", "{", "[1]", '{"step":1e9}'):
        found = thing.json("POST", f"{tid}/status", body)
        assert found["code"] == 10001 and found["msg"].startswith("param error:"), body
    assert thing.json("POST", f"{tid}/status", '{"step":"7",}') == SUCC
    assert thing.json("POST", "9999999/status", '{"step":1}') == NONE
    assert thing.json("POST", "x/status", '{"step":1}') == NONE
    assert thing.json("GET", "0/check") == NONE


# ---- modules and versions

def test_modules_and_types(otad, product, thing):
    assert thing.version("V1.3", "V2.0") == SUCC
    versions = {m["module"]: m["version"] for m in otad.ok("GET", f"/devices/{product.key}/dev01")["modules"]}
    assert versions == {"default": "V1.3", "sota": "V1.3", "fota": "V2.0"}
    campaign = product.campaign(product.upload(version="V2.1", module="fota"))
    otad.wait_campaign(campaign, "running")
    assert thing.check("V1.3", kind=2) == NONE
    assert thing.task("V2.0", kind=1)["target"] == "V2.1"
    assert thing.json("GET", "check?version=V1.3")["data"]["target"] == "V2.1"
    assert thing.check("V2.1", kind=1) == NONE
    otad.wait_state(campaign, "dev01", "succeeded")
    assert otad.module_version(product.key, "dev01") == "V1.3"
    campaign = product.campaign(product.upload(version="V1.4", module="sota"))
    otad.wait_campaign(campaign, "running")
    assert thing.check("V2.1", kind=1) == NONE
    assert thing.task("V1.3", kind=2)["target"] == "V1.4"


def test_the_radio_module_may_be_what_a_campaign_is_about(otad, product, thing):
    thing.version("V1.0", "V2.0")
    campaign = product.campaign(product.upload(version="V2.1"))
    assert thing.task("V2.0", kind=1)["target"] == "V2.1"
    thing.version("V1.0", "V2.1")
    otad.wait_state(campaign, "dev01", "succeeded")
    assert otad.module_version(product.key, "dev01") == "V2.1"
    thing.version("V1.0", "V2.1")  # and stays so
    assert otad.module_version(product.key, "dev01") == "V2.1"


def test_a_device_that_is_there_already_is_not_offered(otad, product, thing):
    campaign = product.campaign(product.upload(version="V1.4"))
    otad.wait_campaign(campaign, "running")
    assert thing.version("V1.4") == SUCC
    row = otad.wait_state(campaign, "dev01", "succeeded")
    assert (row["reason"], row["attempt"]) == ("already_installed", 0)


def test_bad_versions(thing):
    for body in ("{}", "", "{", '{"s_version":[]}', '{"s_version":"' + 65 * "x" + '"}', '{"f_version":"a\\u0007"}',
                 '{"s_version":""}'):
        found = thing.json("POST", "version", body or " ")
        assert found["code"] == 10001, body
    assert thing.json("POST", "version", '{"s_version":1.25,"f_version":""}') == SUCC
    assert thing.json("GET", "version")["data"] == {"f_version": "", "s_version": "1.25"}
    assert thing.json("GET", "check?type=3&version=1")["code"] == 10001
    assert thing.json("GET", "check?type=2&version=" + 65 * "x")["code"] == 10001


def test_a_device_that_says_nothing_new_writes_nothing(otad, thing):
    thing.version("1.2")
    before = otad.ok("GET", "/devices/%s/dev01" % thing.product)
    for _ in range(3):
        assert thing.version("1.2") == SUCC
        assert thing.check("1.2") == NONE
        assert thing.json("GET", "check") == NONE
    assert otad.ok("GET", "/devices/%s/dev01" % thing.product)["modules"] == before["modules"]


# ---- who asks

def test_tokens(otad, product, thing):
    own, whole = f"products/{product.key}/devices/dev01", f"products/{product.key}"
    good = [token(own, thing.key, method=method) for method in ("md5", "sha1", "sha256")]
    good += [token(own, thing.key, version="2022-05-01"), token(whole, thing.key), token(own, thing.key) + " \t"]
    good += [token(own, thing.key, order="sign method et res version"), urllib.parse.unquote(token(own, thing.key))]
    good += [basic(own.replace("products/", "").replace("/devices", ""), thing.key)["Authorization"]]
    for thing.token in good:
        assert thing.json("GET", "check") == NONE, thing.token
    other = base64.b64encode(b"another key of 32 bytes, or so..").decode()
    bad = [token(own, other), token(own, thing.key, end_s=int(time.time()) - 1), token(own + "2", thing.key),
           token("userid/1", thing.key), token(own, thing.key)[:-1], thing.key, f"Bearer {otad.token}", "x" * 2000,
           basic(f"{product.key}/dev02", thing.key)["Authorization"], "", "Basic", "version=&res=&et=&method=&sign="]
    for thing.token in bad:
        assert thing.json("GET", "check") == NOBODY, thing.token
        head, body = thing.ask("GET", "1/download")
        assert head.startswith("HTTP/1.1 403 ") and "\r\nOta-Errno: 6\r\n" in head
        assert json.loads(body)["code"] == 10403


def test_one_answer_for_whoever_is_not_known(otad, product, thing):
    thing.token = token(f"products/{product.key}/devices/nobody", thing.key)
    thing.name = "nobody"
    assert thing.json("GET", "check") == NOBODY
    thing.product = "nothing"
    assert thing.json("GET", "check") == NOBODY
    native = Product(otad)
    secret = base64.b64encode(b"0123456789abcdef").decode()
    native.register("dev01", secret=secret)
    assert Thing(otad, native, key=secret).json("GET", "check") == NOBODY  # it speaks another protocol
    raw = "GET /fuse-ota/p/d/check HTTP/1.1\r\nHost: h\r\n\r\n"
    assert thing.json("GET", "", raw=raw) == NOBODY
    reply = otad.by_socket("GET", f"/fuse-ota/{product.key}/dev01/check")
    assert reply.data["code"] == 10403  # an administrator is no device
    otad.ok("PATCH", f"/devices/{product.key}/dev01", {"enabled": False})
    assert Thing(otad, product, key=thing.key).json("GET", "check") == NOBODY


def test_open_enrolment_by_the_product_s_key(otad):
    product = Product(otad, protocol="onenet", enrolment="open")
    assert len(base64.b64decode(product.enrolment_secret, validate=True)) >= 24
    thing = Thing(otad, product, key=product.enrolment_secret)
    thing.token = token(f"products/{product.key}", product.enrolment_secret)
    assert thing.json("GET", "check") == NONE
    assert thing.json("GET", "version")["data"] == {"f_version": "", "s_version": ""}
    assert thing.version("1.2") == SUCC
    assert otad.module_version(product.key, "dev01") == "1.2"
    otad.ok("PATCH", f"/products/{product.key}", {"enrolment": "closed"})
    assert thing.version("1.2") == NOBODY


def test_secrets_are_keys_in_base64(otad, product):
    made = [product.register(f"d{i}")["secret"] for i in range(20)]
    lines = "".join(f"{product.key},e{i}\n" for i in range(20))
    made += [row["secret"] for row in otad.ok("POST", "/devices:import", body="product,name\n" + lines,
                                              headers={"Content-Type": "text/csv"})["secrets"]]
    assert len(set(made)) == 40
    for secret in made:
        assert len(base64.b64decode(secret, validate=True)) >= 24


def test_another_s_task(otad, product, thing):
    campaign = product.campaign(product.upload(version="1.3"), target={"devices": ["dev01"]})
    thing.task("1.2")
    other = Thing(otad, product, "dev02")
    assert other.check("1.2") == NONE
    assert other.json("GET", f"{campaign}/check") == NONE
    assert other.step(campaign, 201) == NONE
    assert other.ask("GET", f"{campaign}/download")[0].startswith("HTTP/1.1 404 ")
    assert otad.state_of(campaign, "dev01") == "offered"


# ---- files

@pytest.fixture
def task(product, thing):
    """(thing, tid, bytes)"""
    data = pattern(20_011, seed=3)
    product.campaign(product.upload(data, version="1.3"))
    return thing, thing.task("1.2")["tid"], data


@pytest.mark.parametrize("header, first, last", [
    ("Range: bytes=0-255", 0, 255), ("Range:bytes=256-511", 256, 511), ("range: 0-99", 0, 99), ("RANGE:100-199", 100, 199),
    ("Range: bytes=20000-", 20000, 20010), ("Range: 20000-", 20000, 20010), ("Range: bytes=-11", 20000, 20010),
    ("Range: bytes=20000-20011", 20000, 20010), ("Range: bytes=0-", 0, 20010), ("Range: bytes=0-20010", 0, 20010)])
def test_ranges(task, header, first, last):
    thing, tid, data = task
    head, body = thing.ask("GET", f"{tid}/download", "", header)
    assert head.startswith("HTTP/1.1 206 Partial Content\r\n") and len(head) < 200
    assert f"\r\nContent-Range: bytes {first}-{last}/{len(data)}\r\n" in head
    assert body == data[first:last + 1]


def test_the_whole_file(task):
    thing, tid, data = task
    head, body = thing.ask("GET", f"{tid}/download")
    assert head.startswith("HTTP/1.1 200 OK\r\n") and body == data and len(head) < 200
    assert f"Content-Length: {len(data)}\r\nOta-Errno: 0\r\n" in head
    head, body = thing.ask("HEAD", f"{tid}/download")
    assert head.startswith("HTTP/1.1 200 OK\r\n") and f"\r\nContent-Length: {len(data)}\r\n" in head and not body
    head, body = thing.ask("GET", f"{tid}/download", "", "Range: bytes=20011-")
    assert head.startswith("HTTP/1.1 416 ") and "\r\nOta-Errno: 4\r\n" in head
    assert "\r\nContent-Range: bytes */20011\r\n" in head and json.loads(body)["code"] == 10001


# ---- what clients do to HTTP

def test_stray_line_ends_between_requests(task):
    thing, tid, data = task
    body = '{"step":5}'
    for stray in ("\r\n", "\r\n\r\n"):
        post = thing.head("POST", f"{tid}/status", f"Content-Length: {len(body)}") + body + stray
        get = thing.head("GET", f"{tid}/download", "Range: bytes=0-99") + stray
        with thing.connect() as sock:
            for _ in range(3):
                sock.sendall(post.encode())
                assert b'"msg":"succ"' in answer(sock)[1]
                sock.sendall(get.encode())
                assert answer(sock)[1] == data[:100]
            sock.sendall((post + get).encode())
            both = read_some(sock, b"", lambda d: d.endswith(data[:100]))
            assert re.match(rb'HTTP/1.1 200 (?s:.*)"msg":"succ"(?s:.*)HTTP/1.1 206 ', both)


def test_the_server_closes_where_it_is_asked_to(task):
    thing, tid, data = task
    with thing.connect() as sock:
        sock.sendall(thing.head("GET", f"{tid}/download", "Range: bytes=0-99", "Connection: close").encode())
        head, body = answer(sock)
        assert body == data[:100] and len(head) < 200
        assert sock.recv(1) == b""


def test_heads_of_all_kinds(thing):
    target = f"/fuse-ota/{thing.product}/dev01/check?type=2&version=1.2"
    for raw in (f"GET {target} HTTP/1.1\r\nauthorization:{thing.token}\r\nhost:x\r\n\r\n",
                f"GET {target} HTTP/1.1\r\nAUTHORIZATION: {thing.token}\r\nHOST: x\r\nContent-Type: a/b\r\n\r\n",
                f"GET {target} HTTP/1.0\r\nAuthorization:{thing.token}\r\n\r\n",
                f"GET http://iot-api.heclouds.com{target} HTTP/1.1\r\nAuthorization:{thing.token}\r\n"
                "Host:iot-api.heclouds.com\r\n\r\n",
                f"GET {target}&pro_id=a&dev_name=b&tid=9 HTTP/1.1\r\nAuthorization:{thing.token}\r\nHost:x\r\n\r\n"):
        assert thing.json("GET", "", raw=raw) == NONE
    body = '{"s_version": "V1.3", "f_version": "V2.0"}'
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        raw = (f"POST /fuse-ota/{thing.product}/dev01/version?pro_id=x HTTP/1.1\r\nAuthorization:{thing.token}\r\n"
               f"Host:x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        assert thing.json("POST", "", raw=raw) == SUCC


def test_one_segment(task):
    """Small clients read what is there and take it for the whole answer."""
    thing, tid, data = task
    for request in (thing.head("GET", f"{tid}/download", "Range: bytes=0-255"), thing.head("GET", "check?type=2")):
        with thing.connect() as sock:
            sock.sendall(request.encode())
            found = sock.recv(65536)
            head, body = found.split(b"\r\n\r\n", 1)
            assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n" and body


# ---- MQTT

class Listener:
    """A paho client that logs in as OneNET's devices do, and subscribes to some of its own topics."""

    def __init__(self, otad, product, name, password, *rests, client_id=None, tls=True):
        self.own = f"$sys/{product}/{name}/"
        self.rests, self.rc, self.granted = rests, None, []
        self.messages = queue.Queue()
        self.answered, self.subscribed, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.client = paho.Client(name if client_id is None else client_id, reconnect_on_failure=False)
        self.client.username_pw_set(product, password)
        if tls:
            self.client.tls_set_context(otad.tls())
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_disconnect = lambda *_: self.ended.set()
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.connect("localhost", otad.mqtt_port if tls else otad.mqtt_plain_port)
        self.client.loop_start()
        assert self.answered.wait(WAIT_S), "no CONNACK"
        assert not rests or self.rc or self.subscribed.wait(WAIT_S), "no SUBACK"

    def _on_connect(self, client, _data, _flags, rc):
        self.rc = rc
        if rc == 0 and self.rests:
            client.subscribe([(self.own + rest, 1) for rest in self.rests])
        self.answered.set()

    def _on_subscribe(self, _client, _data, _mid, granted):
        self.granted = list(granted)
        self.subscribed.set()

    def say(self, rest, payload, own=None):
        info = self.client.publish((own or self.own) + rest, payload, 1)
        info.wait_for_publish(WAIT_S)
        assert info.is_published()

    def next(self, rest):
        """The next message, which must be on this topic, with QoS 1 and not retained."""
        message = self.messages.get(timeout=WAIT_S)
        assert (message.topic, message.qos, message.retain) == (self.own + rest, 1, False)
        return message.payload.decode()

    def command(self):
        return json.loads(self.next("cmd_exec"))

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def listen(otad):
    made = []

    def make(*args, **more):
        made.append(Listener(otad, *args, **more))
        return made[-1]
    yield make
    for one in made:
        one.disconnect()


@pytest.mark.parametrize("tls", [True, False])
def test_an_update_as_esp32_firmware_does_it(otad, product, listen, tls):
    data = pattern(40_003)
    device = listen(product.key, "dev01", product.register("dev01")["secret"], "cmd_exec", tls=tls)
    device.say("upload_info", '{"version":"v1.1.0"}')
    row = product.upload(data, version="v1.2.0")
    campaign = product.campaign(row)
    text = device.next("cmd_exec")
    params = json.loads(text)["params"]
    assert text == (f'{{"cmd":"upgrade_firmware","params":{{"url":"{params["url"]}","md5":"{row["md5"]}",'
                    '"size":40003}}')
    assert otad.fetch(params["url"]).data == data
    device.say("upgrade/status", '{"progress":50}')
    row = otad.wait_state(campaign, "dev01", "downloading")
    assert row["percent"] == 50
    device.say("upgrade/status", '{"progress":100}')
    otad.wait_state(campaign, "dev01", "installing")
    device.say("upload_info", '{"fw_version":"v1.2.0"}')
    otad.wait_state(campaign, "dev01", "succeeded")
    device.say("firmware/request", "")
    assert device.next("cmd_exec") == '{"cmd":"none","params":{}}'
    assert device.messages.empty()


def test_a_request_is_answered_with_what_is_due(otad, product, listen):
    device = listen(product.key, "dev01", product.register("dev01")["secret"], "cmd_exec", "ota/inform")
    campaign = product.campaign(product.upload(version="2"), policy={"max_attempts": 1})
    first = device.command()
    assert device.next("ota/inform") == f'{{"id":"{execution_id(otad, campaign)}","version":"1.0"}}'
    device.say("firmware/request", '{"version":"1"}')
    assert device.command()["params"]["md5"] == first["params"]["md5"]
    device.say("ota/inform_reply", '{"id":"1","code":200,"msg":"success"}')
    device.say("upgrade/status", '{"progress":-1,"msg":"no \\u0007 partition"}')
    row = otad.wait_state(campaign, "dev01", "failed")
    assert (row["reason"], row["detail"]) == ("unknown", "no   partition")
    device.say("firmware/request", "")
    assert device.command() == {"cmd": "none", "params": {}}


def execution_id(otad, campaign, name="dev01"):
    return otad.executions(campaign)[name]["id"]


def test_the_trigger_of_the_http_service(otad, product, listen):
    thing = Thing(otad, product)
    device = listen(product.key, "dev01", thing.token, "ota/inform")
    data = pattern(3000)
    campaign = product.campaign(product.upload(data, version="1.3"))
    assert device.next("ota/inform") == f'{{"id":"{execution_id(otad, campaign)}","version":"1.0"}}'
    device.say("ota/inform_reply", '{"id":"1","code":200,"msg":"success"}')
    found = thing.check("1.2")["data"]
    assert thing.fetch(found["tid"], found["size"], 1024) == data
    assert thing.step(found["tid"], 201) == SUCC
    otad.wait_state(campaign, "dev01", "installing")
    assert thing.version("1.3") == SUCC
    otad.wait_state(campaign, "dev01", "succeeded")
    assert device.messages.empty()  # no command: it has not subscribed to them


def test_passwords(otad, product, listen):
    key = product.register("dev01")["secret"]
    own, whole = f"products/{product.key}/devices/dev01", f"products/{product.key}"
    good = [key, token(whole, key), token(own, key, order="et sign res version method"),
            urllib.parse.unquote(token(own, key, method="sha256"))]
    good += [token(own, key, method=method) for method in ("md5", "sha1", "sha256")]
    for password in good:
        assert listen(product.key, "dev01", password).rc == 0, password
    other = product.register("dev02")["secret"]
    bad = [key[:-1], "", token(own, key, end_s=int(time.time()) - 1), token(own, other), token("userid/1", key),
           token(f"products/{product.key}/devices/dev02", other), token("products/other/devices/dev01", key), other]
    for password in bad:
        assert listen(product.key, "dev01", password).rc in (4, 5), password
    assert listen(product.key, "dev02", token(own, key)).rc in (4, 5)
    assert listen("other", "dev01", token(own, key)).rc in (4, 5)
    native = Product(otad)
    native.register("dev01", secret=key)
    assert listen(native.key, "dev01", key).rc in (4, 5)


def test_a_new_device_by_the_product_s_key(otad, listen):
    product = Product(otad, protocol="onenet", enrolment="open")
    device = listen(product.key, "new", token(f"products/{product.key}", product.enrolment_secret), "cmd_exec")
    device.say("upload_info", '{"version":"1"}')
    wait_until(lambda: otad.api("GET", f"/devices/{product.key}/new").status == 200)
    product.campaign(product.upload(version="2"))
    assert device.command()["cmd"] == "upgrade_firmware"


def test_topics_of_others(otad, product, listen):
    first, second = (product.register(name)["secret"] for name in ("dev01", "dev02"))
    victim = listen(product.key, "dev01", first, "cmd_exec")
    other = listen(product.key, "dev02", second, "cmd_exec")
    other.client.subscribe([(f"$sys/{product.key}/dev01/cmd_exec", 1), (f"$sys/{product.key}/+/cmd_exec", 1), ("#", 0)])
    wait_until(lambda: len(other.granted) == 3)
    assert other.granted == [128, 128, 128]
    campaign = product.campaign(product.upload(version="2"), target={"devices": ["dev01"]})
    victim.command()
    other.say("upgrade/status", '{"progress":-1}', own=victim.own)
    other.say("cmd_exec", '{"cmd":"upgrade_firmware","params":{"url":"https://evil"}}', own=victim.own)
    other.say("firmware/request", "")
    assert other.command() == {"cmd": "none", "params": {}}  # and whatever came before it is in the store
    assert otad.state_of(campaign, "dev01") == "offered"
    victim.say("firmware/request", "")
    assert victim.command()["cmd"] == "upgrade_firmware" and victim.messages.empty()


def test_one_session(product, listen):
    key = product.register("dev01")["secret"]
    first = listen(product.key, "dev01", key)
    assert listen(product.key, "dev01", key, "cmd_exec").rc == 0
    assert first.ended.wait(WAIT_S)


def test_whoever_takes_a_device_s_client_id_first(otad, product, listen, devices):
    key = product.register("dev07")["secret"]
    other = Product(otad)
    squatter = devices(other.device("mean", client_id="dev07").connect())
    ended = threading.Event()
    squatter.client.on_disconnect = lambda *_: ended.set()
    victim = listen(product.key, "dev07", key, "cmd_exec")
    assert victim.rc == 0 and ended.wait(WAIT_S)
    with pytest.raises(Refused):
        Device(otad, other.key, "mean", squatter.secret, client_id="dev07").connect()
    victim.say("firmware/request", "")
    assert victim.command() == {"cmd": "none", "params": {}}


def test_devices_of_one_name_in_two_products(otad, product, listen):
    other = Product(otad, protocol="onenet")
    first, second = (p.register("dev08")["secret"] for p in (product, other))
    there = listen(product.key, "dev08", first, "cmd_exec")
    assert listen(other.key, "dev08", second).rc == 5
    there.say("firmware/request", "")
    assert there.command() == {"cmd": "none", "params": {}}
    there.disconnect()
    assert there.ended.wait(WAIT_S)
    wait_until(lambda: listen(other.key, "dev08", second).rc == 0)


# ---- the page

def test_the_walk_of_the_page(make_otad, tmp_path):
    """From nothing to an update, as docs/devices/onenet.md has it; only waiting for the campaign is added."""
    server = make_otad()
    script = walk("docs/devices/onenet.md", {"8443": server.https_port, "8080": server.http_port}, "RES=products")
    printed = run_walk(script, server, tmp_path)
    assert '"data":{"target":"V1.3","tid":1,"size":70001,' in printed
    assert printed.count('{"code":0,"msg":"succ"') == 6
    assert '"state":"succeeded"' in printed
    assert (tmp_path / "new.bin").read_bytes() == pattern(70001)
