"""A manifest means what it says, its defaults filled in; whatever it is, it never raises another error."""

import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickwork.core.errors import ManifestError
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits, RunLimits
from tickwork.manifest.bounds import LIMIT_BOUNDS, limits_fault
from tickwork.manifest.faults import line_of
from tickwork.manifest.files import FileFault, read_regular
from tickwork.manifest.load import load_manifest
from tickwork.manifest.schema import BundledModule, Language, Manifest, Model, Snapshots

FULL = """
[run]
name = "desk"
seed = 18446744073709551615
start = "2026-01-02T03:04:05.000006+01:00"
tick = "250us"
ticks = 40
until = "ticks"
on_bad_input = "stop"

[engine]
floats = "portable"

[limits]
agents = 10
input_line_bytes = 1000

[defaults.limits]
fuel_per_turn = 5000
mailbox_messages = 7

[[agents]]
id = "router"
module = "agents/router.py"
config = { teams = { net = ["a", 1, 1.5, true] }, since = 2026-01-01T00:00:00Z }
grants = [
  "send:team-*", "send:worker/*",
  { capability = "output:report", per_tick = 4, per_run = 9 }, "timer",
]
every_tick = true
limits = { fuel_per_turn = 6000 }
modules = ["lib/helper.py"]

[[agents]]
id = "team"
kind = "desk"
module = "team.cpp"
count = 3
config = "raw bytes"
grants = ["spawn:worker", "stop:worker/*", "publish:news", "call:tool-*", "send:router",
  { capability = "infer:any", tokens_per_tick = 5, tokens_per_run = 6 }]

[kinds.worker]
module = "worker.wasm"
subscribe = ["news"]

[inputs.tickets]
path = "in.jsonl"
to = ["team-*", "router", "team-1"]
rate = 6

[inputs.orders]
to = "router"
topic = "order"
path = "-"
[outputs.report]
path = "out/report.jsonl"
[outputs.quiet]

[models.any]
path = "models/any"
variant = "q4"
latency_ticks = 3
tokens_per_tick = 2
tokens_max = 100
tokens_default = 50
providers = ["cuda", "cpu"]
[models.small]
cached = "tiny"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    for name in ("agents/router.py", "lib/helper.py", "team.cpp", "worker.wasm", "a.py"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("")
    return root


@pytest.fixture(scope="module")
def full(project: Path) -> Manifest:
    (project / "tickwork.toml").write_text(FULL)
    return load_manifest(project / "tickwork.toml")


def load(project: Path, text: str) -> Manifest:
    path = project / "other.toml"
    path.write_text(text)
    return load_manifest(path)


def test_the_run_is_as_written(full: Manifest) -> None:
    start = dt.datetime(2026, 1, 2, 2, 4, 5, tzinfo=dt.UTC)
    assert full.name == "desk"
    assert full.seed == 2**64 - 1
    assert full.start_ns == int(start.timestamp()) * 10**9 + 6000
    assert full.tick_ns == 250_000
    assert (full.ticks, full.until_idle, full.stop_at_bad_input) == (40, False, True)
    assert full.limits == RunLimits(agents=10, input_line_bytes=1000)


def test_agents_are_as_written_and_counted(full: Manifest, project: Path) -> None:
    assert [agent.id for agent in full.agents] == ["router", "team-0", "team-1", "team-2"]
    assert [agent.kind for agent in full.agents] == ["router", "desk", "desk", "desk"]
    router, team = full.agents[:2]
    assert router.module == project / "agents/router.py"
    assert [agent.language for agent in (router, team, *full.kinds)] == [
        Language.PYTHON,
        Language.CPP,
        Language.WASM,
    ]
    assert router.config == b'{"teams":{"net":["a",1,1.5,true]},"since":"2026-01-01T00:00:00Z"}'
    assert team.config == b"raw bytes"
    assert router.every_tick
    assert router.modules == (BundledModule("helper", project / "lib/helper.py"),)
    assert router.grants == (
        Grant(Capability.SEND, "team-*"),
        Grant(Capability.SEND, "worker/*"),
        Grant(Capability.OUTPUT, "report", 4, 9),
        Grant(Capability.TIMER),
    )


def test_models_are_as_written(full: Manifest, project: Path) -> None:
    assert full.models == (
        Model("any", str(project / "models/any"), None, "q4", 3, 2, 50, 100, 4096, 10_000, ("cuda", "cpu")),
        Model("small", None, "tiny", "", 1, None, 256, 4096, 4096, 10_000, ("cpu",)),
    )
    bounded = Grant(Capability.INFER, "any", tokens_per_tick=5, tokens_per_run=6)
    assert bounded in full.agents[1].grants


def test_limits_come_from_the_agent_then_the_defaults_then_tickwork(full: Manifest) -> None:
    router, team = full.agents[:2]
    assert router.limits == Limits(fuel_per_turn=6000, mailbox_messages=7)
    assert team.limits == Limits(fuel_per_turn=5000, mailbox_messages=7)
    assert full.kinds[0].limits == team.limits


def test_inputs_and_outputs_are_as_written(full: Manifest, project: Path) -> None:
    tickets, orders = full.inputs
    assert tickets.to == ("team-0", "team-1", "team-2", "router")
    assert (tickets.topic, tickets.rate, tickets.path) == ("tickets", 6, str(project / "in.jsonl"))
    assert (orders.topic, orders.rate, orders.path) == ("order", 1, "-")
    assert [(output.name, output.path) for output in full.outputs] == [
        ("report", str(project / "out/report.jsonl")),
        ("quiet", None),
    ]


def test_a_kind_is_its_own_template(full: Manifest) -> None:
    (worker,) = full.kinds
    assert (worker.id, worker.kind, worker.subscribe) == ("worker", "worker", ("news",))


def test_defaults_fill_a_minimal_manifest(project: Path) -> None:
    found = load(project, '[run]\nname = "r"\n[[agents]]\nid = "a"\nmodule = "a.py"\n')
    assert found.start_ns == int(dt.datetime(2000, 1, 1, tzinfo=dt.UTC).timestamp()) * 10**9
    assert (found.seed, found.tick_ns, found.ticks, found.until_idle) == (0, 10**8, None, True)
    assert (found.stop_at_bad_input, found.floats, found.limits) == (False, "portable", RunLimits())
    (agent,) = found.agents
    assert (agent.config, agent.grants, agent.limits, agent.every_tick) == (b"", (), Limits(), False)


def test_a_start_may_be_a_toml_time(project: Path) -> None:
    agent = '[[agents]]\nid = "a"\nmodule = "a.py"\n'
    written = load(project, '[run]\nname = "r"\nstart = 2026-01-01T00:00:00Z\n' + agent)
    quoted = load(project, '[run]\nname = "r"\nstart = "2026-01-01T00:00:00Z"\n' + agent)
    assert written.start_ns == quoted.start_ns == 1_767_225_600 * 10**9


def test_a_folder_stands_for_the_manifest_in_it(full: Manifest, project: Path) -> None:
    assert load_manifest(project) == full


def test_relative_paths_begin_at_the_manifest(
    full: Manifest, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "lib")
    assert load_manifest(Path("../tickwork.toml")).agents[0].module.samefile(full.agents[0].module)
    monkeypatch.chdir(project)
    assert load_manifest(Path("tickwork.toml")) == full


def test_a_bundle_may_name_packages(project: Path) -> None:
    agent = '[[agents]]\nid = "a"\nmodule = "a.py"\n'
    found = load(project, f'[run]\nname = "r"\n{agent}modules = {{ "lib.helper" = "lib/helper.py" }}\n')
    assert found.agents[0].modules == (BundledModule("lib.helper", project / "lib/helper.py"),)


def test_every_limit_has_bounds_that_hold_its_default() -> None:
    limits = {**vars_of(Limits()), **vars_of(RunLimits())}
    assert set(LIMIT_BOUNDS) == set(limits)
    for name, value in limits.items():
        low, high = LIMIT_BOUNDS[name]
        assert low <= value <= high


def vars_of(limits: Limits | RunLimits) -> dict[str, int]:
    return {name: getattr(limits, name) for name in limits.__struct_fields__}


def test_limits_from_elsewhere_are_held_to_the_same_bounds() -> None:
    assert limits_fault(Limits()) is None
    assert limits_fault(RunLimits()) is None
    assert "memory_bytes is 1," in (limits_fault(Limits(memory_bytes=1)) or "")
    assert "agents is 10000000," in (limits_fault(RunLimits(agents=10**7)) or "")


def test_a_file_that_grows_is_not_read_past_its_cap(project: Path) -> None:
    assert read_regular(project / "a.py", 0) == b""
    with pytest.raises(FileFault, match="is not a regular file"):
        read_regular(Path("/dev/zero"), 10)
    # A file that claims no size and has content all the same.
    with pytest.raises(FileFault, match="larger than 1 bytes"):
        read_regular(Path("/proc/self/status"), 1)


# Lines.

SPELLINGS = '''# 1
[run]
"name" = """
[[agents]]
"""
[[ agents ]]  # 6
id = "x"

[agents.config."a b"]
c.d = 1
[[agents]]
grants = [
  "timer",
  "x",
]
'''


@pytest.mark.parametrize(
    ("at", "line"),
    [
        (("run",), 2),
        (("run", "name"), 3),
        (("run", "absent"), 2),
        (("agents", 0), 6),
        (("agents", 0, "id"), 7),
        (("agents", 0, "config", "a b"), 9),
        (("agents", 0, "config", "a b", "c", "d"), 10),
        (("agents", 1), 11),
        (("agents", 1, "grants", 1), 12),
        (("agents", 1, "id"), 11),
        (("agents", 7), 6),
        (("absent",), None),
        ((), None),
    ],
)
def test_a_key_is_found_however_it_is_spelt(at: tuple[str | int, ...], line: int | None) -> None:
    assert line_of(SPELLINGS, at) == line


def test_a_line_in_a_long_manifest_is_found() -> None:
    text = "".join(f'[[agents]]\nid = "a{n}"\n' for n in range(3000))
    assert line_of(text, ("agents", 2222, "id")) == 2 * 2222 + 2


# Whatever comes.

scalars = (
    st.booleans()
    | st.integers(-(2**66), 2**66)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a", "a.py", "send:a", "timer", "-", "w/*", "*", "idle", "1ms"])
)
KEYS = (
    "run engine limits defaults agents kinds inputs outputs id module config grants subscribe count kind"
    " modules every_tick capability per_tick name seed start tick ticks until on_bad_input floats path to"
    " topic rate fuel_per_turn memory_bytes a w"
)
keys = st.sampled_from(KEYS.split()) | st.text(max_size=4)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def toml(value: object) -> str:
    """Write a value as inline TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(repr(value), repr(value))
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return repr(value)


