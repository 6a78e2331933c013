"""Fixtures: a server shared by a module's cheap tests, and servers of one test's own for those that break things."""
import contextlib
import os
import shutil
import tempfile

import pytest

from fleet import Product, Shelf
from harness import BUILD, Otad


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than some seconds")


def pytest_collection_modifyitems(items):
    if items and not (BUILD / "otad").exists():
        raise pytest.UsageError(f"{BUILD}/otad is missing: run make first, or set OTAD_BUILD")


def memory():
    """Where files are in memory, if there is room: each commit of a server elsewhere waits for the disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 1 << 30 else None


@contextlib.contextmanager
def short_folder(where=None):
    """A folder whose path is short enough for Unix sockets, which pytest's own are not."""
    path = tempfile.mkdtemp(prefix="otad-", dir=where)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Factory:
    """Makes servers, and ends those that the test did not."""

    def __init__(self, stack):
        self.stack = stack
        self.servers = []

    def __call__(self, settings=None, start=True, **more):
        where = memory() if more.get("clock") else None  # hours are to go by in no time
        server = Otad(self.stack.enter_context(short_folder(where)), settings, **more)
        self.servers.append(server)
        self.stack.callback(server.kill)
        return server.start() if start else server

    def stop(self):
        for server in self.servers:
            server.stop()


@pytest.fixture
def make_otad():
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory
        factory.stop()


@pytest.fixture(scope="module")
def otad():
    """Shared by the module: tests bring products of their own and must leave it running."""
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory()
        factory.stop()


@pytest.fixture
def product(otad):
    return Product(otad)


@pytest.fixture(scope="module")
def shelf(otad):
    return Shelf(otad)


@pytest.fixture
def devices():
    """A place to leave devices that are to be disconnected when the test is over."""
    with contextlib.ExitStack() as stack:
        def keep(device):
            stack.callback(device.disconnect)
            return device
        yield keep


@pytest.fixture
def device(product, devices):
    """Connected, on version 1.1.0."""
    one = devices(product.device("d1").connect())
    one.inform("1.1.0")
    return one


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.passed or report.skipped:
        return
    servers = []
    for value in getattr(item, "funcargs", {}).values():
        servers += value.servers if isinstance(value, Factory) else [value] if isinstance(value, Otad) else []
    for server in servers:
        report.sections.append((f"log of {server.data}", server.log(60)))
