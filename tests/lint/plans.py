"""No statement reads a whole table that grows. Every named statement of sql/*.sql is explained against the schema that the
migrations make, without statistics, as on the first day. A statement that has to look at everything says why in a comment
beside its name:

    -- name: execution_rebuild
    -- scan: once, when a store of version 3 is opened
"""

import pathlib
import re
import sqlite3
import sys

GROWING = ["device", "device_gone", "device_tag", "device_module", "execution", "execution_module", "timeline", "firmware",
           "idempotency", "certificate", "audit", "device_old_secret"]
NAME = re.compile(r"^-- name: (\w+).*$", re.M)
REASON = re.compile(r"^\s*-- scan: \S", re.M)
ALIAS = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO|,)\s*(%s)\b(?:\s+(?:AS\s+)?(\w+))?" % "|".join(GROWING), re.I)
NOT_PLANNED = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "VACUUM")


class Nulls(dict):
    """Binds every named parameter to null: a plan does not depend on values."""

    def __missing__(self, key):
        return None


def schema():
    db = sqlite3.connect(":memory:")
    for path in sorted(pathlib.Path("sql").glob("[0-9]*.sql")):
        db.executescript(path.read_text(encoding="utf-8"))
    return db


def statements():
    for path in sorted(pathlib.Path("sql").glob("[!0-9]*.sql")):
        text = path.read_text(encoding="utf-8")
        heads = list(NAME.finditer(text))
        ends = [head.start() for head in heads[1:]] + [len(text)]
        for head, end in zip(heads, ends):
            body = text[head.end():end]
            sql = "\n".join(line for line in body.splitlines() if not line.lstrip().startswith("--")).strip()
            yield path.name, head.group(1), sql, bool(REASON.search(body))


def explain(db, sql):
    """The plan's lines; a function that only otad has is made up as we go."""
    while True:
        try:
            return [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql, Nulls())]
        except sqlite3.OperationalError as error:
            missing = re.fullmatch(r"no such function: (\w+)", str(error))
            if not missing:
                raise
            db.create_function(missing.group(1), -1, lambda *_: None, deterministic=True)


def with_views(db, sql):
    """The statement, and behind it the views that it reads, whose tables stand in plans by the views' own aliases."""
    views = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'")
    return sql + "".join(f"\n{text}" for name, text in views if re.search(rf"\b{name}\b", sql))


def scans(db, sql):
    names = {name: name for name in GROWING}
    for table, alias in ALIAS.findall(with_views(db, sql)):
        names[alias or table] = table.lower()
    for line in explain(db, sql):
        match = re.match(r"SCAN (?:TABLE )?(\w+)", line)
        if match and match.group(1) in names:
            yield f"{line} ({names[match.group(1)]})"


def judge(db, sql, reasoned):
    if sql.upper().startswith(NOT_PLANNED):
        return []
    try:
        found = list(scans(db, sql))
    except (sqlite3.Error, sqlite3.Warning) as error:
        return [str(error)]
    if found and not reasoned:
        return [f"{scan}: no index fits, and no `-- scan: reason`" for scan in found]
    if reasoned and not found:
        return ["a `-- scan:` without a scan"]
    return []


def main():
    db = schema()
    wrong = total = 0
    for file, name, sql, reasoned in statements():
        total += 1
        for sentence in judge(db, sql, reasoned):
            wrong += 1
            print(f"sql/{file}: {name}: {sentence}")
    print(f"plans: {total} statements, {wrong} wrong (SQLite {sqlite3.sqlite_version})")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
