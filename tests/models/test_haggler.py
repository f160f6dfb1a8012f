"""The model that the market speaks with: served freely, small, and as good as its README says."""

import importlib.util
import random  # noqa: TID251 - seeded
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tickwork.inference.invariance import Serving
from tickwork.inference.language.load import load

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "models" / "haggle"
FOLDER = ROOT / "examples" / "market" / "haggler"
CASES = 400
BYTES_MAX = 15_000_000


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The scripts, imported under their own names and forgotten afterwards."""
    found = {}
    for name in ("haggling", "evaluate"):
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        found[name] = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, found[name])
        spec.loader.exec_module(found[name])
    return found


def test_the_model_is_small_and_served_freely() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*")) <= BYTES_MAX
    assert load(FOLDER).verdict.serving == Serving("free", "free", "free")


@pytest.mark.parametrize("temperature", [0.0, 0.6])
def test_answers_to_held_out_cases_are_valid_and_right(
    scripts: dict[str, ModuleType], temperature: float
) -> None:
    evaluate, haggling = scripts["evaluate"], scripts["haggling"]
    asked = evaluate.cases(CASES)
    said = evaluate.answers(FOLDER, asked, temperature)
    judged = [haggling.judge(case, text) for case, text in zip(asked, said, strict=True)]
    assert sum(valid for valid, _ in judged) >= 0.95 * CASES
    assert sum(right for _, right in judged) >= 0.90 * CASES


def test_all_that_is_right_is_in_the_grammar_and_nothing_beyond_the_limit(
    scripts: dict[str, ModuleType],
) -> None:
    evaluate, haggling = scripts["evaluate"], scripts["haggling"]
    draw = random.Random(4)
    for case in evaluate.cases(CASES):
        pattern = re.compile(evaluate.bounds(case))
        for _ in range(5):
            said = haggling.say(case, draw)
            assert pattern.fullmatch(said), (case, said)
        side, beyond = case.side, case.side.limit + (1 if case.side.role == "buyer" else -1)
        for kind in ("offer", "deal", "stay"):
            for sentence in haggling.SENTENCES[side.role, kind]:
                assert not pattern.fullmatch(sentence.format(p=beyond, lot=side.lot))


@pytest.mark.parametrize(
    ("text", "judged"),
    [
        ("I can pay 12 coins.", (True, True)),
        ("I offer 11 coins for 3 crates of apples.", (True, True)),
        ("I can pay 13 coins.", (True, False)),
        ("I can pay 10 coins.", (True, False)),
        ("Deal at 18 coins.", (True, False)),
        ("No deal, I will look elsewhere.", (True, False)),
        ("No deal, I will keep them.", (False, False)),
        ("I offer 11 coins for 3 crates of pears.", (False, False)),
        ("I can pay 12 coins", (False, False)),
    ],
)
def test_the_judge_tells_right_from_valid_from_neither(
    scripts: dict[str, ModuleType], text: str, judged: tuple[bool, bool]
) -> None:
    haggling = scripts["haggling"]
    side = haggling.Side("buyer", 3, "apples", 14, "firm")
    assert haggling.judge(haggling.Case(side, 10, 18, last=False), text) == judged


def test_held_out_pairs_are_a_fixed_sixteenth(scripts: dict[str, ModuleType]) -> None:
    haggling = scripts["haggling"]
    draw = haggling.random.Random(3)
    held = [haggling.held_out(*haggling.pair(draw)) for _ in range(4000)]
    assert 0.05 < sum(held) / len(held) < 0.08
