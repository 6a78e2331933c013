"""What an idle TLS connection costs in memory, and how long a client with Nagle's algorithm on waits for
its first answer."""
import select
import socket
import statistics
import time

from peers import Stage
from rows import Row

PART = 64  # bytes of the answer: smaller than any segment
STALL_S = 0.02  # half of what a delayed acknowledgement takes


def connect(server, context):
    plain = socket.create_connection(("localhost", server.port), timeout=10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    return context.wrap_socket(plain, server_hostname="localhost")


def first_answer(server, tls):
    """Asks for a piece of the file, and returns the seconds until the first byte of the answer."""
    request = f"GET {server.target} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-{PART - 1}\r\n\r\n".encode()
    start = time.perf_counter()
    tls.sendall(request)
    answer = tls.recv(1)
    took_s = time.perf_counter() - start
    while answer.find(b"\r\n\r\n") < 0 or len(answer.split(b"\r\n\r\n", 1)[1]) < PART:
        more = tls.recv(4096)
        assert more, (server.name, answer)
        answer += more
    assert answer.startswith(b"HTTP/1.1 206 "), (server.name, answer)
    return took_s


# ---- memory


def settled_kb(server):
    """Memory once two looks agree: what threads free after the last answer is gone by then."""
    last, now = 0, server.pss_kb()
    for _ in range(20):
        if abs(now - last) <= 8:
            break
        time.sleep(0.1)
        last, now = now, server.pss_kb()
    return now


def still_open(sockets):
    """An idle connection has nothing to say; one that the server closed has."""
    poll = select.poll()
    for s in sockets:
        poll.register(s, select.POLLIN | select.POLLHUP | select.POLLRDHUP)
    return not poll.poll(0)


def kb_per_connection(stage, server, counts):
    """{count: kilobytes for each of so many connections}, each kept after one answer."""
    context, sockets, found = stage.context(), [], {}

    def grow(to):
        while len(sockets) < to:
            tls = connect(server, context)
            sockets.append(tls)
            assert tls.version() == "TLSv1.3"
            first_answer(server, tls)
    try:
        grow(8)  # what a server allocates once is not the connections'
        while sockets:
            sockets.pop().close()
        empty_kb = settled_kb(server)
        for count in counts:
            grow(count)
            found[count] = (settled_kb(server) - empty_kb) / count
            assert still_open(sockets), f"{server.name} closed idle connections"
    finally:
        for tls in sockets:
            tls.close()
    return found


def memory(quick):
    counts, rounds = ((100, 200), 1) if quick else ((1000, 2000), 3)
    found = {"otad": [], "nginx": []}
    for _ in range(rounds):
        with Stage() as stage:  # new processes: a heap that has grown before would hide what this needs
            for server in stage.start_pair():
                found[server.name].append(kb_per_connection(stage, server, counts))
    return [Row(f"idle connection, of {count:,}", "KB", [one[count] for one in found["otad"]],
                [one[count] for one in found["nginx"]], goal=("otad", "<=", 24)) for count in counts]


# ---- time


def nagle(quick):
    batches, batch = (2, 10) if quick else (5, 40)
    took_s = {"otad": [], "nginx": []}
    with Stage() as stage:
        stage.start_pair()
        context = stage.context()
        for i in range(1 + batches * batch):
            for server in stage.servers if i % 2 else stage.servers[::-1]:
                with connect(server, context) as tls:
                    assert tls.version() == "TLSv1.3"
                    took_s[server.name].append(first_answer(server, tls))
    medians, stalled = {}, {}
    for name, values in took_s.items():
        values = values[1:]  # the first warmed up
        medians[name] = [statistics.median(values[i:i + batch]) * 1000 for i in range(0, len(values), batch)]
        stalled[name] = [sum(v > STALL_S for v in values[i:i + batch]) * 100 / batch
                         for i in range(0, len(values), batch)]
    return [Row("first answer, client with Nagle", "ms", medians["otad"], medians["nginx"], goal=("ratio", "<=", 1.1)),
            Row("first answers over 20 ms", "%", stalled["otad"], stalled["nginx"], compare=False)]


def run(quick):
    return memory(quick) + nagle(quick)
