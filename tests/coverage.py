#!/usr/bin/env python3
"""coverage.py <gcovr's JSON summary>: lines and branches of each room, and the files that are lowest; fails below the goals."""
import collections
import json
import sys

LINES_MIN, BRANCHES_MIN = 90.0, 80.0
GOALS = ("rollout", "protocol", "store", "image", "http/range")  # where a mistake costs devices


def room(path):
    """src/rollout/wave.c is of rollout; a file that has a goal of its own is one by itself too."""
    return path.split("/")[1]


def percent(hit, all_):
    return 100.0 * hit / all_ if all_ else 100.0


def row(name, c, goal):
    lines, branches = percent(c["line_covered"], c["line_total"]), percent(c["branch_covered"], c["branch_total"])
    low = goal and (lines < LINES_MIN or branches < BRANCHES_MIN)
    print(f"{name:24} {lines:6.1f} % of {c['line_total']:5} lines {branches:6.1f} % of {c['branch_total']:5} branches"
          f"{'  BELOW THE GOAL' if low else '  goal met' if goal else ''}")
    return low


def main():
    files = json.load(open(sys.argv[1], encoding="utf-8"))["files"]
    rooms = collections.defaultdict(collections.Counter)
    keys = ("line_covered", "line_total", "branch_covered", "branch_total")
    for f in files:
        own = f["filename"].removeprefix("src/").removesuffix(".c")
        for name in {room(f["filename"]), own if own in GOALS else room(f["filename"]), "total"}:
            rooms[name].update({k: f[k] for k in keys})
    missing = [g for g in GOALS if g not in rooms]
    low = [name for name in sorted(rooms, key=lambda n: (n == "total", n)) if row(name, rooms[name], name in GOALS)]
    print("\nlowest of the rooms with a goal:")
    of_goal = [f for f in files if room(f["filename"]) in GOALS]
    for f in sorted(of_goal, key=lambda f: percent(f["branch_covered"], f["branch_total"]))[:10]:
        row(f["filename"].removeprefix("src/"), f, False)
    if missing or low:
        sys.exit(f"coverage: below {LINES_MIN:.0f} % of lines or {BRANCHES_MIN:.0f} % of branches: {', '.join(missing + low)}")


if __name__ == "__main__":
    main()
