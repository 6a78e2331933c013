"""otad where it may do next to nothing: as the service and the container run it."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fleet import Product, SelfActing
from conftest import short_folder
from harness import BUILD, SANITIZED, Otad, alive, descendants, wait_until

UNIT = Path(__file__).parents[2] / "conf" / "otad.service"
NOBODY = 65532  # the image's user


def one_update(otad):
    """An upload, a campaign, and a device that takes it: over MQTT and HTTPS."""
    product = Product(otad)
    firmware = product.upload(os.urandom(200_000))
    device = SelfActing(otad, product.key, "d1", product.register("d1")["secret"], tls=True).connect()
    try:
        otad.wait_state(product.campaign(firmware), "d1", "succeeded")
    finally:
        device.disconnect()


# Every mount is made read-only, but those that hold no files of anybody's, and the data directory; then whoever was root
# becomes nobody, for good. Before the last step it is shown that the root is read-only indeed.
CELL = r"""
set -e
mount --make-rprivate /
mount --bind "$CELL_DATA" "$CELL_DATA"
while read -r _ where kind _; do
    case "$where:$kind" in "$CELL_DATA":*|*:proc|*:sysfs|*:devpts|*:mqueue|*:cgroup*) continue ;; esac
    mount -o remount,bind,ro "$where" 2>/dev/null || :
done </proc/self/mounts
! touch /otad-was-here 2>/dev/null
! touch "$CELL_ROOT/otad-was-here" 2>/dev/null
exec setpriv --reuid "$CELL_USER" --regid "$CELL_USER" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- "$@"
"""


def can_make_cells():
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return False
    probe = "mount --make-rprivate / && mount --bind /tmp /tmp"
    return subprocess.run(["unshare", "-m", "sh", "-c", probe], capture_output=True).returncode == 0


class Servant(Otad):
    """Of nobody's, where root runs the tests."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        programs = self.root / "bin"  # the build may stand where nobody else may look
        for folder in (self.data, programs):
            folder.mkdir()
        for name in ("otad", "otad_broker.so"):
            shutil.copy(BUILD / name, programs)
        self.root.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(self.data, NOBODY, NOBODY)

    @property
    def args(self):
        return [str(self.root / "bin" / "otad"), *super().args[1:]]


class Confined(Servant):
    """All it may write to is its data directory."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.env |= {"CELL_DATA": str(self.data), "CELL_ROOT": str(self.root), "CELL_USER": str(NOBODY)}

    @property
    def args(self):
        return ["unshare", "-m", "sh", "-c", CELL, "cell", *super().args]


@pytest.mark.skipif(SANITIZED, reason="sanitizers write reports where they like")
@pytest.mark.skipif(not can_make_cells(), reason="needs root, to give it up in namespaces of its own")
def test_a_rollout_by_nobody_on_a_read_only_root(tmp_path_factory):
    with short_folder() as root:
        otad = Confined(root)
        try:
            otad.start()
            status = Path(f"/proc/{otad.pid}/status").read_text()
            assert re.search(r"^Uid:\t(\d+)\t\1\t\1\t\1$", status, re.M).group(1) == str(NOBODY)
            assert re.findall(r"^Cap(?:Inh|Prm|Eff|Bnd|Amb):\t(\w+)$", status, re.M) == ["0" * 16] * 5
            assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
            one_update(otad)
            below = descendants(otad.pid)
            otad.stop()
            assert not any(alive(pid) for pid, _ in below)
        finally:
            otad.kill()


# ---- the seccomp filter of the unit

def filter_of_unit():
    """The names that SystemCallFilter= leaves, as systemd on this machine reads its groups; None when it cannot tell."""
    if not shutil.which("systemd-analyze"):
        return None
    done = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True)
    if done.returncode:
        return None
    groups, group = {}, None
    for line in done.stdout.splitlines():
        word = line.strip()
        if line.startswith("@"):
            group = groups.setdefault(word, [])
        elif line.startswith(" ") and word and not word.startswith("#") and group is not None:
            group.append(word)

    def names(group):
        return {n for w in groups[group] for n in (names(w) if w.startswith("@") else [w])}
    allowed = names("@default")
    for words in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.M):
        for word in words.lstrip("~").split():
            allowed = allowed - names(word) if words.startswith("~") else allowed | names(word)
    return allowed


class Traced(Servant):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.trace = self.root / "trace"
        self.trace.touch()
        if os.geteuid() == 0:
            os.chown(self.trace, NOBODY, NOBODY)

    @property
    def args(self):
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        return [*become, "strace", "-f", "-qq", "-e", "signal=none", "-o", str(self.trace), *super().args]

    def calls(self):
        return set(re.findall(r"^\d+ +(\w+)\(", self.trace.read_text(errors="replace"), re.M))


def test_the_unit_does_not_start_over_what_only_a_person_can_put_right():
    assert re.search(r"^RestartPreventExitStatus=78$", UNIT.read_text(), re.M)


@pytest.mark.skipif(SANITIZED, reason="sanitizers make calls of their own")
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_every_call_passes_the_filter_of_the_unit():
    allowed = filter_of_unit()
    if not allowed:
        pytest.skip("needs systemd-analyze")
    assert "openat" in allowed and "setuid" not in allowed and "mount" not in allowed
    with short_folder() as root:
        otad = Traced(root)
        try:
            otad.start()
            one_update(otad)
            traced = wait_until(lambda: [pid for pid, name in descendants(otad.pid) if name == "otad"], what="otad under strace")
            os.kill(traced[0], 15)
            assert otad.process.wait(60) == 0
            otad.process = None
            calls = otad.calls()
            assert {"openat", "accept4", "fdatasync", "epoll_wait"} <= calls, "the trace is of something else"
            refused = sorted(calls - allowed)
            assert not refused, "calls that the filter of the unit refuses"
        finally:
            otad.kill()


# ---- the programs

@pytest.mark.skipif(not shutil.which("readelf"), reason="needs readelf")
@pytest.mark.skipif(SANITIZED, reason="of what is installed")
@pytest.mark.parametrize("name", ["otad", "otad-sim", "otad_broker.so"])
def test_programs_are_hardened(name):
    def readelf(*options):
        return subprocess.run(["readelf", "-W", *options, str(BUILD / name)], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Type:\s+DYN", readelf("-h")), "position independent"
    assert re.search(r"GNU_STACK\s.*\sRW\s", readelf("-l")), "no executable stack"
    assert "GNU_RELRO" in readelf("-l") and re.search(r"BIND_NOW|Flags:.*\bNOW\b", readelf("-d")), "relocations are read-only"
    assert "__stack_chk_fail" in readelf("--dyn-syms"), "stacks are guarded"
    assert "_chk@" in readelf("--dyn-syms"), "fortified calls"