def read_or_refuse(project: Path, data: bytes) -> None:
    path = project / "fuzz.toml"
    path.write_bytes(data)
    told = str(path)
    try:
        load_manifest(path)
    except ManifestError as error:
        told = str(error)
    assert told.startswith(str(path))
    assert "\n" not in told


@given(st.dictionaries(keys, values, max_size=6))
@example({"agents": [{"id": "a", "module": "a.py", "config": {"": {}}}], "run": {"name": "r"}})
def test_any_structure_is_a_manifest_or_a_manifest_error(project: Path, document: dict[str, object]) -> None:
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items())
    read_or_refuse(project, text.encode("utf-8", "surrogatepass"))


@given(st.data())
def test_any_value_anywhere_is_a_manifest_or_a_manifest_error(project: Path, data: st.DataObject) -> None:
    lines = FULL.splitlines()
    place = data.draw(st.sampled_from([n for n, line in enumerate(lines) if " = " in line]))
    lines[place] = lines[place].partition(" = ")[0] + " = " + toml(data.draw(values))
    read_or_refuse(project, "\n".join(lines).encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=60), st.integers(0, len(FULL)), st.integers(0, 60))
def test_any_bytes_are_a_manifest_or_a_manifest_error(
    project: Path, noise: bytes, start: int, length: int
) -> None:
    data = FULL.encode()
    read_or_refuse(project, data[:start] + noise + data[start + length :])


def test_nothing_is_left_open(project: Path, full: Manifest) -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(3):
        assert load_manifest(project) == full
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Snapshots(None, 0.05, "all")),
        ('[snapshots]\nevery = "auto"\nshare = 0.2\nkeep = "thin"\n', Snapshots(None, 0.2, "thin")),
        ("[snapshots]\nshare = 1\n", Snapshots(None, 1.0, "all")),
        ('[snapshots]\nevery = "never"\n', Snapshots(0, 0.05, "all")),
        ("[snapshots]\nevery = 100\nkeep = 3\n", Snapshots(100, 0.05, 3)),
    ],
)
def test_snapshots_are_as_written(project: Path, text: str, expected: Snapshots) -> None:
    found = load(project, f'[run]\nname = "r"\n{text}[[agents]]\nid = "a"\nmodule = "a.py"\n')
    assert found.snapshots == expected


@pytest.mark.parametrize(("text", "expected"), [("", "group"), ('durability = "tick"\n', "tick")])
def test_durability_is_as_written(project: Path, text: str, expected: str) -> None:
    found = load(project, f'[run]\nname = "r"\n{text}[[agents]]\nid = "a"\nmodule = "a.py"\n')
    assert found.durability == expected
