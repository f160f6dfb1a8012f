from typing import TYPE_CHECKING

import hostile_answers
import hostile_code
import pytest
from hostile_code import Attack

from tickwork.core.limits import Limits

if TYPE_CHECKING:
    from conftest import Victim

MIB = 1 << 20
# An agent takes at least 300 kB while it lives, and an attack of 2.6 kB that stays would show.
GROWTH_MAX = MIB
WARM, TIMES = 100, 400
_QUICK = Limits(fuel_per_turn=100_000, fuel_setup=1_000_000)
_BY_NAME = {attack.name: attack for attack in (*hostile_code.ALL, *hostile_answers.OTHERS)}


@pytest.mark.parametrize(
    "name",
    [
        "endless step",
        "recursion bomb",
        "memory over the cap",
        "every page touched",
        "unreachable start",
        "cabi_realloc traps",
        "cabi_realloc answers -8",
        "tickwork_inbox grows the memory",
        "proc_exit",
        "random_get in start",
        "both streams by turns",
        "an error of 1 MiB from step",
        "one effect over the limit",
        "a body that is its own record",
    ],
)
def test_an_attack_that_is_repeated_leaves_no_memory_behind(victim: "Victim", name: str) -> None:
    attack = _BY_NAME[name]
    limits = _QUICK if name == "endless step" else attack.limits
    repeated = Attack(name, attack.code, attack.turns, limits=limits, config=attack.config)
    found = victim.ask("repeat", repeated, warm=WARM, times=TIMES)
    assert len(found["kinds"]) == 1
    assert found["grown"] < GROWTH_MAX
