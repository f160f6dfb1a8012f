from typing import TYPE_CHECKING

import hostile_answers
import hostile_code
import pytest
from hostile_code import Attack

from guests import CASES

if TYPE_CHECKING:
    from conftest import Victim

# An attack gets six turns at most, each of which its fuel bounds; machines under load take their time.
ATTACK_S = 20


def check(victim: "Victim", attack: Attack) -> None:
    found = victim.ask("attack", attack)
    kinds = [kind for kind, _ in found["outcomes"]]
    assert kinds[: len(attack.turns)] == list(attack.turns), found
    assert len(kinds) == len(attack.turns) or attack.turns[-1] == "ok"
    assert attack.detail in found["outcomes"][-1][1]
    assert found["others_unaffected"]
    assert found["wall_s"] < ATTACK_S


@pytest.mark.parametrize("attack", hostile_code.ALL, ids=lambda attack: attack.name)
def test_a_hostile_guest_comes_to_its_outcome_and_nobody_else_notices(
    victim: "Victim", attack: Attack
) -> None:
    check(victim, attack)


@pytest.mark.parametrize("attack", hostile_answers.OTHERS, ids=lambda attack: attack.name)
def test_a_lying_answer_comes_to_its_outcome_and_nobody_else_notices(
    victim: "Victim", attack: Attack
) -> None:
    check(victim, attack)


@pytest.mark.parametrize("case", CASES)
def test_no_pointer_or_text_of_an_effect_is_believed(victim: "Victim", case: str) -> None:
    attacks = [attack for attack in hostile_answers.FIELDS if attack.name.startswith(f"{case}.")]
    assert attacks
    for attack in attacks:
        check(victim, attack)
