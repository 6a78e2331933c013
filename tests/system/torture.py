#!/usr/bin/python3
"""Breaks one system call of otad after the other, and looks at what is left: faults.c lets the n-th call of a family fail, or
ends the process there, for n = 1, 2, 3 ... until there is none. Everything that was acknowledged must be there at the next
start, the store whole, each file what its name says, and nothing left over.

  torture.py [--first N] [--stride N] [family ...]     all of them, every n; N leaves out in between; --list shows the families
"""
import argparse
import contextlib
import errno
import hashlib
import http.client
import json
import mmap
import shutil
import signal
import sqlite3
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from files import pattern
from harness import BUILD, SANITIZED, Otad, UnixConnection, basic, read_reply

TRIES = 4
ANSWER_S = 30
OFFER_S = 10
SHELL = {"broker": "external", "mqtt_host": "localhost", "mqtt_port": 1, "http_threads": 1}


class Family(NamedTuple):
    call: str
    how: str  # fail: once; always: that call and all after it; kill: the process ends there
    code: int = 0
    starting: bool = False  # while otad makes its data directory, else while it works

    def __str__(self):
        return f"{'start' if self.starting else 'work'}-{self.call}-{self.how}" + \
            (f"-{errno.errorcode[self.code]}" if self.code else "")


CODES = {"write": (errno.ENOSPC, errno.EIO), "fsync": (errno.EIO,), "rename": (errno.EIO,), "open": (errno.EMFILE,),
         "mmap": (errno.ENOMEM,), "malloc": (errno.ENOMEM,)}
FAMILIES = {str(f): f for starting in (False, True) for call, codes in CODES.items() for f in
            [Family(call, "fail", code, starting) for code in codes] +
            ([Family(call, "kill", 0, starting)] if call != "malloc" else []) +
            ([Family(call, "always", codes[0], starting)] if call in ("write", "fsync") else [])
            if not (SANITIZED and call == "malloc")}


class Control:
    """The numbers that faults.c shares with us."""

    def __init__(self, path, family):
        path.write_bytes(bytes(24))
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 24)
        self.env = {"LD_PRELOAD": str(BUILD / "testfaults.so"), "FAULT_PROGRAM": "otad", "FAULT_CONTROL": str(path),
                    "FAULT_CALL": family.call, "FAULT_ERRNO": str(family.code), "FAULT_KILL": str(int(family.how == "kill")),
                    "FAULT_FOREVER": str(int(family.how == "always")), "FAULT_TRACE": str(int(family.how == "fail"))}
        if SANITIZED:
            self.env["ASAN_OPTIONS"] = "verify_asan_link_order=0"

    def arm(self, at):
        struct.pack_into("=3q", self.memory, 0, at, 0, 0)

    def calls(self):
        return struct.unpack_from("=q", self.memory, 8)[0]

    def hits(self):
        return struct.unpack_from("=q", self.memory, 16)[0]


class Gone(Exception):
    """otad does not answer any more."""


class Failed(Exception):
    """An answer that says so, again and again."""


