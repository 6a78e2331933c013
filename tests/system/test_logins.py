"""Who gets in at the broker, by which port and which protocol; and who gets out again."""
import contextlib
import hashlib
import hmac
import json
import os
import signal
import struct
import subprocess

import pytest

from conftest import Factory
from fleet import Product
from harness import WAIT_S, free_ports
from session import Session, aliyun, aliyun_fields, aws, aws_context, native

NOT_AUTHORISED = 5
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def otad():
    """With every listener."""
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory(dict(zip(("mqtt_cert_port", "mqtt_psk_port"), free_ports(2))))
        factory.stop()


@pytest.fixture(scope="module")
def cloud(otad):
    """A product for each protocol, with a device d1."""
    made = {}
    for protocol in ("native", "aliyun", "aws"):
        made[protocol] = Product(otad, protocol=protocol)
        made[protocol].register(f"{protocol}-1", **({} if protocol == "aws" else {"secret": SECRET}))
    return made


# ---- certificates

def test_a_thing_by_its_certificate(otad, cloud, tmp_path):
    """Whatever client id and user name come beside it."""
    key = cloud["aws"].key
    for more in ({}, {"client_id": "aws-1"}, {"username": "?SDK=JavaV2&Version=1", "password": ""}, {"username": "other/aws-2"}):
        thing = aws(otad, key, "aws-1", tmp_path, **more).connect()
        assert thing.rc == 0
        assert thing.subscribe("$aws/things/aws-1/jobs/notify-next") == 1
        thing.say("$aws/things/aws-1/jobs/get", '{"clientToken":"x"}')
        topic, qos, payload = thing.next()
        assert (topic, qos) == ("$aws/things/aws-1/jobs/get/accepted", 0)
        assert json.loads(payload)["clientToken"] == "x"
        thing.disconnect()


def test_a_certificate_is_for_its_port(otad, cloud, tmp_path):
    context = aws_context(otad, cloud["aws"].key, "aws-1", tmp_path)
    assert Session(otad.mqtt_port, context=context).refused() == NOT_AUTHORISED
    assert Session(otad.mqtt_port, "aws-1", "", context=context).refused() == NOT_AUTHORISED


def test_a_certificate_of_a_product_of_another_protocol(otad, cloud, tmp_path):
    """It says who the device is, and its devices still log in otherwise."""
    context = aws_context(otad, cloud["native"].key, "native-1", tmp_path)
    assert Session(otad.settings["mqtt_cert_port"], context=context).refused() == NOT_AUTHORISED


def test_a_thing_that_was_deleted(otad, cloud, tmp_path):
    cloud["aws"].register("aws-gone")
    context = aws_context(otad, cloud["aws"].key, "aws-gone", tmp_path)
    otad.ok("DELETE", f"/devices/{cloud['aws'].key}/aws-gone")
    assert Session(otad.settings["mqtt_cert_port"], context=context).refused() == NOT_AUTHORISED
    cloud["aws"].register("aws-gone")
    assert Session(otad.settings["mqtt_cert_port"], context=context).refused() == NOT_AUTHORISED
    again = aws(otad, cloud["aws"].key, "aws-gone", tmp_path).connect()
    assert again.rc == 0
    again.disconnect()


def test_a_certificate_that_was_revoked(otad, cloud, tmp_path):
    """Its session ends at once; another certificate of the same thing is as good as before."""
    cloud["aws"].register("aws-lost")
    path = f"/devices/{cloud['aws'].key}/aws-lost/certificates"
    contexts = [aws_context(otad, cloud["aws"].key, "aws-lost", tmp_path) for _ in range(2)]
    _, first = [row["serial"] for row in otad.pages(path)]
    one = Session(otad.settings["mqtt_cert_port"], context=contexts[0]).connect()
    assert one.rc == 0
    otad.ok("DELETE", f"{path}/{first}")
    assert one.ended.wait(WAIT_S), "the session goes on"
    assert Session(otad.settings["mqtt_cert_port"], context=contexts[0]).refused() == NOT_AUTHORISED
    two = Session(otad.settings["mqtt_cert_port"], context=contexts[1]).connect()
    assert two.rc == 0
    two.disconnect()


# ---- one protocol's login for another's product

def test_each_protocol_has_its_own_login(otad, cloud):
    for owner, make, other in (("native", native, "aliyun"), ("aliyun", aliyun, "native")):
        session = make(otad, cloud[owner].key, f"{owner}-1", SECRET).connect()
        assert session.rc == 0
        session.disconnect()
        assert make(otad, cloud[other].key, f"{other}-1", SECRET).refused() == NOT_AUTHORISED


