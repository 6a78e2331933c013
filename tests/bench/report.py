"""What a run found, for people who do not run it: docs/benchmarks.json, and the part of docs/benchmarks.md between two marks."""
import json

BEGIN, END = "<!-- written by make bench: begin -->\n", "<!-- written by make bench: end -->\n"
DIGITS = 4


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, (list, tuple)) else value


def as_json(found):
    return json.dumps(rounded(found), indent=1) + "\n"


def facts(found):
    lines = [f"| {name} | {value} |" for name, value in found["machine"].items()]
    return "\n".join(["| machine | |", "|---|---|", *lines])


def publish(found, rows, docs):
    page = docs / "benchmarks.md"
    head, rest = page.read_text(encoding="utf-8").split(BEGIN)
    tail = rest.split(END)[1]
    text = f"Measured {found['at'][:10]}, in {found['took_s'] // 60} minutes.\n\n{facts(found)}\n\n{rows}\n"
    page.write_text(f"{head}{BEGIN}{text}{END}{tail}", encoding="utf-8")
    (docs / "benchmarks.json").write_text(as_json(found), encoding="utf-8")