class Work:
    """What an operator and a device do, and what they were told was done."""

    def __init__(self, server):
        self.server = server
        self.known = []  # (what, a function that is true as long as it is there)
        self.errors = 0

    # ---- asking

    def ask(self, method, path, body=None, headers=None, connection=None):
        connection = connection or UnixConnection(self.server.data / "otad.sock")
        connection.timeout = ANSWER_S
        body = json.dumps(body) if isinstance(body, dict) else body
        try:
            connection.request(method, path, body, headers or {})
            reply = read_reply(connection)
            # for want of memory an answer may have lost the line that says what it is
            known = reply.headers.get("Content-Type") or not reply.data.startswith(b"{")
            return reply if known else reply._replace(data=json.loads(reply.data))
        except TimeoutError:
            raise AssertionError(f"no answer to {method} {path}") from None
        finally:
            connection.close()

    def device(self, method, path, body=None):
        plain = http.client.HTTPConnection("localhost", self.server.http_port)
        return self.ask(method, "/api/v1/device" + path, body, self.headers, plain)

    def insist(self, ask, *good):
        """As a client does that was not answered, or told of an error of the server's: again."""
        for _ in range(TRIES):
            try:
                reply = ask()
            except (OSError, http.client.HTTPException):
                self.errors += 1
                if self.server.process.poll() is not None:
                    raise Gone from None
                time.sleep(0.02)
                continue
            if reply.status in good or reply.status < 300:
                return reply
            assert reply.status >= 500 or reply.status == 429, (reply.status, reply.data)
            self.errors += 1
        raise Failed

    def do(self, method, path, body=None, good=()):
        return self.insist(lambda: self.ask(method, "/api/v1" + path, body), *good)

    def is_there(self, what, path, test=lambda data: True):
        def look():
            reply = self.ask("GET", "/api/v1" + path)
            return reply.status == 200 and test(reply.data)
        self.known.append((what, look))

    # ---- doing

    def run(self):
        self.do("POST", "/products", {"key": "p", "protocol": "native"}, [409])
        self.is_there("the product", "/products/p")
        self.do("POST", "/devices", {"product": "p", "name": "d", "secret": "the-secret-of-d"}, [409])
        self.is_there("the device", "/devices/p/d")
        self.headers = {**basic("p/d", "the-secret-of-d"), "Content-Type": "application/json"}
        firmware = self.upload("1.1.0", pattern(30_000))
        spare = self.upload("1.0.9", pattern(5_000))
        campaign = self.do("POST", "/campaigns", {"firmware": [firmware]}).data["id"]
        self.is_there("the campaign", f"/campaigns/{campaign}")
        self.known = [known for known in self.known if known[0] != f"firmware {spare}"]
        self.do("DELETE", f"/firmware/{spare}", good=[404])
        self.known.append(("the deletion", lambda: self.ask("GET", f"/api/v1/firmware/{spare}/file").status in (404, 410)))
        self.do("PATCH", "/devices/p/d", {"tags": {"site": "A"}})
        self.is_there("the tags", "/devices/p/d", lambda data: data["tags"] == {"site": "A"})
        self.update(campaign)
        token = self.do("POST", "/tokens", {"name": "t", "role": "viewer"}, [409]).data.get("token")
        if token:
            self.known.append(("the token", lambda: self.ask(
                "GET", "/api/v1/products", None, {"Authorization": f"Bearer {token}"}, self.server.connection()).status == 200))

    def upload(self, version, data):
        made = self.do("PUT", f"/firmware?product=p&version={version}", data).data
        self.is_there(f"firmware {made['id']}", f"/firmware/{made['id']}", lambda row: row["sha256"] == made["sha256"])
        self.known.append((f"firmware {made['id']}", lambda: self.ask("GET", f"/api/v1/firmware/{made['id']}/file").data == data))
        return made["id"]

    def update(self, campaign):
        """What the tick has still to make may take its time: until then nothing is due."""
        offer = None
        end = time.monotonic() + OFFER_S
        while not offer and time.monotonic() < end:
            reply = self.insist(lambda: self.device("GET", "/offer?version=1.0.0"))
            offer = reply.data if reply.status == 200 else time.sleep(0.02)
        if not offer:
            raise Failed
        self.report({"id": offer["id"], "percent": 40})
        self.is_there("40 percent", f"/executions/{offer['id']}", lambda row: row["percent"] >= 40)
        file = self.insist(lambda: self.ask("GET", offer["url"].split(f":{self.server.https_port}", 1)[1], None, None,
                                            self.server.connection()))
        assert hashlib.sha256(file.data).hexdigest() == offer["sha256"]
        self.report({"version": "1.1.0", "module": "default"})
        self.is_there("the new version", "/devices/p/d", lambda row: row["modules"][0]["version"] == "1.1.0")
        self.is_there("the success", f"/executions/{offer['id']}", lambda row: row["state"] == "succeeded")

    def report(self, fields):
        if "version" in fields:
            return self.insist(lambda: self.device("GET", f"/offer?version={fields['version']}"))
        return self.insist(lambda: self.device("POST", "/report", fields))


# ---- a server, before and after

def answers(server):
    try:
        return Work(server).ask("GET", "/health").status in (200, 503)
    except OSError:
        return False


def start(server):
    server.start(until=lambda: answers(server), pause_s=0.01)


def listing(server):
    """What stands in the data directory, but for files of firmware and what SQLite keeps beside its own."""
    paths = [str(path.relative_to(server.data)) for path in server.data.rglob("*")]
    return {path for path in paths if not path.startswith("blobs/") and not path.endswith(("-wal", "-shm", "otad.sock"))}