def test_a_login_with_another_s_user_name(otad, cloud):
    """What was signed is what is claimed."""
    cloud["aliyun"].register("aliyun-2", secret="another-secret-of-thirty-two-byte")
    fields = aliyun_fields(cloud["aliyun"].key, "aliyun-1", SECRET)
    name = f"aliyun-2&{cloud['aliyun'].key}"
    assert Session(otad.mqtt_plain_port, **{**fields, "username": name}).refused() == NOT_AUTHORISED


# ---- one session, or several

def test_a_second_login_ends_the_first(otad, cloud, tmp_path):
    key = cloud["aliyun"].key
    fields = aliyun_fields(key, "aliyun-1", SECRET)
    one = Session(otad.mqtt_plain_port, **fields).connect()
    # another client id, and so another signature
    text = f"clientIdotherdeviceNamealiyun-1productKey{key}"
    password = hmac.new(SECRET.encode(), text.encode(), hashlib.md5).hexdigest()
    two = Session(otad.mqtt_plain_port, f"aliyun-1&{key}", password, client_id="other|securemode=3|").connect()
    assert two.rc == 0 and one.ended.wait(WAIT_S)
    three = Session(otad.mqtt_plain_port, **fields).connect()
    assert three.rc == 0 and two.ended.wait(WAIT_S)
    three.disconnect()
    first, second = (aws(otad, cloud["aws"].key, "aws-1", tmp_path).connect() for _ in range(2))
    assert second.rc == 0 and first.ended.wait(WAIT_S) and not second.ended.is_set()
    second.disconnect()


def test_the_one_that_is_left_is_served(otad, cloud):
    """An end that comes after a beginning does not count against it."""
    key = cloud["aliyun"].key
    password = {cid: hmac.new(SECRET.encode(), f"clientId{cid}deviceNamealiyun-1productKey{key}".encode(),
                              hashlib.md5).hexdigest() for cid in "ab"}
    for turn in range(10):
        cid = "ab"[turn % 2]
        last = Session(otad.mqtt_plain_port, f"aliyun-1&{key}", password[cid], client_id=f"{cid}|securemode=3|").connect()
        assert last.rc == 0
    last.say(f"/sys/{key}/aliyun-1/thing/ota/firmware/get", '{"id":"7","params":{}}')
    topic, qos, payload = last.next()
    assert (topic, qos) == (f"/sys/{key}/aliyun-1/thing/ota/firmware/get_reply", 0)
    assert json.loads(payload)["data"] == {}
    last.disconnect()


def test_the_client_id_of_another_device_s_session(otad, cloud):
    """It is refused: the broker would end the other's session."""
    one = native(otad, cloud["native"].key, "native-1", SECRET, client_id="shared").connect()
    cloud["native"].register("native-2", secret=SECRET)
    assert native(otad, cloud["native"].key, "native-2", SECRET, client_id="shared").refused() == NOT_AUTHORISED
    assert not one.ended.is_set()
    one.disconnect()


# ---- new settings

def test_a_new_certificate_ends_no_session(otad, cloud, tmp_path):
    """Not even of those who gave no user name."""
    sessions = [make(otad, cloud[protocol].key, f"{protocol}-1", SECRET).connect()
                for protocol, make in (("native", native), ("aliyun", aliyun))]
    sessions.append(aws(otad, cloud["aws"].key, "aws-1", tmp_path).connect())
    os.kill(otad.broker_pid(), signal.SIGHUP)
    for _ in range(2):  # it looks for the signal behind each turn
        assert [session.subscribe("nobody/may") for session in sessions] == [0x80] * 3
    for session in sessions:
        assert not session.ended.is_set()
        session.disconnect()


# ---- a shared key: Python's TLS has none, OpenSSL's client speaks for it

def psk(product, name, secret, ts="2524608000000"):
    text = f"id{product}&{name}timestamp{ts}"
    return (f"{name}|hmacsha256|{product}&{name}|{ts}",
            hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest().upper())


