"""The broker away: with a fleet in the middle of a campaign, with more descriptors open than select knows, and with a clock
that jumps."""
import socket

import pytest

import away
from fleet import Product, SelfActing
from harness import WAIT_S, wait_until
from killloop import MODULES, PlainBroker, Reports

SELECT_MAX = 1024
YEAR_MS = 365 * 86400 * 1000


def test_a_fleet_whose_broker_goes_away():
    """`make away` does it with ten thousand devices and for ten minutes."""
    print(away.run(300, 5))


def broker_fd(server, port):
    """The number of otad's socket to its broker, or None."""
    wanted = f"{port:04X}"
    for name in ("tcp", "tcp6"):
        for line in open(f"/proc/{server.pid}/net/{name}", encoding="ascii"):
            fields = line.split()
            if fields[2].rpartition(":")[2] == wanted and fields[3] == "01":
                for fd in (away.Path(f"/proc/{server.pid}/fd")).iterdir():
                    try:
                        if fd.readlink() == away.Path(f"socket:[{fields[9]}]"):
                            return int(fd.name)
                    except FileNotFoundError:
                        pass
    return None


def test_a_reconnect_beyond_the_descriptors_of_select(make_otad, tmp_path):
    if away.allow_descriptors() < 4 * SELECT_MAX:
        pytest.skip("this process may not open so many files")
    broker = PlainBroker(tmp_path).start()
    socks, reports = [], None
    try:
        server = make_otad(broker.settings())
        Product(server, key="p").register("d00000")
        broker.stop()
        wait_until(lambda: not server.healthy())
        for _ in range(1100):
            socks.append(socket.create_connection(("localhost", server.http_port), timeout=WAIT_S))
        wait_until(lambda: len(list(away.Path(f"/proc/{server.pid}/fd").iterdir())) > 1100, what="1,100 descriptors")
        broker.start()
        wait_until(server.healthy)
        assert broker_fd(server, broker.port) >= SELECT_MAX
        reports = Reports(broker.port, 50, devices=1, connections=1)
        reports.tell("run")
        wait_until(lambda: server.module_version("p", "d00000", "m1"), what="a report")
        (newest,) = reports.pause()
        wait_until(lambda: server.module_version("p", "d00000", f"m{newest % MODULES}") == str(newest), what="the last one")
    finally:
        for sock in socks:
            sock.close()
        if reports:
            reports.stop()
        broker.stop()


def test_the_clock_jumps(make_otad):
    """A year ahead, back to a year before, past the end of 32 bits: sessions last, and campaigns end well."""
    server = make_otad(clock=True)
    product = Product(server)
    device = SelfActing(server, product.key, "d1", product.register("d1")["secret"]).connect()
    device.settle()
    now = server.clock.now_ms
    lost = []
    device.client.on_disconnect = lambda *_: lost.append(True)
    for number, at in enumerate((now + YEAR_MS, now - YEAR_MS, 2**31 * 1000 - 500, 2**31 * 1000 + 500, 2**32 * 1000, now)):
        server.at(at)
        campaign = product.campaign(product.upload(version=f"2.{number}.0"))
        server.wait_state(campaign, "d1", "succeeded")
        server.wait_campaign(campaign, "completed")
        assert server.healthy()
    assert not lost
    device.disconnect()
