"""A device that Node plays: a script of this folder as a process, and what it says line by line."""
import json
import queue
import subprocess
import threading

from harness import WAIT_S


class Script:
    def __init__(self, otad, path, orders):
        self.otad = otad
        self.lines = queue.Queue()  # parsed; None after the last
        self.said_so_far = []
        self.errors = []
        env = {**otad.env, "NODE_EXTRA_CA_CERTS": str(otad.ca)}
        self.process = subprocess.Popen(["node", str(path), json.dumps(orders)], env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.readers = [threading.Thread(target=read, daemon=True) for read in (self._read_lines, self._read_errors)]
        for reader in self.readers:
            reader.start()

    def _read_lines(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line) if line.startswith('{"event":') else {"event": "", "text": line})
        self.lines.put(None)

    def _read_errors(self):
        self.errors.extend(line.rstrip("\n") for line in self.process.stderr)

    def kill(self):
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(WAIT_S)

    def story(self):
        """What a failed test needs to be understood."""
        return "\n".join([*map(json.dumps, self.said_so_far), *self.errors, self.otad.log(30)])

    def said(self, event):
        """The next line of that event; others before it stay in said_so_far."""
        while True:
            try:
                line = self.lines.get(timeout=WAIT_S)
            except queue.Empty:
                line = None
            if line is None:
                self.kill()
                raise AssertionError(f"never said {event}:\n{self.story()}")
            self.said_so_far.append(line)
            if line["event"] == event:
                return line

    def ended_well(self):
        """Returns when it is over, and insists that it went well."""
        code = self.process.wait(WAIT_S)
        assert code == 0, self.story()
