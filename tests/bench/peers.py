"""The servers side by side: the same file, certificate, protocol and cipher; and what they cost, as the kernel counts it."""
import contextlib
import hashlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

from files import pattern
from harness import BUILD, Otad, descendants, free_ports, wait_until

HERE = Path(__file__).resolve().parent
CORES = os.cpu_count()
TICKS = os.sysconf("SC_CLK_TCK")
FILE = pattern(1_500_000)
SIDES = ("otad", "nginx")
OPENSSL_CONF = """openssl_conf = main
[main]
ssl_conf = ssl
[ssl]
system_default = limits
[limits]
MinProtocol = {protocol}
MaxProtocol = {protocol}
Ciphersuites = TLS_AES_128_GCM_SHA256
CipherString = ECDHE-ECDSA-AES128-GCM-SHA256
"""


class Peer:
    """A server that was started: its root, port, the file's target. workers: processes below it when it is ready."""
    workers = 0

    def __init__(self, root, file, command, **more):
        self.root, self.port = Path(root), free_ports(1)[0]
        (self.root / "bench.bin").write_bytes(file)
        self.process = subprocess.Popen(list(map(str, command())), stdin=subprocess.DEVNULL, **more)

    def ready(self):
        assert self.process.poll() is None, f"{self.process.args[0]} ended with {self.process.returncode}"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
            return len(self.pids()) == self.workers + 1
        return False

    def pids(self):
        return [self.process.pid] + [pid for pid, _ in descendants(self.process.pid)]

    def stop(self):
        pids = self.pids()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()


class Nginx(Peer):
    """answer_bytes: of what /offer answers with."""
    target, workers = "/bench.bin", CORES

    def __init__(self, root, file, certs, sendfile="off", answer_bytes=64):
        def command():
            values = {"DIR": root, "PORT": self.port, "CORES": CORES, "SENDFILE": sendfile, "ANSWER": "x" * answer_bytes,
                      "USER": "user root;" if os.getuid() == 0 else "",
                      "CERT": certs / "server.pem", "KEY": certs / "server.key"}
            text = (HERE / "nginx.conf").read_text()
            for name, value in values.items():
                text = text.replace(f"@{name}@", str(value))
            (self.root / "nginx.conf").write_text(text)
            return ["nginx", "-p", root, "-c", f"{root}/nginx.conf", "-e", f"{root}/nginx.log"]
        super().__init__(root, file, command, env={"PATH": os.environ["PATH"] + ":/usr/sbin"})

    def ready(self):
        assert self.process.poll() is None, (self.root / "nginx.log").read_text()
        return super().ready()


class Node(Peer):
    """A workshop's server of firmware in Express: one process."""
    target = "/firmware/bench.bin"

    def __init__(self, root, file, certs):
        super().__init__(root, file, lambda: ["node", BUILD / "bench" / "node" / "server.js", self.port, root,
                                              certs / "server.pem", certs / "server.key"])


class Server:
    """What the measurements know of either: a name, a port, the file's target, processes."""

    def __init__(self, name, port, target, pids):
        self.name, self.port, self.target, self.pids = name, port, target, pids
        self.url = f"https://localhost:{port}{target}"

    def cpu_s(self):
        return sum(map(cpu_s, self.pids()))

    def pss_kb(self):
        return sum(map(pss_kb, self.pids()))


class Stage(contextlib.ExitStack):
    """Temporary folders, otad with the file in a public product, and nginx with otad's certificate."""

    def __init__(self):
        super().__init__()
        self.servers, self.file = [], FILE

    def folder(self):
        # short: a Unix socket's path has little room
        root = tempfile.mkdtemp(prefix="otad-bench-")
        self.callback(shutil.rmtree, root, ignore_errors=True)
        return root

    def start_otad(self, store=None, **settings):
        """store: a folder with what its data directory begins with, which is moved there."""
        otad = Otad(self.folder(), {"http_port": 0, "mqtt_plain_port": 0, "log_level": "warn",
                                    "https_listen": "127.0.0.1", **settings})
        if store:
            Path(store).rename(otad.data)
        self.callback(otad.kill)
        otad.start()
        self.callback(otad.stop)
        return otad

    def start_pair(self, sendfile="off", file=FILE):
        """[otad, nginx], both checked to answer with the file's own bytes."""
        self.file = file
        self.otad = self.start_otad()
        self.otad.ok("POST", "/products", {"key": "bench", "protocol": "native", "public": True})
        self.otad.ok("PUT", "/firmware?product=bench&version=1&filename=bench.bin", body=file)
        otad = Server("otad", self.otad.https_port, "/firmware/bench.bin", lambda: [self.otad.pid])
        self.check_file(otad)
        self.servers = [otad, self.start_nginx(sendfile)]
        return self.servers

    def start_nginx(self, sendfile="off", answer_bytes=64):
        return self.start_peer("nginx", Nginx(self.folder(), self.file, self.otad.data / "certs", sendfile, answer_bytes))

    def start_node(self):
        return self.start_peer("node", Node(self.folder(), self.file, self.otad.data / "certs"))

    def start_peer(self, name, peer):
        self.callback(peer.stop)
        wait_until(peer.ready, 20, f"the start of {name}")
        server = Server(name, peer.port, peer.target, peer.pids)
        self.check_file(server)
        return server

    def context(self):
        """For Python's clients: TLS 1.3 alone, the server's certificate checked."""
        context = self.otad.tls()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def check_file(self, server):
        connection = http.client.HTTPSConnection("localhost", server.port, timeout=10, context=self.otad.tls())
        with contextlib.closing(connection):
            connection.request("GET", server.target)
            answer = connection.getresponse()
            digest = hashlib.sha256(answer.read()).digest()
            assert (answer.status, digest) == (200, hashlib.sha256(self.file).digest()), (server.name, answer.status)

    def client_env(self, protocol):
        """OpenSSL's clients speak this protocol with one cipher, to whichever server."""
        path = Path(self.otad.root, f"{protocol}.cnf")
        path.write_text(OPENSSL_CONF.format(protocol=protocol))
        return {**os.environ, "OPENSSL_CONF": str(path)}

    def negotiated(self, server, env):
        """What openssl s_client says of a connection, certificate and all."""
        done = subprocess.run(
            ["openssl", "s_client", "-brief", "-verify_return_error", "-CAfile", str(self.otad.ca),
             "-servername", "localhost", "-connect", f"localhost:{server.port}"],
            env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=True)
        lines = [line for line in (done.stdout + done.stderr).decode().splitlines() if ": " in line]
        said = dict(line.split(": ", 1) for line in lines)
        return {key: said.get(key) for key in ("Protocol version", "Ciphersuite", "Peer certificate", "Signature type",
                                               "Server Temp Key", "Verification")}


def cpu_s(pid):
    """Of all threads, those that ended too, by the process's own clock: a short run uses less than a tick of /proc."""
    return time.clock_gettime(~pid << 3 | 2)


def pss_kb(pid):
    """What is shared between nginx's workers counts once."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise KeyError("Pss")


def written_bytes(pid):
    """What it dirtied of files, in whole pages: write-ahead log and checkpoints both."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"])


def machine_busy_s():
    """CPU seconds all processes of the machine have used."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS
