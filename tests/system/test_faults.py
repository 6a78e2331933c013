"""What breaks, and that nothing is lost by it: the broker, otad, devices, the way to a foreign broker."""
import http.client
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading

import pytest

from files import pattern
from fleet import Device, Product, SelfActing
from harness import WAIT_S, alive, basic, free_ports, wait_until
from killloop import PlainBroker, Reports


def fleet_of(product, n, go=None, **more):
    return [SelfActing(product.otad, product.key, f"d{i:03}", product.register(f"d{i:03}")["secret"], go=go, **more)
            for i in range(n)]


def connect_all(fleet):
    """In parallel: each waits for its handshake."""
    threads = [threading.Thread(target=device.connect) for device in fleet]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(device.rc == 0 for device in fleet)


def check_store(server):
    """integrity_check on a copy of the stopped server's store."""
    stores = [p for p in server.data.rglob("*")
              if p.is_file() and p.open("rb").read(15) == b"SQLite format 3"]
    assert len(stores) == 1
    copy = server.root / "copy.db"
    for suffix in ("", "-wal"):
        if os.path.exists(f"{stores[0]}{suffix}"):
            shutil.copy(f"{stores[0]}{suffix}", f"{copy}{suffix}")
    with sqlite3.connect(copy) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def kill_broker(server):
    pid = server.broker_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), what="the broker's end")
    return pid


def test_broker_killed_in_the_middle_of_a_campaign(make_otad):
    server = make_otad()
    product, go = Product(server), threading.Event()
    fleet = fleet_of(product, 12, go)
    connect_all(fleet)
    campaign = product.campaign(product.upload(pattern(50_000)))
    server.wait_counts(campaign, {"downloading": 12})
    old = kill_broker(server)
    go.set()
    wait_until(lambda: server.broker_pid() not in (None, old), what="a new broker")
    server.wait_counts(campaign, {"succeeded": 12})
    server.check_counts(campaign)
    wait_until(server.healthy)
    for device in fleet:
        device.disconnect()


def test_broker_killed_again_and_again(make_otad):
    server = make_otad()
    product = Product(server)
    fleet = fleet_of(product, 12)
    connect_all(fleet)
    for release in range(3):
        campaign = product.campaign(product.upload(version=f"2.{release}.0"))
        kill_broker(server)
        server.wait_counts(campaign, {"succeeded": 12})
        wait_until(server.broker_pid, what="a new broker")
    for device in fleet:
        device.disconnect()


def test_a_campaign_started_while_the_broker_is_down(make_otad):
    server = make_otad()
    product = Product(server)
    (device,) = fleet_of(product, 1)
    device.connect()
    device.settle()
    kill_broker(server)
    campaign = product.campaign(product.upload())
    server.wait_counts(campaign, {"succeeded": 1})
    device.disconnect()


def test_https_serves_while_the_broker_hangs(make_otad):
    """A stopped broker answers nothing; everything over HTTPS goes on, down to a whole update."""
    server = make_otad()
    product = Product(server)
    secret = product.register("d1")["secret"]
    broker = server.broker_pid()
    os.kill(broker, signal.SIGSTOP)
    try:
        campaign = product.campaign(product.upload(pattern(5000)))
        server.wait_campaign(campaign, "running")
        auth = basic(f"{product.key}/d1", secret)

        def poll(version):
            return server.http("GET", f"/api/v1/device/offer?module=default&version={version}", headers=auth)
        offer = wait_until(lambda: poll("1.0.0").data or None)
        assert server.fetch(offer["url"]).data == pattern(5000)
        assert poll("1.2.0").status == 204
        server.wait_state(campaign, "d1", "succeeded")
    finally:
        os.kill(broker, signal.SIGCONT)
    device = Device(server, product.key, "d1", secret).connect()
    device.settle()
    device.disconnect()


def test_otad_killed_in_the_middle_of_a_campaign(make_otad):
    server = make_otad()
    product, go = Product(server), threading.Event()
    fleet = fleet_of(product, 50, go)
    connect_all(fleet)
    campaign = product.campaign(product.upload(pattern(100_003)))
    server.wait_counts(campaign, {"downloading": 50})
    before = server.executions(campaign)
    server.restart(signal.SIGKILL)
    after = server.executions(campaign)
    assert {name: (row["id"], row["state"]) for name, row in after.items()} == \
        {name: (row["id"], row["state"]) for name, row in before.items()}
    assert all(after[name]["percent"] >= row["percent"] for name, row in before.items())
    go.set()
    wait_until(lambda: server.counts(campaign).get("succeeded", 0) >= 5)
    server.restart(signal.SIGKILL)
    server.wait_counts(campaign, {"succeeded": 50}, timeout_s=180)
    server.check_counts(campaign)
    server.wait_campaign(campaign, "completed")
    for device in fleet:
        device.disconnect()
    server.stop()
    check_store(server)


