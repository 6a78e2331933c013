"""Who may include whom: the picture of docs/architecture.md as a check.

Three things: a room includes only the rooms below it; a third-party header comes in by its one door; every header compiles
alone, and a .c file includes its own header first.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

BELOW = {  # room: the rooms it may include, its own always among them
    "base": [],
    "model": ["base"],
    "config": ["base"],
    "store": ["base", "model"],
    "image": ["base", "model"],
    "backup": ["base", "store"],
    "protocol": ["base", "model"],
    "rollout": ["base", "model", "store"],
    "http": ["base", "model", "config", "store", "image", "backup", "protocol", "rollout"],
    "mqtt": ["base", "model", "config", "store", "image", "protocol", "rollout"],
    "broker_plugin": ["base", "model", "protocol"],
    "sim": ["base", "model", "protocol"],
}
# A module may be held to less than its room: these are pure functions that happen to stand in a busy room.
PURE = {"http/range": ["base", "model"], "http/conditions": ["base", "model"]}

DOORS = [  # third-party headers by prefix, and the only files (or folders, with a slash) they come in by
    ("sqlite3", ["src/store/db.c", "src/broker_plugin/"]),
    ("jansson", ["include/base/json.h"]),
    ("cbor", ["src/protocol/cbor.c"]),
    ("openssl/", ["src/base/digest.c", "src/base/seal.c", "src/base/sign.c", "src/base/verify.c", "src/base/cert.c",
                  "src/base/pki.c", "src/base/pki_client.c", "src/base/pki_device.c", "src/broker_plugin/certificate.c"]),
    ("gnutls/", ["src/http/"]),
    ("microhttpd", ["src/http/"]),
    ("mosquitto", ["src/mqtt/", "src/broker_plugin/", "src/sim/"]),
    ("ini.h", ["src/config/"]),
    ("curl/", ["src/sim/"]),
]
GENERATED = {"sql_table.h": "store"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.M)


def room_of(path):
    """src/http/range.c -> http, include/base/err.h -> base, src/main.c -> main."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else "main"


def module_of(path):
    return "/".join(path.split("/")[1:]).rsplit(".", 1)[0]


def judge_room(path, header):
    """The sentence to print when a project header must not be included here, or None."""
    room = room_of(path)
    if header in GENERATED:
        other = GENERATED[header]
        return None if room == other else f"{header} is {other}'s own"
    if "/" not in header:
        return None if os.path.exists(f"{os.path.dirname(path)}/{header}") else f"{header} is not beside it"
    other = header.split("/")[0]
    if not os.path.exists(f"include/{header}"):
        return f"there is no include/{header}"
    if room == "main" or other == room:
        return None
    if room not in BELOW:
        return f"room {room} has no row in tests/lint/layers.py"
    allowed = PURE.get(module_of(path), BELOW[room])
    return None if other in allowed else f"{module_of(path)} may not include {other}/ ({header})"


def judge_door(path, header):
    for prefix, doors in DOORS:
        if header.startswith(prefix) and not any(path == d or (d[-1] == "/" and path.startswith(d)) for d in doors):
            return f"<{header}> comes in only by {', '.join(doors)}"
    return None


def check_file(path):
    text = pathlib.Path(path).read_text(encoding="utf-8")
    found = INCLUDE.findall(text)
    for kind, header in found:
        sentence = judge_room(path, header) if kind == '"' else judge_door(path, header)
        if sentence:
            yield f"{path}: {sentence}"
    own = f"{module_of(path)}.h"
    if path.endswith(".c") and os.path.exists(f"include/{own}") and (not found or found[0][1] != own):
        yield f"{path}: includes something before its own header {own}"


def check_alone(header, args):
    run = subprocess.run(
        [*args.cc.split(), "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Iinclude",
         f"-I{args.include}", "-x", "c", "-"],
        input=f'#include "{header[len("include/"):]}"\n', capture_output=True, text=True, check=False)
    return f"{header}: does not compile alone:\n{run.stderr.strip()}" if run.returncode else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--include", default="build/gen", help="folder of generated headers")
    args = parser.parse_args()
    files = sorted(str(p) for top in ("src", "include") for p in pathlib.Path(top).rglob("*.[ch]"))
    wrong = [sentence for path in files for sentence in check_file(path)]
    headers = [path for path in files if path.startswith("include/")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong += filter(None, pool.map(lambda h: check_alone(h, args), headers))
    for sentence in wrong:
        print(sentence)
    print(f"layers: {len(files)} files, {len(wrong)} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
