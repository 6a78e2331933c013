"""What ESP-IDF's HTTPS clients ask of /firmware and /update: native_ota_example, and esp_https_ota whole, in parts and resumed.
Each request has the fields that esp_http_client sends, over one connection."""
import json
import shutil
import subprocess

import pytest

from files import esp_image, pattern
from fleet import Product
from harness import WAIT_S, basic

PIECE = 65536
IMAGE = esp_image("1.2.0", payload=pattern(150_000))


class Esp:
    """esp_http_client: a GET of it says Content-Length: 0; Basic comes with the first request."""

    def __init__(self, otad, url, credentials=None):
        self.otad, self.headers = otad, {"User-Agent": "ESP32 HTTP Client/1.0"}
        self.target = url.removeprefix(f"https://localhost:{otad.https_port}")
        assert self.target[0] == "/", url
        if credentials:
            self.headers |= basic(*credentials)
        self.connection = otad.connection()

    def ask(self, method="GET", **headers):
        self.connection.putrequest(method, self.target, skip_accept_encoding=True)
        for name, value in {**self.headers, **headers, "Content-Length": "0"}.items():
            self.connection.putheader(name, value)
        self.connection.endheaders()
        return self.connection.getresponse()

    def native(self):
        """native_ota_example: pieces of 1024 bytes, and the first must hold the whole description of the program."""
        answer = self.ask()
        if answer.status != 200:
            answer.read()
            return answer.status, b""
        first = answer.read1(1024)
        assert len(first) > 24 + 8 + 256, "received package is not fit len"
        return answer.status, first + b"".join(iter(lambda: answer.read(1024), b""))

    def whole(self):
        """esp_https_ota: 200 with a length, at least 1024 bytes before the header is judged; 304 is "not modified"."""
        answer = self.ask()
        if answer.status == 304:
            answer.read()
            return None
        assert answer.status == 200 and answer.headers["Transfer-Encoding"] is None
        data = answer.read()
        assert len(data) == int(answer.headers["Content-Length"])
        return data

    def parts(self):
        """partial_http_download: HEAD for the length, then ranges; the first may end one past the end of a small file."""
        head = self.ask("HEAD")
        head.read()
        if head.status == 304:
            return None
        assert head.status == 200
        size, got = int(head.headers["Content-Length"]), b""
        if size <= PIECE:
            wanted = f"bytes=0-{size}"
        else:
            wanted = f"bytes=0-{PIECE - 1}"
        while True:
            answer = self.ask(Range=wanted)
            data = answer.read()
            assert answer.status == 206 and int(answer.headers["Content-Length"]) == len(data)
            first, last = len(got), len(got) + len(data) - 1
            assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
            got += data
            if len(got) == size:
                return got
            left = size - len(got)
            wanted = f"bytes={len(got)}-{len(got) + PIECE - 1}" if left > PIECE else f"bytes={len(got)}-"

    def resume(self, had):
        """ota_resumption: only 206 will do, for bytes=0- too; 416 is the sign to begin anew."""
        answer = self.ask(Range=f"bytes={len(had)}-")
        data = answer.read()
        if answer.status == 416:
            return self.resume(b"")
        assert answer.status == 206
        return had + data


@pytest.fixture(params=["public", "signed", "by name", "update"])
def place(request, otad):
    """(server, product, url, credentials): the ways to a file of a campaign, or without one."""
    product = Product(otad, public=request.param == "public")
    row = product.upload(IMAGE, filename=f"{product.key}.bin")
    if request.param == "public":
        return otad, product, otad.url(f"/firmware/{product.key}.bin"), None
    secret = product.register("d1")["secret"]
    credentials = (f"{product.key}/d1", secret)
    otad.wait_campaign(product.campaign(row), "running")
    if request.param == "update":
        return otad, product, otad.url(f"/update/{product.key}?version=1.1.0"), credentials
    offer = otad.http("GET", "/api/v1/device/offer?version=1.1.0", headers=basic(*credentials)).data
    if request.param == "signed":
        return otad, product, offer["url"], None
    return otad, product, otad.url(f"/firmware/{product.key}.bin"), credentials


def test_native(place):
    otad, _, url, credentials = place
    assert Esp(otad, url, credentials).native() == (200, IMAGE)


def test_whole(place):
    otad, _, url, credentials = place
    assert Esp(otad, url, credentials).whole() == IMAGE


def test_in_parts(place):
    otad, _, url, credentials = place
    assert Esp(otad, url, credentials).parts() == IMAGE


def test_resumed(place):
    otad, _, url, credentials = place
    for had in (0, 1, 1024, len(IMAGE) - 1, len(IMAGE)):
        assert Esp(otad, url, credentials).resume(IMAGE[:had]) == IMAGE, had


@pytest.mark.parametrize("size", [1, 1023, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_sizes_around_a_part(otad, size):
    product, data = Product(otad, public=True), pattern(size, seed=size)
    product.upload(data, filename=f"{product.key}.bin")
    assert Esp(otad, otad.url(f"/firmware/{product.key}.bin")).parts() == data


def test_what_is_refused(otad):
    """Any status but these ends esp_https_ota; 403 and 404 have words of their own there."""
    product = Product(otad)
    secret = product.register("d1")["secret"]
    product.upload(IMAGE, filename=f"{product.key}.bin")
    url = otad.url(f"/firmware/{product.key}.bin")
    assert Esp(otad, url).native()[0] == 404  # not public, and no proof: not even whether it is there
    assert Esp(otad, url, (f"{product.key}/d1", secret)).native()[0] == 404  # no offer is due
    assert Esp(otad, url, (f"{product.key}/d1", "wrong")).native()[0] == 401
    otad.ok("PATCH", f"/devices/{product.key}/d1", {"enabled": False})
    assert Esp(otad, url, (f"{product.key}/d1", secret)).native()[0] == 403


def test_a_device_of_four_lines(otad):
    """esp_https_ota with the version in the URL and the secret beside it: all that a campaign needs."""
    product = Product(otad)
    secret = product.register("d1")["secret"]

    def device(version):
        return Esp(otad, otad.url(f"/update/{product.key}?version={version}"), (f"{product.key}/d1", secret))
    assert device("1.1.0").whole() is None and device("1.1.0").parts() is None
    made = product.campaign(product.upload(IMAGE))
    otad.wait_campaign(made, "running")
    assert device("1.1.0").parts() == IMAGE
    row = otad.wait_state(made, "d1", "downloaded")
    assert (row["percent"], row["attempt"]) == (100, 1)
    assert device("1.2.0").whole() is None
    assert otad.state_of(made, "d1") == "succeeded"


def test_one_connection_for_all(otad):
    product = Product(otad, public=True)
    product.upload(IMAGE, filename=f"{product.key}.bin")
    device = Esp(otad, otad.url(f"/firmware/{product.key}.bin"))
    device.connection.connect()
    port = device.connection.sock.getsockname()[1]
    assert device.parts() == IMAGE
    assert device.connection.sock.getsockname()[1] == port


def test_a_folder_of_files_as_node_serves_it(otad, tmp_path):
    """express with app.get('/firmware/:filename'): the URL that its devices have been built with goes on working."""
    product = Product(otad, public=True)
    files = {f"{product.key}_{n}.bin": esp_image(f"{n}.0.0", payload=pattern(2000 * n)) for n in (1, 2)}
    for n, (name, data) in enumerate(files.items(), 1):
        product.upload(data, version=f"{n}.0.0", filename=name)
    for name, data in files.items():
        url = otad.url(f"/firmware/{name}")
        assert Esp(otad, url).native() == (200, data)
        out = tmp_path / name
        done = otad.curl("-o", out, "-w", "%{http_code} %{content_type}", url)
        assert done.stdout == b"200 application/octet-stream" and out.read_bytes() == data
        head = otad.http("HEAD", f"/firmware/{name}").headers
        assert head["Content-Length"] == str(len(data))
        assert head["Transfer-Encoding"] is None and head["Content-Encoding"] is None
    assert otad.http("GET", f"/firmware/{product.key}_3.bin").status == 404
    health = otad.http("GET", "/health")
    assert health.status == 200 and isinstance(health.data, dict)


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_the_certificate_of_the_old_server_goes_on(make_otad, tmp_path):
    """Self-signed, and embedded in every device as what it trusts: cert_file and key_file."""
    certificate, key = tmp_path / "server_cert.pem", tmp_path / "server_cert.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True,
                   capture_output=True, timeout=WAIT_S)
    server = make_otad({"cert_file": certificate, "key_file": key})
    made = server.by_socket("POST", "/api/v1/products", json.dumps({"key": "lab", "protocol": "native", "public": True}))
    assert made.status == 201
    assert server.by_socket("PUT", "/api/v1/firmware?product=lab&filename=ota_1.bin", IMAGE).status == 201
    done = subprocess.run(["curl", "-sSf", "--cacert", certificate, server.url("/firmware/ota_1.bin")], check=True,
                          capture_output=True, timeout=WAIT_S)
    assert done.stdout == IMAGE
