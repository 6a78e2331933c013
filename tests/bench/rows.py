"""A row of the table: samples of both sides taken in alternation, so that the ratio of each pair has no drift in it."""
import statistics


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "samples": values}


def number(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


class Row:
    """goal: ("ratio", "difference" or "otad", comparison, limit), judged on the median. its: the peer's samples, empty where
    there is none. compare: the two beside each other say something; a ratio does not, where
    the peer's is nothing."""

    def __init__(self, name, unit, otad, its=(), goal=None, note=None, compare=True, peer="nginx"):
        self.name, self.unit, self.goal, self.note, self.peer = name, unit, goal, note, peer
        self.sides = {"otad": spread(otad)}
        if its:
            self.sides[peer] = spread(its)
            if compare and all(its):
                self.sides["ratio"] = spread([mine / other for mine, other in zip(otad, its)])
            if compare:
                self.sides["difference"] = spread([mine - other for mine, other in zip(otad, its)])

    def goal_met(self):
        side, comparison, limit = self.goal
        if side not in self.sides:
            return False
        value = self.sides[side]["median"]
        return {">=": value >= limit, "<=": value <= limit, "<": value < limit}[comparison]

    def cells(self, judged):
        def median(side):
            return number(self.sides[side]["median"]) if side in self.sides else "-"
        ratio = self.sides.get("ratio")
        goal = "-"
        if self.goal:
            side, comparison, limit = self.goal
            goal = f"{comparison} " + {"ratio": f"{limit} x {self.peer}", "difference": f"{self.peer} + {limit} {self.unit}",
                                       "otad": f"{limit} {self.unit}"}[side]
        return [self.name, self.unit, median("otad"), median(self.peer), self.peer if self.peer in self.sides else "-",
                median("ratio"),
                f"{number(ratio['min'])} to {number(ratio['max'])}" if ratio else "-", goal,
                "-" if not self.goal or not judged else "met" if self.goal_met() else "MISSED"]

    def as_json(self):
        row = {"name": self.name, "unit": self.unit, **self.sides}
        if self.goal:
            row["goal"] = {"of": self.goal[0], "is": f"{self.goal[1]} {self.goal[2]}", "met": self.goal_met()}
        return row | ({"note": self.note} if self.note else {})


def table(rows, judged=True):
    """The same text is Markdown."""
    lines = [["what", "unit", "otad", "peer", "which", "ratio", "range", "goal", ""], *(row.cells(judged) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
                     for line in lines)
