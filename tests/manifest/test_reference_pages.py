"""The reference pages name every key, with the defaults and bounds that the code has."""

import re
from pathlib import Path

import pytest

from tickwork.core.grants import Capability
from tickwork.core.limits import Limits, RunLimits
from tickwork.inference.providers import PROVIDERS
from tickwork.manifest import (
    agent_section,
    dag_section,
    flow_sections,
    grants,
    load,
    model_section,
    run_section,
)
from tickwork.manifest.bounds import LIMIT_BOUNDS, MODEL_BOUNDS
from tickwork.manifest.schema import LANGUAGE_OF_SUFFIX, Snapshots

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def rows(text: str) -> dict[str, list[str]]:
    """The rows of all tables in the text whose first cell is code, by that code."""
    found = (re.split(r" *\| *", line.strip("| ")) for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip("`"): cells[1:] for cells in found}


def section(title: str) -> str:
    page = (REFERENCE / "manifest.md").read_text()
    return re.split(r"^##+ ", page.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("`[run]`", run_section.RUN_KEYS),
        ("`[dag]`", dag_section.DAG_KEYS),
        ("`[engine]`", run_section.ENGINE_KEYS),
        ("`[snapshots]`", run_section.SNAPSHOT_KEYS),
        ("`[[agents]]`", agent_section.AGENT_KEYS),
        ("`[inputs.NAME]`", flow_sections.INPUT_KEYS),
        ("`[outputs.NAME]`", flow_sections.OUTPUT_KEYS),
        ("`[models.NAME]`", model_section.MODEL_KEYS),
    ],
)
def test_every_key_has_a_row_and_every_row_a_key(title: str, keys: tuple[str, ...]) -> None:
    assert set(rows(section(title))) == set(keys)


def test_every_grant_and_its_keys_have_a_row() -> None:
    found = rows(section("Grants"))
    assert {name.partition(":")[0] for name in found} == {*map(str, Capability), *grants.GRANT_KEYS}


def test_the_defaults_and_bounds_of_models_are_the_documented_ones(tmp_path: Path) -> None:
    found = rows(section("`[models.NAME]`"))
    model = model_section.parse_model("m", {"path": "m"}, tmp_path)
    for key, (low, high) in MODEL_BOUNDS.items():
        bounds = re.fullmatch(r"integer, (\d+) to (\d+)\^(\d+)", found[key][0])
        assert bounds is not None, key
        assert (low, high) == (int(bounds[1]), int(bounds[2]) ** int(bounds[3])), key
        default = getattr(model, key)
        assert found[key][1] == ("none" if default is None else f"`{default}`"), key
    assert model.providers == ("cpu",)
    assert set(re.findall(r"`(\w+)`", found["providers"][2])) == set(PROVIDERS)
    assert tuple(PROVIDERS) == model_section.PROVIDER_NAMES


def test_every_table_has_a_heading() -> None:
    page = (REFERENCE / "manifest.md").read_text()
    headings = " ".join(re.findall(r"^## .*$", page, re.MULTILINE))
    for key in load.TOP_KEYS:
        assert re.search(rf"`\[+{key}\b", headings), key


def test_every_suffix_is_named() -> None:
    module = rows(section("`[[agents]]`"))["module"]
    assert set(re.findall(r"`(\.\w+)`", module[2])) == set(LANGUAGE_OF_SUFFIX)


def test_the_defaults_of_the_run_are_the_documented_ones() -> None:
    found = rows(section("`[run]`"))
    assert found["start"][1] == f'`"{run_section.DEFAULT_START}"`'
    assert found["tick"][1] == f'`"{run_section.DEFAULT_TICK}"`'
    for key, choices in (("until", run_section.UNTIL), ("on_bad_input", run_section.ON_BAD_INPUT)):
        assert found[key][0] == " or ".join(f'`"{choice}"`' for choice in choices)
    assert re.findall(r'`"(\w+)"`', found["durability"][0]) == [*run_section.DURABILITY]
    assert found["durability"][1] == f'`"{run_section.DURABILITY[0]}"`'


def test_the_defaults_and_choices_of_snapshots_are_the_documented_ones() -> None:
    found = rows(section("`[snapshots]`"))
    assert re.findall(r'`"(\w+)"`', found["every"][0]) == [*run_section.EVERY]
    assert re.findall(r'`"(\w+)"`', found["keep"][0]) == [*run_section.KEEP]
    assert [found[key][1] for key in run_section.SNAPSHOT_KEYS] == ['`"auto"`', "`0.05`", '`"all"`']
    defaults = Snapshots()
    assert (defaults.every, defaults.share, defaults.keep) == (None, 0.05, "all")


def test_every_limit_has_its_default_and_bounds() -> None:
    found = {
        name: [int(cell) for cell in cells[:3]]
        for name, cells in rows((REFERENCE / "limits.md").read_text()).items()
    }
    expected = {
        name: [getattr(limits, name), *LIMIT_BOUNDS[name]]
        for limits in (Limits(), RunLimits())
        for name in limits.__struct_fields__
    }
    assert found == expected
