"""The tables in the program are the one place where a setting, a key of a campaign's policy, or a route's role stands;
conf/otad.conf, docs/settings.md, docs/policy.md and the list in docs/access.md are made from what `otad -D`, `otad --policy` and
`otad --routes` print.

    settings.py build/otad            fails when a file is not what the program says
    settings.py build/otad --write    makes the files
"""

import argparse
import difflib
import pathlib
import re
import subprocess
import sys

CONF = pathlib.Path("conf/otad.conf")
PAGE = pathlib.Path("docs/settings.md")
POLICY = pathlib.Path("docs/policy.md")
ACCESS = pathlib.Path("docs/access.md")
ROUTES = re.compile(r"(?<=<!-- routes:begin -->\n).*?(?=<!-- routes:end -->)", re.S)
SETTING = re.compile(r"^[#;]?\s*(\w+)\s*=\s*(.*)$")

HEAD = """# Settings

Made from `otad -D` by `tests/lint/settings.py --write`; edit the table in `src/config/settings.c`, not this page.

A setting comes from, each overriding the one before: its default, the file given by `-c FILE`, the environment, `-o key=value`.
`otad -t` checks them and says what is wrong. They are read once, at the start; `log_level` again with every HUP.

| key | environment | default | meaning |
|---|---|---|---|
"""

POLICY_HEAD = """# A campaign's policy

Made from `otad --policy` by `tests/lint/settings.py --write`; edit the table in `src/rollout/policy.c`, not this page.

The object `policy` of `POST /api/v1/campaigns`; what is not given has its default, and a key that is not in this table is an
error. Spans are written as `"30s"`, `"10m"`, `"2h"`, `"7d"`. `GET /api/v1/campaigns/{id}` shows them all. How they work together,
with examples: [rollouts.md](rollouts.md).

"""


def parse(text):
    """(key, default, help) of each setting: lines of comment, then key = default."""
    rows, comment = [], []
    for line in text.splitlines():
        match = SETTING.match(line)
        if match and (line[0] not in "#;" or re.match(r"^[#;]\w+\s*=", line)):
            rows.append((match.group(1), match.group(2).strip(), " ".join(comment)))
            comment = []
        elif line.startswith(("#", ";")):
            comment.append(line.lstrip("#; ").rstrip())
        else:
            comment = []
    return rows


def cell(text):
    return text.replace("|", "\\|")


def page(text):
    lines = [f"| `{key}` | `OTAD_{key.upper()}` | {f'`{cell(default)}`' if default else 'none'} | {cell(help_text)} |"
             for key, default, help_text in parse(text)]
    return HEAD + "\n".join(lines) + "\n"


def access(routes):
    """The page with the routes that otad prints between its marks."""
    rows = [line.split() for line in routes.splitlines()]
    lines = [f"| `{method}` | `{path}` | {role if role == proof or proof == '-' else f'{role}, {proof}'} |"
             for method, path, role, proof in rows]
    table = "| method | path | who |\n|---|---|---|\n" + "\n".join(lines) + "\n"
    return ROUTES.sub(lambda _: table, ACCESS.read_text(encoding="utf-8"), count=1)


def compare(path, wanted):
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    diff = difflib.unified_diff(there.splitlines(), wanted.splitlines(), str(path), "otad -D", lineterm="", n=1)
    return list(diff)


def printed(otad, option):
    return subprocess.run([otad, option], stdout=subprocess.PIPE, check=True, text=True).stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("otad")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    settings = printed(args.otad, "-D")
    rows = parse(settings)
    wanted = {CONF: settings, PAGE: page(settings), POLICY: POLICY_HEAD + printed(args.otad, "--policy"),
              ACCESS: access(printed(args.otad, "--routes"))}
    if args.write:
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
    wrong = [line for path, text in wanted.items() for line in compare(path, text)]
    wrong += [f"{key}: no help" for key, _, help_text in rows if not help_text]
    for line in wrong:
        print(line)
    print(f"settings: {len(rows)} settings, {'files differ' if wrong else 'documented'}")
    return bool(wrong) or not rows


if __name__ == "__main__":
    sys.exit(main())
