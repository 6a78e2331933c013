"""otad killed under load: a few rounds of what `make kill` does for hundreds."""
import pytest

import killloop

ROUNDS, SEED = 5, 7


@pytest.mark.parametrize("kind", killloop.KINDS)
def test_what_was_acknowledged_is_there(kind):
    print(killloop.run(kind, ROUNDS, SEED))
