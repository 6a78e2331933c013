"""What must not stand in a file that a stranger reads: places of one machine, hosts of package registries, secrets, and
promises to oneself."""

import os
import pathlib
import re
import sys

IGNORED = {".git", "build", "data", ".cache", ".pytest_cache", "__pycache__", "corpus"}

# One letter in brackets, so that no row finds itself.
ROWS = [
    (r"(?<![\w.~{}$*-])/wor[k]/|\.\./share[d]\b", "a path of one machine"),
    (r"(?<![\w.])/(?:hom[e]/[a-z]\w+|roo[t]/\w|User[s]/\w)", "a home folder"),
    (r"\bdeb\.debia[n]\.org|security\.debia[n]\.org|archive\.ubunt[u]\.com|pypi\.or[g]|files\.pythonhoste[d]\.org"
     r"|registry\.npmj[s]\.org|crates\.i[o]\b|proxy\.golan[g]\.org|docker\.i[o]/|ghcr\.i[o]|quay\.i[o]",
     "the host of a package registry"),
    (r"\b(?:TOD[O]|FIXM[E]|XX[X]|HAC[K])\b", "a promise to oneself"),
    (r"-----BEGIN (?:[A-Z]+ )?PRIVATE KE[Y]-----", "a private key"),
    (r"^(?:<{7}|>{7}) ", "a merge that was not finished"),
]
PATTERNS = [(re.compile(pattern, re.M), what) for pattern, what in ROWS]


def files():
    for folder, names, here in os.walk("."):
        names[:] = sorted(n for n in names if n not in IGNORED)
        for name in sorted(here):
            yield pathlib.Path(folder, name)


def check(path):
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return  # firmware, not prose
    for pattern, what in PATTERNS:
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {what}: {match.group(0).strip()}"


def main():
    wrong = [sentence for path in files() if not path.is_symlink() for sentence in check(path)]
    for sentence in wrong:
        print(sentence)
    print(f"words: {len(wrong)} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
