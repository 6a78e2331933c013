"""The broker's listeners beside the one for all: who may do the handshake at all."""
import contextlib
import hashlib
import hmac
import socket
import ssl
import subprocess

import pytest

from conftest import Factory
from fleet import Product
from harness import WAIT_S, free_ports, wait_until


@pytest.fixture(scope="module")
def ports():
    return dict(zip(("mqtt_cert_port", "mqtt_psk_port"), free_ports(2)))


@pytest.fixture(scope="module")
def otad(ports):
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory(ports)
        factory.stop()


def openssl(*args, stdin=b""):
    """What s_client prints; it ends when its input does."""
    return subprocess.run(["openssl", "s_client", *map(str, args)], input=stdin, capture_output=True, timeout=WAIT_S)


def psk_of(product, device, secret, timestamp="2524608000000", kind="devicename"):
    identity = f"{kind}|hmacsha256|{product}&{device}|{timestamp}"
    text = f"id{product}&{device}timestamp{timestamp}".encode()
    key = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest().upper()
    return identity, key.encode().hex()  # OpenSSL takes the key's bytes as hex: the key is the digits' text


def shake_hands(port, identity, key, *more):
    done = openssl("-connect", f"127.0.0.1:{port}", "-tls1_2", "-cipher", "PSK-AES128-CBC-SHA:@SECLEVEL=0", "-psk_identity",
                   identity, "-psk", key, *more)
    return done.returncode == 0 and b"Cipher is PSK-AES128-CBC-SHA" in done.stdout


def test_a_shared_key_opens_the_line(otad, ports):
    product = Product(otad, protocol="aliyun", transfer="mqtt")
    secret = product.register("d1")["secret"]
    port = ports["mqtt_psk_port"]
    identity, key = psk_of(product.key, "d1", secret)
    assert shake_hands(port, identity, key)
    assert shake_hands(port, *psk_of(product.key, "d1", secret, kind="d1"))
    assert not shake_hands(port, *psk_of(product.key, "d1", secret, kind="d2"))
    assert not shake_hands(port, identity, key[:-2] + "00")
    assert not shake_hands(port, *psk_of(product.key, "d2", secret))
    assert not shake_hands(port, "d1", key)
    assert not shake_hands(port, identity + "'\"%s", key)
    otad.ok("PATCH", f"/devices/{product.key}/d1", {"enabled": False})
    assert not shake_hands(port, identity, key)


def test_a_shared_key_is_for_devices_of_its_protocol(otad, ports):
    product = Product(otad)
    secret = product.register("d1")["secret"]
    assert not shake_hands(ports["mqtt_psk_port"], *psk_of(product.key, "d1", secret))


def test_no_certificate_no_line(otad, ports):
    """The handshake of TLS 1.3 ends on the client's side before the server has seen that nothing came."""
    context = ssl.create_default_context(cafile=str(otad.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("localhost", ports["mqtt_cert_port"]), timeout=WAIT_S) as plain:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            context.wrap_socket(plain, server_hostname="localhost").recv(1)


def test_a_port_that_is_taken_is_named(make_otad):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = make_otad({"mqtt_cert_port": port}, start=False)
        server.start(until=server.answers)
        wait_until(lambda: f"port {port} for MQTT cannot be used" in server.log())
