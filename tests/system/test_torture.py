"""One system call of otad after the other fails, or is its last: a sample of what `make torture` does with every one."""
import pytest

import torture

POINTS = 8
NEVER = 1 << 62


@pytest.fixture(scope="module")
def model():
    with torture.first_start() as server:
        yield server


@pytest.mark.parametrize("name", torture.FAMILIES)
def test_nothing_acknowledged_is_lost(model, name):
    family = torture.FAMILIES[name]
    calls, hits = torture.trial(family, model, NEVER)
    assert hits == 0
    assert calls > 0 or family.call == "mmap"  # a store that was opened in peace maps no more
    for n in range(1, calls + 1, max(1, calls // POINTS)):
        torture.trial(family, model, n)
