"""The program itself: arguments, settings, first start, stop, restart, two on one data directory."""
import os
import re
import signal
import stat
import subprocess

import pytest

from fleet import Device, Product
from harness import BUILD, WAIT_S, alive, free_ports, wait_until

SETTINGS = """data_dir https_listen https_port public_url http_port broker mqtt_port mqtt_plain_port mqtt_host
    mqtt_username mqtt_password_file mqtt_ca cert_file key_file log_level max_upload_bytes""".split()
EX_TEMPFAIL = 75  # sysexits.h: try again later, as a supervisor should


def run(*args, env=None, cwd=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OTAD_")} | (env or {})
    return subprocess.run([BUILD / "otad", *map(str, args)], env=clean, cwd=cwd, capture_output=True, text=True,
                          timeout=WAIT_S)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_version():
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"otad \d+\.\d+\.\d+\S*\n.*", done.stdout, re.DOTALL)


def test_every_setting_is_printed_with_default_and_help():
    done = run("-D")
    assert done.returncode == 0
    for name in SETTINGS:
        assert re.search(rf"^[#;]?\s*{name}\s*=", done.stdout, re.MULTILINE), name
    assert done.stdout.count("\n#") + done.stdout.count("\n;") >= len(SETTINGS)


def test_printed_settings_are_a_settings_file(tmp_path):
    printed = tmp_path / "otad.conf"
    printed.write_text(run("-D").stdout)
    done = run("-c", printed, "-d", tmp_path / "data", "-t")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("option, words", [
    ("https_port=seventy", ["https_port", "seventy"]),
    ("https_port=70000", ["https_port", "70000"]),
    ("https_port=-1", ["https_port", "-1"]),
    ("https_port=", ["https_port"]),
    ("broker=rented", ["broker", "rented", "managed", "external"]),
    ("log_level=loudly", ["log_level", "loudly"]),
    ("max_upload_bytes=1x", ["max_upload_bytes", "1x"]),
    ("colour=blue", ["colour"]),
    ("https_port", ["https_port"]),
])
def test_a_bad_setting_is_refused_in_a_sentence(tmp_path, option, words):
    done = run("-t", "-d", tmp_path / "data", "-o", option)
    assert done.returncode not in (0, -signal.SIGABRT, -signal.SIGSEGV)
    for word in words:
        assert word in done.stderr, (word, done.stderr)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("args", [["-x"], ["-c"], ["-c", "/nonexistent/otad.conf", "-t"], ["sleep"]])
def test_bad_arguments_are_refused(args):
    done = run(*args)
    assert done.returncode > 0
    assert done.stderr.strip()


def checks(tmp_path, file=None, env=None, option=None):
    """Whether -t accepts https_port as file, environment and option give it."""
    args = ["-t", "-d", tmp_path / "data"]
    if file is not None:
        conf = tmp_path / "otad.conf"
        conf.write_text(f"https_port = {file}\n")
        args += ["-c", conf]
    if option is not None:
        args += ["-o", f"https_port={option}"]
    return run(*args, env={"OTAD_HTTPS_PORT": env} if env is not None else None).returncode == 0


def test_option_over_environment_over_file(tmp_path):
    """A bad value shows whose word counted: each place is bad where the one above it is good."""
    assert checks(tmp_path, file="1001")
    assert not checks(tmp_path, file="bad")
    assert not checks(tmp_path, file="1001", env="bad")
    assert not checks(tmp_path, file="1001", env="1002", option="bad")


def test_precedence_by_the_port_that_listens(make_otad):
    server = make_otad(start=False)
    low, middle, high = free_ports(3)
    server.data.mkdir(parents=True)
    conf = server.root / "otad.conf"
    conf.write_text(f"https_port = {low}\nmqtt_port = {server.mqtt_port}\n")
    del server.settings["https_port"], server.settings["mqtt_port"]
    server.extra_args = ["-c", str(conf)]

    def listens_on(port):
        server.settings["public_url"] = f"https://localhost:{port}"
        server.https_port = port
        server.start()
        assert server.http("GET", "/health").status == 200
        server.stop()
    listens_on(low)
    server.env["OTAD_HTTPS_PORT"] = str(middle)
    listens_on(middle)
    server.settings["https_port"] = high
    listens_on(high)


def test_health_of_a_server_that_is_not_there(tmp_path):
    assert run("health", "-d", tmp_path).returncode == 1


