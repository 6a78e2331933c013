"""A page that says "shown by test_x" is right: every test that SECURITY.md or docs/ name is there.

`test_limits.py` is a file of tests/system or tests/sdk, `test_limits.py::test_drippers` a function in it,
`test_guard.c` a file of tests/unit, and `fuzz_range` a harness of tests/fuzz.
"""
import pathlib
import re
import sys

NAMED = re.compile(r"\b(test_\w+\.(?:py|c)|fuzz_\w+)\b(?:::(test_\w+))?")
PLACES = [pathlib.Path("tests") / room for room in ("system", "sdk", "unit", "fuzz")]


def judge(name, function):
    """What is wrong with it, or None."""
    file = name if "." in name else f"{name}.c"
    found = [place / file for place in PLACES if (place / file).is_file()]
    if not found:
        return f"there is no {file}"
    if function and not any(re.search(rf"^(?:def|static void) {function}\(", path.read_text(encoding="utf-8"), re.M) for path in found):
        return f"{file} has no {function}"
    return None


def main():
    named, wrong = 0, 0
    for page in [pathlib.Path("SECURITY.md"), pathlib.Path("README.md"), *sorted(pathlib.Path("docs").rglob("*.md"))]:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines() if page.exists() else [], 1):
            for match in NAMED.finditer(line):
                named += 1
                problem = judge(*match.groups())
                if problem:
                    wrong += 1
                    print(f"{page}:{number}: {problem}")
    print(f"proofs: {named} tests named, {wrong} wrong")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
