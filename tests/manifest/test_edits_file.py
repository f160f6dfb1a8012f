"""A file of edits means what it says; each way to get one wrong has a message with line, key and fix."""

# ruff: noqa: E501 - a table reads best with a case to a line

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickwork.core.edits import AgentEdit, Drop, Edits, Inject, Replace
from tickwork.core.errors import EditError
from tickwork.core.fault_plan import NO_FAULTS
from tickwork.core.grants import Capability, Grant
from tickwork.manifest import edits as edits_file
from tickwork.manifest.edits import AgentSource, BuiltSource, EditsFile, load_edits
from tickwork.manifest.load import MANIFEST_BYTES_MAX
from tickwork.manifest.run_section import FAULTS_KEYS
from tickwork.manifest.schema import BundledModule, Language
from tickwork.runtime.assemble import build_edits

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference" / "edits.md"
HOW_TO = DOCS / "how-to" / "fork-and-edit.md"

FULL = """
seed = 18446744073709551615

[[inject]]
to = "router"
sender = "input:tickets"
topic = "ticket"
body = { id = "T-1", at = 1979-05-27 }
reply_to = 7
[[inject]]
to = "b"
topic = "t"
[[inject]]
to = "b"
topic = "t"
body = [1, 2.5, "x"]

[[drop]]
to = "router"
[[drop]]
to = "router"
sender = "a"
topic = "ticket"
place = 3

[[replace]]
to = "router"
sender = "a"
topic = "ticket"
place = 0
body = ""
[[replace]]
to = "router"
new_topic = "t"

[agents.router]
grants = ["send:*", { capability = "timer", per_run = 3 }]
limits = { timers = 5, fuel_per_turn = 1000 }
config = { b = 1, a = [true] }
module = "router_v2.py"
modules = ["lib/part.py"]
restart = true
[agents."k/1"]
grants = []
config = ""
[agents.c]
module = "c.wasm"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("edits")
    (root / "lib").mkdir()
    for name in ("router_v2.py", "lib/part.py", "plain", "c.wasm"):
        (root / name).write_text("x = 1\n")
    (root / "big.wasm").write_bytes(bytes(2000))
    return root


def load(project: Path, text: str | bytes) -> EditsFile:
    path = project / "edits.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_edits(path, 1000)


def message(project: Path, text: str | bytes) -> str:
    with pytest.raises(EditError) as caught:
        load(project, text)
    told = str(caught.value)
    path = str(project / "edits.toml")
    assert told.startswith(path)
    assert "\n" not in told
    return told.removeprefix(path)


def test_edits_are_as_written(project: Path) -> None:
    file = load(project, FULL)
    assert file.path == project / "edits.toml"
    assert file.edits == Edits(
        seed=2**64 - 1,
        inject=(
            Inject("router", "ticket", b'{"id":"T-1","at":"1979-05-27"}', "input:tickets", 7),
            Inject("b", "t", b"", "fork"),
            Inject("b", "t", b'[1,2.5,"x"]'),
        ),
        drop=(Drop("router"), Drop("router", "a", "ticket", 3)),
        replace=(
            Replace("router", "a", "ticket", 0, body=b""),
            Replace("router", new_topic="t"),
        ),
        agents=(
            AgentEdit("c"),
            AgentEdit("k/1", grants=(), config=b""),
            AgentEdit(
                "router",
                grants=(Grant(Capability.SEND, "*"), Grant(Capability.TIMER, per_run=3)),
                limits=(("fuel_per_turn", 1000), ("timers", 5)),
                config=b'{"b":1,"a":[true]}',
                restart=True,
            ),
        ),
    )
    assert file.sources == {
        "c": AgentSource(project / "c.wasm", Language.WASM, ()),
        "router": AgentSource(
            project / "router_v2.py", Language.PYTHON, (BundledModule("part", project / "lib/part.py"),)
        ),
    }


def test_an_empty_file_edits_nothing(project: Path) -> None:
    assert load(project, "# nothing\n").edits == Edits()


def test_faults_are_those_of_a_file_or_none(project: Path) -> None:
    assert load(project, "seed = 1\n").edits.faults is None
    none = load(project, "[faults]\n")
    assert (none.edits, none.faults) == (Edits(faults=NO_FAULTS), None)
    assert load(project, '[faults]\npath = "faults.toml"\n').faults == project / "faults.toml"


def test_the_order_of_tables_means_nothing(project: Path) -> None:
    first = load(project, "[agents.a]\nrestart = true\n[agents.b]\nlimits = { timers = 1, fuel_setup = 2 }\n")
    second = load(
        project, "[agents.b]\nlimits = { fuel_setup = 2, timers = 1 }\n[agents.a]\nrestart = true\n"
    )
    assert first.edits == second.edits


def test_built_sources_take_their_places(project: Path) -> None:
    file = load(project, FULL)
    built = {"c": BuiltSource("11" * 32, b""), "router": BuiltSource("22" * 32, b"source")}
    edits = file.resolve(built)
    assert [(edit.id, edit.module, edit.preamble) for edit in edits.agents] == [
        ("c", "11" * 32, b""),
        ("k/1", None, None),
        ("router", "22" * 32, b"source"),
    ]
    assert (edits.drop, edits.agents[2].config) == (file.edits.drop, file.edits.agents[2].config)


def test_sources_are_built_and_named_by_their_hash(project: Path) -> None:
    edits, modules = build_edits(load(project, '[agents.c]\nmodule = "c.wasm"\n'), 1000)
    (edit,) = edits.agents
    assert modules == {edit.module: b"x = 1\n"}
    assert edit.preamble == b""


INJECT = '[[inject]]\nto = "a"\ntopic = "t"\n'
DROP = '[[drop]]\nto = "a"\n'
REPLACE = '[[replace]]\nto = "a"\nbody = ""\n'
AGENT = "[agents.a]\nrestart = true\n"

BAD = {
    # Not TOML, or not of this shape.
    "syntax": ("[[drop]\n", ":1:7: is not valid TOML: expected ']]'"),
    "not UTF-8": (b"seed = 1\n# \xff\n", ":2: is not UTF-8 text"),
    "too large": ("#" * (MANIFEST_BYTES_MAX + 1), f": has {MANIFEST_BYTES_MAX + 1} bytes, more than"),
    "deep": ("x = " + "[" * 9000, "is nested too deeply"),
    "unknown table": ("[[injekt]]\n", ":1: injekt: unknown key; did you mean 'inject'?"),
    "one table": ("[drop]\nto = 'a'\n", ":1: drop: must be an array"),
    "number for a table": ("drop = [3]\n", ":1: drop[0]: must be a table, not a whole number"),
    "array for agents": ("agents = []\n", ":1: agents: must be a table, not an array"),
    # Values.
    "seed": ("seed = -1\n", ":1: seed: is -1; it must be between 0 and 18446744073709551615"),
    "seed as text": ('seed = "1"\n', ":1: seed: must be a whole number, not a string"),
    "no receiver": ('[[inject]]\ntopic = "t"\n', ':1: inject[0].to: is missing; add to = "AGENT"'),
    "no topic": ('[[inject]]\nto = "a"\n', ':1: inject[0].topic: is missing; add topic = "TOPIC"'),
    "no drop receiver": (DROP + "[[drop]]\nplace = 0\n", ":3: drop[1].to: is missing"),
    "to two": ('[[drop]]\nto = ["a"]\n', ":2: drop[0].to: must be a string"),
    "place": (DROP + "place = -1\n", ":3: drop[0].place: is -1; it must be between 0 and"),
    "new topic in a drop": (DROP + "new_topic = ''\n", ":3: drop[0].new_topic: unknown key"),
    "number body": (INJECT + "body = 42\n", ':4: inject[0].body: must be a string, a table or an array, not a whole number; for JSON write the text that is to arrive, such as body = "42"'),
    "infinite body": (INJECT + "body = [inf]\n", ":4: inject[0].body[0]: is not a finite number"),
    "huge body": (INJECT + "body.a = 99999999999999999999\n", ":4: inject[0].body.a: does not fit 64 bits"),
    "reply_to": (INJECT + "reply_to = 1.0\n", ":4: inject[0].reply_to: must be a whole number, not a number with a fraction"),
    "no change": ('[[replace]]\nto = "a"\n', ":1: replace[0]: changes nothing; give it a body or a new_topic"),
    # Agents.
    "no agent change": ("[agents.a]\n", ":1: agents.a: changes nothing; give it one of: grants, limits, config, module, modules, restart"),
    "restart = false": ("[agents.a]\nrestart = false\n", ":1: agents.a: changes nothing"),
    "unknown key": (AGENT + "subscribe = []\n", ":3: agents.a.subscribe: unknown key; allowed here: grants, limits, config, module, modules, restart"),
    "unknown grant": (AGENT + 'grants = ["sent:a"]\n', ":3: agents.a.grants[0]: 'sent:a' grants nothing that exists; did you mean 'send'?"),
    "grant twice": (AGENT + 'grants = ["timer", "timer"]\n', ":3: agents.a.grants[1]: 'timer' is granted twice"),
    "unknown limit": (AGENT + "limits = { fuel = 1 }\n", ":3: agents.a.limits.fuel: unknown key; did you mean"),
    "limit": (AGENT + "limits.memory_bytes = 1\n", ":3: agents.a.limits.memory_bytes: is 1; it must be between 65536 and"),
    "config": (AGENT + "config = 1\n", ":3: agents.a.config: must be a table or a string"),
    "restart": ("[agents.a]\nrestart = 1\n", ":2: agents.a.restart: must be true or false"),
    "a quoted id": ('[agents."k/1"]\nrestart = 1\n', ":2: agents.'k/1'.restart: must be"),
    # Files.
    "empty path": (AGENT + 'module = ""\n', ":3: agents.a.module: is empty; give a path relative to the file of edits"),
    "no file": (AGENT + 'module = "x.py"\n', ":3: agents.a.module: 'x.py' does not exist (paths are relative to the file of edits)"),
    "a directory": (AGENT + 'module = "lib"\n', ":3: agents.a.module: 'lib' is a directory"),
    "too big a file": (AGENT + 'module = "big.wasm"\n', ":3: agents.a.module: 'big.wasm' has 2000 bytes, more than the 1000"),
    "no language": (AGENT + 'module = "plain"\n', ":3: agents.a.module: 'plain' is of no kind that can be run"),
    "only modules": (AGENT + 'modules = ["lib/part.py"]\n', ":3: agents.a.modules: comes with a new program only; add module too"),
    "modules of C": (AGENT + 'module = "c.wasm"\nmodules = ["lib/part.py"]\n', ":4: agents.a.modules: is only for Python agents; this one is wasm"),
    "no module file": (AGENT + 'module = "router_v2.py"\nmodules = ["y.py"]\n', ":4: agents.a.modules[0]: 'y.py' does not exist"),
    # The first in the file is told.
    "two faults": (AGENT + "config = 1\n" + '[[drop]]\nplace = 1\n', ":3: agents.a.config: must be"),
    "empty faults path": ('[faults]\npath = ""\n', ":2: faults.path: is empty; name a file such as"),
    "faults in the edits": ("[faults]\nrates = []\n", ":2: faults.rates: unknown key"),
    "two lists": ('[[replace]]\nto = "a"\n' + "[[drop]]\n", ":1: replace[0]: changes nothing"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named(project: Path, text: str | bytes, reason: str) -> None:
    assert reason in message(project, text)


def test_the_good_parts_are_good(project: Path) -> None:
    assert load(project, INJECT + DROP + REPLACE + AGENT).edits.agents == (AgentEdit("a", restart=True),)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EditError, match=r"none\.toml: does not exist; name a file of edits"):
        load_edits(tmp_path / "none.toml")


_words = st.sampled_from(
    [*edits_file.TOP_KEYS, *edits_file.REPLACE_KEYS, *edits_file.AGENT_KEYS, "a", "[[", "]]", "[", "]", "{",
     "}", "=", "\n", '"', "'", ",", ".", "1", "true", "inf", "1979-05-27", "send:a", "router_v2.py", "\0"]
)  # fmt: skip


@given(st.binary(max_size=80) | st.lists(_words, max_size=25).map(lambda words: " ".join(words).encode()))
@example(FULL.encode().replace(b'"send:*"', b"3"))
def test_any_bytes_are_edits_or_an_edit_error(project: Path, data: bytes) -> None:
    try:
        load(project, data)
    except EditError as error:
        told = str(error)
    else:
        return
    assert told.startswith(str(project / "edits.toml"))


# The pages.


def section(title: str) -> str:
    text = PAGE.read_text()
    assert f"\n## {title}\n" in text
    return re.split(r"^## ", text.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("`[[inject]]`", edits_file.INJECT_KEYS),
        ("`[[drop]]`", edits_file.DROP_KEYS),
        ("`[[replace]]`", edits_file.REPLACE_KEYS),
        ("`[agents.ID]`", edits_file.AGENT_KEYS),
        ("`[faults]`", FAULTS_KEYS),
    ],
)
def test_every_key_has_a_row_and_every_row_a_key(title: str, keys: tuple[str, ...]) -> None:
    found = re.findall(r"^\| `(\w+)` \|", section(title), re.MULTILINE)
    assert sorted(found) == sorted(keys)


def test_every_table_has_a_heading() -> None:
    headings = re.findall(r"^## `\[*(\w+)", PAGE.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(edits_file.TOP_KEYS)


@pytest.mark.parametrize("page", [PAGE, HOW_TO], ids=lambda page: page.name)
def test_what_the_pages_show_can_be_loaded(project: Path, page: Path) -> None:
    shown = re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert shown
    for text in shown:
        assert load(project, text).edits != Edits()