def check_store(server):
    """Of a server that does not run."""
    copy = server.root / "copy.db"
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(f"{server.data}/otad.db{suffix}", f"{copy}{suffix}")
    with contextlib.closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        files = {row[0] for row in db.execute("SELECT sha256 FROM firmware WHERE withdrawn_at_ms = 0")}
    blobs = [path for path in (server.data / "blobs").rglob("*") if path.is_file()]
    for path in blobs:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, path
    assert files <= {path.name for path in blobs}, f"{files} without their bytes"


class Trial:
    """One n: a server on a data directory of its own, worked on under the fault, killed, started again and looked at."""

    def __init__(self, root, family, model):
        self.family, self.model = family, model
        self.server = Otad(root, SHELL)
        self.plain_env = dict(self.server.env)
        self.control = Control(self.server.root / "control", family)
        self.server.env |= self.control.env

    def begin(self, n):
        """False: otad did not come up."""
        if self.family.starting:
            self.control.arm(n)
        else:
            shutil.copytree(self.model.data, self.server.data, ignore=shutil.ignore_patterns("otad.sock"))
        try:
            start(self.server)
        except AssertionError:
            assert self.family.starting, "it does not start"
            self.check_end()
            return False
        if not self.family.starting:
            self.control.arm(n)
        return True

    def check_end(self):
        """It ended: as it was told, or by itself with a reason, or for want of memory."""
        code, log = self.server.process.returncode, self.server.log(5)
        killed = self.family.how == "kill" and code == -signal.SIGKILL
        wanting = self.family.call == "malloc" and (code == -signal.SIGABRT or code > 0)
        said = self.family.starting and code > 0 and " error " in log
        assert killed or wanting or said, f"it ended with {code}: {log!r}"
        assert self.control.hits() > 0, f"it ended with {code} though nothing was done to it: {log!r}"

    def run(self, n):
        """The number of calls that were counted, and of those that were hit."""
        work = Work(self.server)
        if self.begin(n):
            try:
                work.run()
            except Gone:
                self.check_end()
            except Failed:
                assert self.family.how == "always", "it does not recover"
        counted = self.control.calls(), self.control.hits()
        self.server.kill()
        self.server.env = self.plain_env
        start(self.server)
        lost = [what for what, look in work.known if not look()]
        assert not lost, f"lost: {lost}"
        left = listing(self.server) ^ listing(self.model)
        assert not left, f"left over, or missing: {left}"
        self.server.kill()
        check_store(self.server)
        return counted


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="otad-", dir="/dev/shm" if shutil.os.access("/dev/shm", shutil.os.W_OK) else None)
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def first_start():
    """A server that has started once, in peace, and was killed: where every trial of work begins."""
    with folder() as root:
        server = Otad(root, SHELL)
        try:
            start(server)
        finally:
            server.kill()
        yield server


def trial(family, model, n):
    with folder() as root:
        one = Trial(root, family, model)
        try:
            return one.run(n)
        except Exception as e:
            raise AssertionError(f"{family}, call {n}: {e}\n{one.server.log(40)}") from e
        finally:
            one.server.kill()


def every(family, model, first=1, stride=1):
    """Each n until there is no such call. Yields n and what trial says."""
    n = first
    while True:
        calls, hits = trial(family, model, n)
        if not hits:
            return
        yield n, calls, hits
        n += stride


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", nargs="*")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--malloc-stride", type=int, default=1, help="of the families of malloc, which are long")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list:
        print(*FAMILIES, sep="\n")
        return 0
    failures = 0
    with first_start() as model:
        for name in args.family or FAMILIES:
            family, done, began = FAMILIES[name], 0, time.monotonic()
            stride, n = args.malloc_stride if family.call == "malloc" and args.stride == 1 else args.stride, args.first
            while True:
                try:
                    if not trial(family, model, n)[1]:
                        break
                    done += 1
                except AssertionError as e:
                    failures += 1
                    print(f"torture: {e}", flush=True)
                n += stride
            print(f"torture: {name}: {done} points passed, the last call was below {n}, {time.monotonic() - began:.0f} s",
                  flush=True)
    print(f"torture: {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