def test_killed_while_a_campaign_is_made(make_otad):
    """Its executions are made in steps: a kill between two of them must leave neither gap nor double."""
    server = make_otad()
    product = Product(server)
    lines = ["product,name,secret"] + [f"{product.key},x{i:05},secret-of-x{i:05}" for i in range(3000)]
    server.ok("POST", "/devices:import", body="\n".join(lines) + "\n", headers={"Content-Type": "text/csv"})
    campaign = product.campaign(product.upload())
    server.restart(signal.SIGKILL)
    server.wait_campaign(campaign, "running")
    assert server.counts(campaign) == {"queued": 3000}
    assert len(server.pages(f"/campaigns/{campaign}/executions?limit=1000")) == 3000
    server.stop()
    check_store(server)


def test_what_was_answered_is_kept(make_otad):
    """Each creation that was answered survives a kill at once after the answer."""
    server = make_otad()
    for i in range(3):
        product = Product(server)
        firmware = product.upload()
        product.register("d1")
        campaign = product.campaign(firmware)
        server.restart(signal.SIGKILL)
        assert server.ok("GET", f"/products/{product.key}")["key"] == product.key
        assert server.ok("GET", f"/firmware/{firmware['id']}")["sha256"] == firmware["sha256"]
        assert server.campaign(campaign)["id"] == campaign
        assert server.api("GET", f"/firmware/{firmware['id']}/file").status == 200


