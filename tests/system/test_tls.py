"""What the two profiles of TLS take and refuse, on HTTPS and on MQTT; which certificate a client is shown; new ones on HUP."""
import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
from typing import NamedTuple

import pytest

from conftest import Factory
from files import DATA
from fleet import Product, Shelf
from harness import WAIT_S, wait_until

OLD_SUITES = ["AES128-SHA", "AES256-SHA", "AES128-SHA256", "AES256-SHA256"]
RSA_ONLY = ("-sigalgs", "RSA+SHA256:RSA+SHA1")


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {args}: {done.stderr}"
    return done.stdout


class Shaken(NamedTuple):
    version: str
    suite: str
    key: str  # of the certificate: "EC" or "RSA"
    certificate: str


def shake(port, ca, *args):
    """A strict client's handshake; None when the server refused it."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"localhost:{port}", "-CAfile", ca, "-verify_return_error", "-verify_hostname",
         "localhost", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert "CONNECTED" in done.stdout and "verify error" not in done.stderr, done.stderr
    if done.returncode != 0:
        assert "alert" in done.stderr or "unexpected eof" in done.stderr, done.stderr
        return None
    pem = re.search(r"-----BEGIN CERT.*?-----END CERTIFICATE-----\n", done.stdout, re.S).group(0)
    suite = re.search(r"^New, .*, Cipher is (\S+)$", done.stdout, re.M).group(1)
    version = re.search(r"^    Protocol  : (\S+)$|^New, (TLSv1\.3),", done.stdout, re.M)
    key = "RSA" if "a:PKEY: rsaEncryption" in done.stdout.split(" 1 s:")[0] else "EC"
    return Shaken(version.group(1) or version.group(2), suite, key, pem)


class Site(NamedTuple):
    """A server as a client that trusts ca sees it."""
    otad: object
    ca: object

    def https(self, *args):
        return shake(self.otad.https_port, self.ca, *args)

    def mqtts(self, *args):
        return shake(self.otad.mqtt_port, self.ca, *args)


@pytest.fixture(scope="module")
def modern(otad):
    return Site(otad, otad.ca)


@pytest.fixture(scope="module")
def old():
    """One compatible server for the module."""
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        otad = factory({"tls_profile": "compatible"})
        yield Site(otad, otad.ca)
        factory.stop()


# ---- what is taken

@pytest.mark.parametrize("suite", OLD_SUITES)
def test_modern_refuses_old_suites(modern, suite):
    assert modern.https("-tls1_2", "-cipher", suite) is None
    assert modern.mqtts("-tls1_2", "-cipher", suite) is None


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_neither_takes_old_versions(modern, old, version):
    for site in (modern, old):
        assert site.https(version, "-cipher", "ALL:@SECLEVEL=0") is None
        assert site.mqtts(version, "-cipher", "ALL:@SECLEVEL=0") is None


def test_modern_shows_one_certificate(modern):
    for shaken in (modern.https("-tls1_2"), modern.https(), modern.mqtts("-tls1_2"), modern.mqtts()):
        assert shaken.key == "EC"
    assert modern.https("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256") is None
    assert not (modern.otad.data / "certs" / "server-rsa.pem").exists()


@pytest.mark.parametrize("suite", OLD_SUITES)
def test_compatible_takes_old_suites(old, suite):
    """From a client that can check signatures of RSA alone, too."""
    for more in ((), RSA_ONLY):
        for shaken in (old.https("-tls1_2", "-cipher", suite, *more), old.mqtts("-tls1_2", "-cipher", suite, *more)):
            assert shaken[:3] == ("TLSv1.2", suite, "RSA")


def test_compatible_still_speaks_to_new_clients(old):
    assert old.https("-tls1_2")[:3] == ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", "EC")
    assert old.https("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")[:3] == \
        ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", "RSA")
    assert old.https()[:3] == ("TLSv1.3", "TLS_AES_128_GCM_SHA256", "EC")
    assert old.mqtts()[::2] == ("TLSv1.3", "RSA")
    assert old.mqtts("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")[2] == "RSA"


def test_every_certificate_of_compatible_is_signed_with_rsa_and_sha256(old):
    for shaken in (old.https("-tls1_2", "-cipher", "AES128-SHA"), old.https(), old.mqtts()):
        text = subprocess.run(["openssl", "x509", "-noout", "-text"], input=shaken.certificate, capture_output=True, text=True,
                              check=True).stdout
        assert "Signature Algorithm: sha256WithRSAEncryption" in text
    assert "sha256WithRSAEncryption" in openssl("x509", "-noout", "-text", "-in", old.ca)


# ---- what goes over it

def old_context(site):
    context = ssl.create_default_context(cafile=str(site.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA256")
    return context


@pytest.mark.parametrize("length", [None, 512, 4096])
def test_a_file_over_old_tls(old, length):
    """Whole and unharmed, in small records too: max_fragment_length is what such devices ask for."""
    shelf = Shelf(old.otad)
    ask = f"GET {shelf.target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    done = subprocess.run(
        ["openssl", "s_client", "-quiet", "-tls1_2", "-cipher", "AES128-SHA", "-CAfile", old.ca, "-verify_return_error",
         *(("-maxfraglen", str(length)) if length else ()), "-connect", f"localhost:{old.otad.https_port}"],
        input=ask, capture_output=True, timeout=WAIT_S, check=False)
    assert done.stdout.split(b"\r\n\r\n", 1)[1:] == [DATA], done.stderr[-500:]


def test_an_update_over_old_tls(old, devices, monkeypatch):
    """Everything of it: the harness' own calls as well."""
    monkeypatch.setattr(old.otad, "tls", lambda: old_context(old))
    with old.otad.raw() as sock:
        assert sock.cipher()[0] == "AES128-SHA256"
    product = Product(old.otad)
    device = devices(product.device("d1").connect())
    assert device.client.socket().cipher()[0] == "AES128-SHA256"
    device.inform("1.1.0")
    campaign = product.campaign(product.upload(DATA))
    assert old.otad.fetch(device.offer("1.2.0")["url"]).data == DATA
    device.inform("1.2.0")
    old.otad.wait_state(campaign, "d1", "succeeded")


