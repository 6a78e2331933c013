"""Sides by turns, so that a drift of the machine falls on both."""


def by_turns(sides, rounds, measure):
    """{name: [what measure(side, warms_up) said]}, who is first in a round by turns; one round before them warms up, and is left
    out. sides: {name: side}."""
    found = {name: [] for name in sides}
    for i in range(rounds + 1):
        for name in list(sides) if i % 2 else list(sides)[::-1]:
            said = measure(sides[name], i == 0)
            if i:
                found[name].append(said)
    return found


def pairs(found, key, names):
    """The samples of one key on each side, in the order of names."""
    return [[one[key] for one in found[name]] for name in names]