def test_health_follows_the_server(make_otad):
    server = make_otad()
    assert server.health() == 0
    server.stop()
    assert server.health() == 1


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_stops_on_signals_and_takes_its_broker_along(make_otad, sig):
    server = make_otad()
    broker = server.broker_pid()
    assert broker
    server.stop(sig)
    assert not alive(broker)


def test_second_instance_on_one_data_directory_refuses(make_otad):
    server = make_otad()
    ports = dict(zip(("https_port", "mqtt_port"), free_ports(2)))
    done = run("-d", server.data, *[arg for k, v in ports.items() for arg in ("-o", f"{k}={v}")])
    assert done.returncode == EX_TEMPFAIL
    assert str(server.data) in done.stderr
    assert server.health() == 0


def test_first_start_makes_what_is_needed(make_otad):
    server = make_otad()
    certs = server.data / "certs"
    for name in ("ca.pem", "server.pem"):
        assert "BEGIN CERTIFICATE" in (certs / name).read_text(), name
    for secret in (certs / "ca.key", certs / "server.key", server.data / "admin.token", server.data / "otad.sock"):
        assert mode(secret) == 0o600, secret
    private = [p for p in server.data.rglob("*") if p.suffix in (".key", ".token") or "PRIVATE" in readable(p)]
    assert len(private) >= 4  # two CAs, the server's, the token, the signing key
    for path in private:
        assert mode(path) & 0o077 == 0, path
    stores = [p for p in server.data.rglob("*") if p.is_file() and readable(p).startswith("SQLite format 3")]
    assert len(stores) == 1
    assert mode(stores[0]) & 0o007 == 0
    assert server.token not in server.log()


def readable(path):
    return path.read_bytes()[:4096].decode("latin-1") if path.is_file() else ""


def test_certificate_is_for_this_machine_and_its_chain_holds(make_otad):
    server = make_otad()
    certs = server.data / "certs"
    verify = subprocess.run(["openssl", "verify", "-CAfile", certs / "ca.pem", "-purpose", "sslserver",
                             "-verify_hostname", "localhost", certs / "server.pem"], capture_output=True, text=True)
    assert verify.returncode == 0, verify.stderr
    text = subprocess.run(["openssl", "x509", "-in", certs / "server.pem", "-noout", "-text"], capture_output=True,
                          text=True, check=True).stdout
    assert "prime256v1" in text and "127.0.0.1" in text
    years = 20 * 365 * 86400 - 30 * 86400
    lasting = subprocess.run(["openssl", "x509", "-in", certs / "ca.pem", "-noout", "-checkend", str(years)],
                             capture_output=True)
    assert lasting.returncode == 0


def test_second_start_keeps_keys_and_token(make_otad):
    server = make_otad()
    files = ["admin.token", "certs/ca.pem", "certs/ca.key", "certs/server.pem", "certs/server.key"]
    before = [(server.data / name).read_bytes() for name in files]
    server.restart()
    assert [(server.data / name).read_bytes() for name in files] == before


def test_a_new_public_url_renews_the_server_certificate(make_otad):
    server = make_otad()
    ca = server.ca.read_bytes()
    server.stop()
    server.settings["public_url"] = f"https://ota.example.net:{server.https_port}"
    server.start()
    assert server.ca.read_bytes() == ca
    reply = server.curl("--resolve", f"ota.example.net:{server.https_port}:127.0.0.1",
                        f"https://ota.example.net:{server.https_port}/health", "-o", "/dev/null", "-w", "%{http_code}")
    assert reply.stdout == b"200"


def test_warns_of_a_missing_public_url(make_otad):
    server = make_otad(start=False)
    del server.settings["public_url"]
    server.start()
    assert "public_url" in server.log()


def test_restart_at_once_after_kill_on_the_same_ports(make_otad):
    """The broker dies with otad, so both find their ports free."""
    server = make_otad()
    product = Product(server)
    secret = product.register("d1", secret="s3cret-of-d1")["secret"]
    for _ in range(3):
        broker = server.broker_pid()
        server.restart(signal.SIGKILL)
        wait_until(lambda: not alive(broker), what="the old broker's end")
        assert server.ok("GET", f"/devices/{product.key}/d1")["name"] == "d1"
        device = Device(server, product.key, "d1", secret).connect()
        assert device.nothing_due() == []
        device.disconnect()


def test_runs_without_a_broker_port_for_plain_text(make_otad):
    server = make_otad({"mqtt_plain_port": 0, "http_port": 0})
    for port in (server.mqtt_plain_port, server.http_port):
        done = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{port}/"], capture_output=True, timeout=WAIT_S)
        assert done.returncode == 7  # connection refused
    product = Product(server)
    product.device("d1").connect().disconnect()