# ---- which certificates

def make_leaf(otad, name, *key):
    """A new pair in place of the one in the server's folder, signed by its CA."""
    certs, csr, extensions = otad.data / "certs", otad.root / "csr", otad.root / "extensions"
    extensions.write_text("subjectAltName = DNS:localhost\n")
    openssl("req", "-new", "-newkey", *key, "-noenc", "-keyout", certs / f"{name}.key", "-subj", "/CN=localhost", "-out", csr)
    leaf = openssl("x509", "-req", "-in", csr, "-CA", certs / "ca.pem", "-CAkey", certs / "ca.key", "-days", "90",
                   "-extfile", extensions)
    (certs / f"{name}.pem").write_text(leaf + (certs / "ca.pem").read_text())
    return leaf


def test_new_certificates_on_hup(make_otad):
    otad = make_otad({"tls_profile": "compatible"})
    site = Site(otad, otad.ca)
    before = {site.https().certificate, site.https("-tls1_2", "-cipher", "AES128-SHA").certificate}
    ec = make_leaf(otad, "server", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    rsa = make_leaf(otad, "server-rsa", "rsa:2048")
    assert len(before | {ec, rsa}) == 4
    otad.process.send_signal(signal.SIGHUP)
    wait_until(lambda: site.https().certificate == ec, what="the new certificate")
    assert site.https("-tls1_2", "-cipher", "AES128-SHA").certificate == rsa
    wait_until(lambda: site.mqtts().certificate == rsa, what="the new certificate on MQTT")
    (otad.data / "certs" / "server-rsa.key").write_text("junk")
    otad.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "server-rsa.key cannot be used" in otad.log(), what="a refusal")
    assert site.https().certificate == ec
    assert site.https("-tls1_2", "-cipher", "AES128-SHA").certificate == rsa
    assert site.mqtts().certificate == rsa  # the broker would have taken the certificate and missed its key