def test_stop_in_the_middle_of_downloads(make_otad):
    server = make_otad()
    product = Product(server, public=True)
    product.upload(pattern(3_000_000), filename="big.bin")
    socks = []
    for _ in range(5):
        sock = server.raw()
        sock.sendall(b"GET /firmware/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(100)
        socks.append(sock)
    server.stop()  # which insists on an end within its time and code 0
    for sock in socks:
        sock.close()


def refuses(server):
    try:
        socket.create_connection(("localhost", server.https_port)).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it came just as the listener closed: the next one is refused
        return False
    return False


def test_a_stop_waits_for_what_can_finish(make_otad):
    """A slow reader and a slow writer, each in the middle of it when TERM comes."""
    server = make_otad()
    product = Product(server, public=True)
    data, more = pattern(24_000_000), pattern(300_001)
    product.upload(data, filename="big.bin")
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        plain.settimeout(WAIT_S)
        plain.connect(("localhost", server.https_port))
        down, up = server.tls().wrap_socket(plain, server_hostname="localhost"), server.raw()
        down.sendall(b"GET /firmware/big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = down.recv(100)
        up.sendall(f"PUT /api/v1/firmware?product={product.key}&version=7.0.0 HTTP/1.1\r\nHost: localhost\r\n"
                   f"Authorization: Bearer {server.token}\r\nContent-Length: {len(more)}\r\n\r\n".encode())
        up.sendall(more[:100_000])
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(server), what="no new connections")
        up.sendall(more[100_000:])
        answer = http.client.HTTPResponse(up)
        answer.begin()
        assert answer.status == 201 and answer.headers["Connection"] == "close"
        while chunk := down.recv(65536):
            got += chunk
        assert server.process.poll() is None or server.process.returncode == 0
        assert got.partition(b"\r\n\r\n")[2] == data
        up.close()
    server.stop()  # which insists on code 0
    server.start()
    assert server.ok("GET", f"/firmware?product={product.key}")["items"][-1]["version"] == "7.0.0"


def test_a_device_that_is_switched_off_for_good(make_otad):
    server = make_otad()
    product = Product(server)
    device = product.device("d1").connect()
    device.inform("1.1.0")
    campaign = product.campaign(product.upload(), policy={"offer_timeout": "1h", "finish_timeout": "2s", "max_attempts": 1})
    device.progress(device.offer(), percent=40)
    server.wait_state(campaign, "d1", "downloading", "timed_out")
    device.power_off()
    server.wait_state(campaign, "d1", "timed_out")
    server.wait_campaign(campaign, "completed")
    server.check_counts(campaign)


@pytest.mark.parametrize("left", [0, 20, 600])
def test_half_of_the_brokers_file(make_otad, left):
    """What a broker leaves that found the disk full: it begins anew with nothing in it, and the campaign goes on."""
    server = make_otad()
    product = Product(server)
    device = product.device("d1", clean=False).connect()
    device.inform("1.0.0")
    device.settle()
    device.disconnect()
    server.stop()
    file = server.data / "mosquitto" / "mosquitto.db"
    assert file.stat().st_size > 600
    os.truncate(file, left)
    server.start()
    assert (server.data / "mosquitto" / "mosquitto.db.damaged").exists() == (left > 0)
    campaign = product.campaign(product.upload())
    device.connect()
    device.update(device.offer())
    server.wait_campaign(campaign, "completed")
    device.disconnect()


# ---- a foreign broker

class Mosquitto:
    """A broker of somebody else's: TLS with a certificate of its own, two accounts, no plugin of ours."""

    def __init__(self, folder):
        self.folder = folder
        (self.port,) = free_ports(1)
        self.ca = folder / "broker.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                        folder / "broker.key", "-out", self.ca], check=True, capture_output=True)
        accounts = folder / "accounts"
        for flags, name, password in ((["-c"], "otad", "the-password-of-otad"), ([], "device", "the-password-of-devices")):
            subprocess.run(["mosquitto_passwd", *flags, "-b", accounts, name, password], check=True, capture_output=True)
        (folder / "otad.password").write_text("the-password-of-otad\n")
        (folder / "broker.conf").write_text(
            (f"user {os.environ.get('USER', 'root')}\n" if os.geteuid() == 0 else "")
            + f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
            f"listener {self.port}\ncertfile {self.ca}\nkeyfile {folder}/broker.key\npassword_file {accounts}\n")
        self.process = None

    def start(self):
        self.process = subprocess.Popen([shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin"), "-c",
                                         str(self.folder / "broker.conf")], stdout=subprocess.DEVNULL,
                                        stderr=(self.folder / "broker.log").open("ab"))
        return self

    def stop(self, sig=signal.SIGTERM):
        if self.process:
            self.process.send_signal(sig)
            self.process.wait()
            self.process = None

    def settings(self):
        return {"broker": "external", "mqtt_host": "localhost", "mqtt_port": self.port, "mqtt_username": "otad",
                "mqtt_password_file": self.folder / "otad.password", "mqtt_ca": self.ca}


@pytest.fixture
def mosquitto(tmp_path):
    broker = Mosquitto(tmp_path)
    yield broker
    broker.stop()


class Stranger(SelfActing):
    """A device that logs in with the foreign broker's account and trusts its certificate."""

    def __init__(self, server, broker, *args, **more):
        super().__init__(server, *args, username="device", **more)
        self.port = broker.port
        self.client.tls_set_context(ssl.create_default_context(cafile=str(broker.ca)))


def test_external_broker(make_otad, mosquitto):
    mosquitto.start()
    server = make_otad(mosquitto.settings())
    assert server.broker_pid() is None
    product = Product(server)
    product.register("d1")
    device = Stranger(server, mosquitto, product.key, "d1", "the-password-of-devices").connect()
    device.settle()
    campaign = product.campaign(product.upload())
    server.wait_state(campaign, "d1", "succeeded")
    device.disconnect()


def test_external_broker_that_comes_late_and_goes_away(make_otad, mosquitto):
    server = make_otad(mosquitto.settings(), start=False)
    server.start(until=server.answers)
    assert server.health() == 1
    assert server.http("GET", "/health").status == 503
    product = Product(server)
    product.register("d1")
    mosquitto.start()
    wait_until(server.healthy)
    device = Stranger(server, mosquitto, product.key, "d1", "the-password-of-devices").connect()
    device.settle()
    mosquitto.stop(signal.SIGKILL)
    wait_until(lambda: not server.healthy())
    campaign = product.campaign(product.upload())
    assert server.http("GET", "/health").status == 503
    mosquitto.start()
    server.wait_state(campaign, "d1", "succeeded")
    device.disconnect()


def test_reports_wait_in_the_broker_while_otad_is_away(make_otad, mosquitto):
    mosquitto.start()
    server = make_otad(mosquitto.settings())
    product, go = Product(server), threading.Event()
    product.register("d1")
    device = Stranger(server, mosquitto, product.key, "d1", "the-password-of-devices", go=go).connect()
    campaign = product.campaign(product.upload())
    row = server.wait_state(campaign, "d1", "downloading")
    server.stop()
    device.say("progress", {"id": str(row["id"]), "percent": 77})  # acknowledged by the broker
    device.disconnect()
    server.start()
    wait_until(lambda: server.executions(campaign)["d1"]["percent"] == 77)


def test_wrong_password_for_an_external_broker_is_said(make_otad, mosquitto):
    mosquitto.start()
    (mosquitto.folder / "otad.password").write_text("not the password\n")
    server = make_otad(mosquitto.settings(), start=False)
    server.start(until=server.answers)
    assert server.health() == 1
    wait_until(lambda: "not authori" in server.log().lower() or "refused" in server.log().lower(), what="a word in the log")


# ---- what a broker drops

def dropped(server):
    return server.ok("GET", "/status")["counters"]["mqtt_dropped"]


def test_what_the_broker_drops_is_shown(make_otad, tmp_path):
    """Its queue for otad is full: it acknowledges all the same, and nobody but its counter knows."""
    broker = PlainBroker(tmp_path, max_queued_messages=100, max_inflight_messages=20).start()
    reports = None
    try:
        server = make_otad(broker.settings())
        product = Product(server, key="p")
        product.register("d00000")
        assert dropped(server) == 0
        assert server.ok("GET", "/status")["broker"] == {"ok": True, "text": "ok"}
        server.process.send_signal(signal.SIGSTOP)
        reports = Reports(broker.port, 5000, devices=1, connections=1)
        reports.tell("run")
        wait_until(lambda: broker.counter("publish/messages/dropped") > 0, what="a full queue")
        reports.pause()
        server.process.send_signal(signal.SIGCONT)
        wait_until(lambda: dropped(server) > 0, what="the counter")
        assert "has dropped" in server.ok("GET", "/status")["broker"]["text"]
        assert server.http("GET", "/health").status == 200
        assert "messages, " in server.log() and "since its start" in server.log()
    finally:
        if reports:
            reports.stop()
        broker.stop()
