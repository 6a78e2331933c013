"""An otad with a port for certificates, one for all tests; and the scripts that play devices, ended with their test."""
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

from harness import BUILD, Otad, free_ports  # noqa: E402
from script import Script  # noqa: E402


def pytest_collection_modifyitems(items):
    if items and not (BUILD / "otad").exists():
        raise pytest.UsageError(f"{BUILD}/otad is missing: run make first, or set OTAD_BUILD")


@contextlib.contextmanager
def serving(**settings):
    root = tempfile.mkdtemp(prefix="otad-")  # short, for Unix sockets
    server = Otad(root, {"mqtt_cert_port": free_ports(1)[0], **settings})
    try:
        yield server.start()
        server.stop()
    finally:
        server.kill()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def otad():
    with serving() as server:
        yield server


@pytest.fixture
def otad_without_port():
    """Its URLs name no port, as Aliyun's have none."""
    with serving(public_url="https://localhost") as server:
        yield server


@pytest.fixture
def play():
    """Starts a script of this folder with its orders."""
    with contextlib.ExitStack() as stack:
        def start(otad, name, **orders):
            script = Script(otad, HERE / name, orders)
            stack.callback(script.kill)
            return script
        yield start
