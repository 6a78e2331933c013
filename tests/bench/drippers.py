"""How much a thousand drippers are felt by others. They send a byte a second of a head over TCP or of a handshake, or of
a head over TLS, where each pays, and has otad pay, for a handshake every ten seconds; and begin anew when they are cut. The
health is asked for over a kept connection with them and without, by turns."""
import contextlib
import socket
import ssl
import time

from harness import free_ports
from load import Task, drippers, probe
from peers import Stage
from rows import Row

CUT_S = 11  # until the first are cut, and as many begin as end
HEAD = b"GET /health HTTP/1.1\r\nX: " + b"x" * 5000


def hello(context):
    """What a client of TLS says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def felt(connect, seconds):
    task = Task(probe, connect, 0.005)
    time.sleep(seconds)
    said = task.stop()
    assert said["n"] and not said["failures"], said
    return said["p99_ms"]


def run(quick):
    rounds, seconds, count = (1, 2, 100) if quick else (3, 6, 1000)
    rows = []
    with Stage() as stage:
        port = free_ports(1)[0]
        otad = stage.otad = stage.start_otad(http_port=port)
        context = stage.context()

        def over_tcp():
            return socket.create_connection(("127.0.0.1", port), 5)

        def to_tls():
            return socket.create_connection(("127.0.0.1", otad.https_port), 5)

        def over_tls():
            return context.wrap_socket(to_tls(), server_hostname="localhost")
        felt(over_tls, 1)
        for name, kinds in {"heads and handshakes": [(over_tcp, HEAD), (to_tls, hello(context))],
                            "heads over TLS": [(over_tls, HEAD)]}.items():
            alone, beside = [], []
            for _ in range(rounds):
                alone.append(felt(over_tls, seconds))
                crowd = Task(drippers, kinds, count)
                time.sleep(CUT_S)
                beside.append(felt(over_tls, seconds))
                crowd.stop()
            rows.append(Row(f"p99 beside {count:,} drippers, {name}", "ms", beside, alone, goal=("ratio", "<", 1.1),
                            peer="alone"))
    return rows


if __name__ == "__main__":
    from bench import more_descriptors
    from rows import table
    more_descriptors()
    found = run(False)
    print(table(found))