def test_no_handshake_fails_while_certificates_change(make_otad):
    """Clients come without pause, on both ports, while each HUP brings another pair."""
    otad = make_otad()
    certs, context = otad.data / "certs", otad.tls()
    pairs = []
    for _ in range(2):
        leaf = make_leaf(otad, "server", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        pairs.append((leaf, (certs / "server.pem").read_bytes(), (certs / "server.key").read_bytes()))
    ended, failed = threading.Event(), {otad.https_port: [], otad.mqtt_port: []}
    latest, shown = dict.fromkeys(failed), {port: set() for port in failed}

    def come(port):
        while not ended.is_set():
            try:
                with socket.create_connection(("localhost", port), timeout=WAIT_S) as plain, \
                        context.wrap_socket(plain, server_hostname="localhost") as tls:
                    latest[port] = ssl.DER_cert_to_PEM_cert(tls.getpeercert(True))
                    shown[port].add(latest[port])
            except OSError as e:
                failed[port].append(e)
    threads = [threading.Thread(target=come, args=(port,)) for port in failed for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for n in range(20):
            leaf, pem, key = pairs[n % 2]
            (certs / "server.pem").write_bytes(pem)
            (certs / "server.key").write_bytes(key)
            reloaded = otad.log().count("certificate reloaded")
            otad.process.send_signal(signal.SIGHUP)
            wait_until(lambda: otad.log().count("certificate reloaded") > reloaded, pause_s=0.005)
            wait_until(lambda: latest[otad.mqtt_port] == leaf, what="the broker's change")  # before its files change again
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failed == {otad.https_port: [], otad.mqtt_port: []}
    for port in failed:
        assert {leaf for leaf, _, _ in pairs} <= shown[port], f"port {port} has not changed its certificate"


def test_the_log_level_on_hup(make_otad, tmp_path):
    conf = tmp_path / "otad.conf"
    conf.write_text("log_level = info\nmax_connections = 1000\n")
    otad = make_otad(start=False)
    otad.extra_args = ["-c", str(conf)]
    otad.start()

    def hup():
        lines = len(otad.log().splitlines())
        otad.process.send_signal(signal.SIGHUP)
        return lambda: "\n".join(otad.log().splitlines()[lines:])
    said = hup()
    wait_until(lambda: "certificate reloaded" in said(), what="a line of level info")
    key = otad.data / "certs" / "server.key"
    good = key.read_text()
    key.write_text("junk")
    conf.write_text("log_level = error\nmax_connections = 1000\n")
    said = hup()
    wait_until(lambda: "server.key cannot be used" in said(), what="an error")
    conf.write_text("log_level = loudly\n")
    said = hup()
    wait_until(lambda: "loudly" in said() and "cannot be used" in said(), what="a refusal, which is an error")
    key.write_text(good)
    said = hup()
    # waited for, so that the next reload cannot be taken for this one, nor two signals become one
    wait_until(lambda: "loudly" in said(), what="the refusal again")
    assert "Z info " not in otad.log().split('cannot be "loudly"', 1)[1]
    conf.write_text("log_level = info\nmax_connections = 999\n")
    said = hup()
    wait_until(lambda: "certificate reloaded" in said(), what="a line of level info")
    assert "max_connections has changed, which takes a restart" in said()
    assert otad.http("GET", "/health").status == 200


def test_a_data_directory_that_was_modern(make_otad):
    """Its CA stays, since devices trust it; and what that means for old devices is said."""
    otad = make_otad()
    ca = otad.ca.read_text()
    otad.stop()
    otad.settings["tls_profile"] = "compatible"
    otad.start()
    site = Site(otad, otad.ca)
    assert otad.ca.read_text() == ca
    assert "ca.pem has no RSA key" in otad.log()
    assert site.https("-tls1_2", "-cipher", "AES128-SHA256").key == "RSA"
    assert site.mqtts("-tls1_2", "-cipher", "AES128-SHA256").key == "RSA"
    assert site.https().key == "EC"
    otad.stop()
    otad.settings["tls_profile"] = "modern"
    otad.start()
    assert site.mqtts().key == "EC"
    assert site.https("-tls1_2", "-cipher", "AES128-SHA256") is None


@pytest.mark.parametrize("key, kind", [(("rsa:2048",), "RSA"), (("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "EC")])
def test_the_operators_certificate_stands_alone(make_otad, tmp_path, key, kind):
    own = tmp_path / "own.pem"
    openssl("req", "-new", "-x509", "-newkey", *key, "-noenc", "-keyout", tmp_path / "own.key", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-out", own)
    otad = make_otad({"tls_profile": "compatible", "cert_file": own, "key_file": tmp_path / "own.key"})
    site = Site(otad, own)
    for shaken in (site.https(), site.https("-tls1_2"), site.mqtts(), site.mqtts("-tls1_2")):
        assert (shaken.key, shaken.certificate) == (kind, own.read_text())
    taken = site.https("-tls1_2", "-cipher", "AES128-SHA"), site.mqtts("-tls1_2", "-cipher", "AES128-SHA")
    assert [bool(t) for t in taken] == [kind == "RSA"] * 2
    assert ("own.pem has no RSA key" in otad.log()) == (kind == "EC")
    assert not list((otad.data / "certs").glob("server*"))