def connect_packet(client_id, username, password):
    def text(value):
        return struct.pack(">H", len(value)) + value.encode()
    body = text("MQTT") + b"\x04\xc2" + struct.pack(">H", 30) + text(client_id) + text(username) + text(password)
    size = len(body)
    head = b"\x10" + (bytes([size]) if size < 128 else bytes([size % 128 + 128, size // 128]))
    return head + body


def by_psk(otad, identity, key, packet, *options):
    """What the broker answers to the packet; b"" where there is no connection."""
    with subprocess.Popen(
            ["openssl", "s_client", "-quiet", "-connect", f"localhost:{otad.settings['mqtt_psk_port']}", "-psk_identity", identity, "-psk",
             key.encode().hex(), *(options or ("-tls1_2", "-cipher", "PSK-AES128-CBC-SHA"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        client.stdin.write(packet)
        client.stdin.flush()
        answer = client.stdout.read(4)
        client.kill()
    return answer


def test_a_shared_key_is_not_the_login(otad, cloud):
    key = cloud["aliyun"].key
    fields = aliyun_fields(key, "aliyun-1", SECRET)
    assert by_psk(otad, *psk(key, "aliyun-1", SECRET), connect_packet(**fields)) == b"\x20\x02\x00\x00"
    packet = connect_packet(**{**fields, "password": "00" * 32})
    assert by_psk(otad, *psk(key, "aliyun-1", SECRET), packet) == b"\x20\x02\x00\x05"


# ---- what was true a second ago

def states(otad, key, name):
    """The requests that take a device's way in, and give it back."""
    return [
        ("PATCH", f"/devices/{key}/{name}", {"enabled": False}, {"enabled": True}),
        ("PATCH", f"/products/{key}", {"enabled": False}, {"enabled": True}),
    ]


@pytest.mark.parametrize("protocol", ["native", "aliyun", "aws"])
@pytest.mark.parametrize("row", [0, 1])
def test_disabled_is_out_at_once(otad, protocol, row, tmp_path):
    product = Product(otad, protocol=protocol)
    name = f"{protocol}-{product.key}"
    product.register(name, **({} if protocol == "aws" else {"secret": SECRET}))
    method, path, off, on = states(otad, product.key, name)[row]

    def session():
        if protocol == "aws":
            return aws(otad, product.key, name, tmp_path)
        return {"native": native, "aliyun": aliyun}[protocol](otad, product.key, name, SECRET)
    one, spare = session().connect(), session()
    otad.ok(method, path, off)
    assert one.ended.wait(WAIT_S), "the session goes on"
    assert spare.refused() == NOT_AUTHORISED
    otad.ok(method, path, on)
    again = session().connect()
    assert again.rc == 0
    again.disconnect()


def test_only_they_are_out(otad):
    product, other = Product(otad), Product(otad)
    for name in ("d1", "d2", "d3"):
        product.register(name, secret=SECRET)
    other.register("d1", secret=SECRET)
    sessions = {(key, name): native(otad, key, name, SECRET).connect()
                for key, name in ((product.key, "d1"), (product.key, "d2"), (product.key, "d3"), (other.key, "d1"))}
    second = native(otad, product.key, "d1", SECRET).connect()
    otad.ok("PATCH", f"/devices/{product.key}/d1", {"enabled": False})
    assert sessions[product.key, "d1"].ended.wait(WAIT_S) and second.ended.wait(WAIT_S)
    otad.ok("PATCH", f"/devices/{product.key}/d2", {"paused": True})
    assert not any(sessions[at].ended.is_set() for at in ((product.key, "d2"), (product.key, "d3"), (other.key, "d1")))
    otad.ok("PATCH", f"/products/{product.key}", {"enabled": False})
    assert sessions[product.key, "d2"].ended.wait(WAIT_S) and sessions[product.key, "d3"].ended.wait(WAIT_S)
    sessions[other.key, "d1"].say(f"ota/{other.key}/d1/request", "{}")
    assert sessions[other.key, "d1"].next()[2] == b'{"id":null}'
    sessions[other.key, "d1"].disconnect()


def test_a_device_that_was_deleted_or_has_another_secret(otad, product):
    product.register("d1", secret=SECRET)
    one = native(otad, product.key, "d1", SECRET).connect()
    otad.ok("PATCH", f"/devices/{product.key}/d1", {"secret": "another-secret-that-is-long-enough"})
    assert one.ended.wait(WAIT_S)
    assert native(otad, product.key, "d1", SECRET).refused() == NOT_AUTHORISED
    two = native(otad, product.key, "d1", "another-secret-that-is-long-enough").connect()
    assert two.rc == 0
    otad.ok("DELETE", f"/devices/{product.key}/d1")
    assert two.ended.wait(WAIT_S)
    assert native(otad, product.key, "d1", "another-secret-that-is-long-enough").refused() == NOT_AUTHORISED
