"""Files of faults: what they say is what is broken, and mistakes are told with their line."""

import re
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given

from core_worlds import powerful, run_of
from tickwork.core.errors import ManifestError
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.faults import KINDS, CrashAfter, Delay, Drop, FaultRate, Partition
from tickwork.manifest.fault_plan import RATE_KEYS, TOP_KEYS, faults_toml, keys_of, load_faults

sys.path.append(str(Path(__file__).parents[1] / "laws"))
from fault_strategies import plans

RUN = run_of(powerful("a"), powerful("odd-1"), powerful("b"), kinds=(powerful("k"),))
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"


def load(folder: Path, text: str) -> FaultPlan:
    path = folder / "faults.toml"
    path.write_text(text, encoding="utf-8")
    return load_faults(path, RUN)


def test_a_file_says_what_is_broken(tmp_path):
    text = """
        seed = 3
        [[faults]]
        kind = "drop"
        tick = 4
        sender = "a"
        to = "k/1"
        [[faults]]
        kind = "delay"
        tick = 5
        sender = "a"
        nth = 2
        ticks = 3
        [[faults]]
        kind = "partition"
        tick = 6
        group = ["odd-*", "b"]
        [[faults]]
        kind = "crash-after"
        tick = 7
        agent = "b"
        effects = 1
        [[rates]]
        kind = "drop"
        rate = 1
        agents = ["a"]
    """
    assert load(tmp_path, text) == FaultPlan(
        (
            Drop(4, "a", to="k/1"),
            Delay(5, "a", 2, ticks=3),
            Partition(6, ("odd-*", "b")),
            CrashAfter(7, "b", 1),
        ),
        (FaultRate("drop", 1.0, agents=("a",)),),
        3,
    )


def sayable(rate: FaultRate) -> FaultRate:
    """Return the rate without what means nothing for its kind, which a file cannot say."""
    keys = KINDS[rate.kind].__struct_fields__
    ticks, fuel = (rate.ticks if "ticks" in keys else 1), (rate.fuel if "fuel" in keys else 0)
    return msgspec.structs.replace(rate, ticks=ticks, fuel=fuel)


@given(plans(["a", "odd-1", "b"], 9).filter(lambda plan: "nobody" not in repr(plan)))
def test_a_plan_that_is_written_reads_back_as_the_same(plan):
    plan = msgspec.structs.replace(plan, rates=tuple(map(sayable, plan.rates)))
    with tempfile.TemporaryDirectory() as folder:
        assert load(Path(folder), faults_toml(plan)) == plan


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[[faults]]\ntick = 1", 1, ["faults[0].kind", "missing", 'kind = "drop"']),
        ('[[faults]]\nkind = "drip"', 2, ["faults[0].kind", "did you mean 'drop'"]),
        ('[[faults]]\nkind = "drop"\nsender = "a"', 1, ["faults[0].tick", "missing"]),
        ('[[faults]]\nkind = "drop"\ntick = 1\nsender = "odd-2"', 4, ["no agent", "did you mean 'odd-1'"]),
        (
            '[[faults]]\nkind = "drop"\ntick = 1\nsender = "a"\nagent = "a"',
            5,
            ["unknown key", "a drop fault"],
        ),
        (
            '[[faults]]\nkind = "pause"\ntick = 1\nagent = "a"\nticks = 0',
            5,
            ["faults[0].ticks", "must be between 1"],
        ),
        ('[[rates]]\nkind = "pause"\nrate = 0.1\nticks = 5000', 4, ["must be between 1 and 1000"]),
        (
            '[[faults]]\nkind = "drop"\ntick = 1\nsendr = "a"',
            4,
            ["a drop fault", "did you mean 'sender'", "kind, tick, sender, nth, to"],
        ),
        ('[[faults]]\nkind = "partition"\ntick = 1\ngroup = ["x-*"]', 4, ["group[0]", "no agent 'x-*'"]),
        ('[[faults]]\nkind = "drop"\ntick = -1\nsender = "a"', 3, ["must be between 0"]),
        ('[[rates]]\nkind = "drop"\nrate = 1.1', 3, ["between 0 and 1"]),
        ('[[rates]]\nkind = "drop"\nrate = 0.1\nfuel = 3', 4, ["means nothing for drop"]),
        ("[[rates]]\nkind = 'drop'\nrate = nan", 3, ["between 0 and 1"]),
        (
            '[[rates]]\nkind = "drop"\nrate = 0.1\nfirst = 5\nlast = 2',
            1,
            ["rates[0]", "last, 2, is before first, 5", "exchange them"],
        ),
        ("faults = 3", 1, ["must be an array"]),
        ("fault = []", 1, ["unknown key", "did you mean 'faults'"]),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, text, line, words):
    with pytest.raises(ManifestError) as told:
        load(tmp_path, text)
    message = str(told.value)
    assert f"faults.toml:{line}:" in message
    for word in words:
        assert word in message


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ManifestError, match="name a file of faults"):
        load_faults(tmp_path / "none.toml", RUN)


def test_the_page_has_every_kind_with_its_keys_and_every_key_of_a_rate():
    text = PAGE.read_text()
    rows = {
        cells[1].strip(" `"): cells[2]
        for cells in (line.split("|") for line in text.splitlines() if line.startswith("| `"))
    }
    for kind in KINDS:
        named = set(re.findall(r"`(\w+)`", rows[kind]))
        assert named | {"kind", "tick"} == set(keys_of(kind)), kind
        for field in msgspec.structs.fields(KINDS[kind]):
            if field.name in {"ticks", "fuel"}:
                assert f"`{field.name}` ({field.default})" in rows[kind]
    assert set(RATE_KEYS) <= set(rows)
    for key in TOP_KEYS:
        assert f"`{key}`" in text or f"`[[{key}]]`" in text
