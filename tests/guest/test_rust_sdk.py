"""Agents in Rust: the crate, seen through a module's exports, and its build script."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import wasmtime
from agent_driver import AgentDriver, AgentError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
SDK = ROOT / "sdk" / "rust"
PROBE = Path(__file__).parent / "agents" / "probe.rs"
NO_COMPILER = 3
U64_MAX = (1 << 64) - 1

EVERY_EFFECT = [
    ("send", "a", "t", b"body", None),
    ("send", "a", "", b"body", U64_MAX),
    ("publish", "news", b"Body"),
    ("infer", "model", b"Body", 1),
    ("call", "tool", b"Body", 2),
    ("output", "out", b"Body"),
    ("timer", "wake", b"Body", 3, 4),
    ("timer", "", b"", 0, 5),
    ("log", 2, "careful"),
    ("metric", "load", 0.5),
    ("spawn", "worker/1", "worker", b"Body"),
    ("stop", "b", "why"),
    ("stop", None, "done"),
]


def build(script: Path, source: Path, output: Path) -> bytes:
    done = subprocess.run([script, source, output], capture_output=True, text=True, check=False)
    if done.returncode == NO_COMPILER:
        pytest.skip(
            "no rustc with the target wasm32-unknown-unknown: "
            "apt-get install rustc libstd-rust-dev-wasm32 lld"
        )
    assert done.returncode == 0, done.stderr
    return output.read_bytes()


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(SDK / "build-agent.sh", PROBE, tmp_path_factory.mktemp("rust") / "probe.wasm")


@pytest.fixture(scope="module")
def probe(code: bytes) -> AgentDriver:
    driver = AgentDriver.load(code)
    driver.setup()
    return driver


def ask(agent: AgentDriver, topic: str, body: bytes = b"") -> bytes:
    effects = agent.step([("s", topic, body, None)])
    assert len(effects) == 1
    assert effects[0][:2] == ("output", "out")
    return effects[0][2]


def test_the_module_has_the_exports_of_an_agent_and_no_imports(code: bytes) -> None:
    module = wasmtime.Module(wasmtime.Engine(), code)
    assert list(module.imports) == []
    functions = {
        item.name: ([str(kind) for kind in item.type.params], [str(kind) for kind in item.type.results])
        for item in module.exports
        if isinstance(item.type, wasmtime.FuncType)
    }
    assert functions == {
        "cabi_realloc": (["i32"] * 4, ["i32"]),
        "tickwork_inbox": (["i32"], ["i32"]),
        "setup": (["i32"] * 6, ["i32"]),
        "step": (["i64"] * 4 + ["i32"] * 2, ["i32"]),
    }


@pytest.mark.parametrize("arena", [True, False])
def test_every_effect_has_its_layout(code: bytes, arena: bool) -> None:
    agent = AgentDriver.load(code)
    agent.setup()
    for _ in range(3):
        assert agent.step([("s", "every effect", b"", None)], arena=arena) == EVERY_EFFECT


@pytest.mark.parametrize("arena", [True, False])
def test_messages_arrive_whole_and_in_order(probe: AgentDriver, arena: bool) -> None:
    inbox = [("s", "echo", b"", None), ("søren", "echo", b"\0\xff" * 50, 0), ("", "echo", b"x", U64_MAX)]
    expected = [("send", sender, topic, body, reply_to) for sender, topic, body, reply_to in inbox]
    assert probe.step(inbox, arena=arena) == expected
    assert probe.step((), arena=arena) == []


def test_the_context_is_passed_in_order_and_splitmix_is_splitmix(probe: AgentDriver) -> None:
    effects = probe.step([("s", "context", b"", None)], tick=5, now_ns=1 << 60, seed=1234567, fuel=7)
    # The first two outputs of SplitMix64 from 1234567, as published with the reference implementation.
    expected = f"5 {1 << 60} 1234567 7 6457827717110365317 3203168211198807973 "
    assert effects == [("output", "out", expected.encode())]


def test_state_outlives_the_turn(code: bytes) -> None:
    agent = AgentDriver.load(code)
    agent.setup("team/alice", b"\x01config")
    agent.step([("s", "remember", b"this", None)])
    for size in range(0, 60_000, 3000):
        agent.step([("s", "echo", b"\xff" * size, None)])
    assert ask(agent, "recall") == b"this"
    assert ask(agent, "who") == b"team/alice|\x01config"


def test_errors_are_returned_as_text(code: bytes, probe: AgentDriver) -> None:
    with pytest.raises(AgentError, match=r"^told to fail$"):
        AgentDriver.load(code).setup(config=b"fail")
    with pytest.raises(AgentError, match=r"^why not$"):
        probe.step([("s", "echo", b"", None), ("s", "fail", b"why not", None)])
    assert probe.step() == []


@pytest.mark.parametrize("abi", ["2.0.0", "", "10.0", "1"])
def test_a_host_of_another_abi_is_refused(code: bytes, abi: str) -> None:
    with pytest.raises(AgentError, match=r"ABI 1\.x"):
        AgentDriver.load(code).setup(abi=abi)


def test_a_panic_traps(code: bytes) -> None:
    agent = AgentDriver.load(code)
    agent.setup()
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        agent.step([("s", "panic", b"", None)])


def test_an_agent_at_its_memory_limit_traps(code: bytes) -> None:
    agent = AgentDriver.load(code)
    agent.store.set_limits(memory_size=8 * 65536)
    agent.setup()
    with pytest.raises(wasmtime.Trap):
        agent.step([("s", "echo", bytes(8 * 65536), None)])


@pytest.mark.parametrize("arena", [True, False])
def test_turns_use_no_more_memory_however_many(code: bytes, arena: bool) -> None:
    agent = AgentDriver.load(code)
    agent.setup()
    inbox = [("s", "echo", bytes(200_000), None), ("s", "every effect", b"", None)] * 3
    for _ in range(3):
        agent.step(inbox, arena=arena)
    pages = agent.memory.size(agent.store)
    for _ in range(50):
        agent.step(inbox, arena=arena)
    assert agent.memory.size(agent.store) == pages


def test_a_message_can_be_shown(probe: AgentDriver) -> None:
    assert ask(probe, "debug", b"x") == b'Message { sender: "s", topic: "debug", body: "x", reply_to: None }'


relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@relaxed
@given(json_values, st.booleans(), st.sampled_from([(",", ":"), (" , ", " : "), ("\n,\t", "\r\n: ")]))
@example(['\ud83d\ude00 \x7f / \\ " \b\f\n\r\t', {}, [], -0.0, 1e300], False, (",", ":"))
def test_json_reads_as_python_reads_it(
    probe: AgentDriver, value: object, ascii_only: bool, separators: tuple[str, str]
) -> None:
    text = json.dumps(
        value, ensure_ascii=True if "\\ud" in json.dumps(value) else ascii_only, separators=separators
    )
    assert json.loads(ask(probe, "json", text.encode())) == value_without_halves(value)


def value_without_halves(value: object) -> object:
    """Half of a surrogate pair has no UTF-8."""
    return json.loads(
        json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


@relaxed
@given(json_values, st.data())
def test_damaged_json_is_refused_as_python_refuses_it(
    probe: AgentDriver, value: object, data: st.DataObject
) -> None:
    whole = json.dumps(value).encode()
    place = data.draw(st.integers(0, len(whole)))
    inserted = data.draw(st.text('{}[]",:\\u0e-.1tn ', max_size=3)).encode()
    damaged = whole[:place] + inserted + whole[place + data.draw(st.integers(0, 3)) :]
    answer = ask(probe, "json", damaged)
    try:
        read = json.loads(damaged)
    except ValueError:
        assert answer == b""
        return
    assert answer != b""
    if isinstance(read, str | int | bool) and abs(int(isinstance(read, int) and read)) < 1 << 63:
        assert json.loads(answer) == value_without_halves(read)


@pytest.mark.parametrize(
    "text", ["", " ", "01", "-", "1.", ".5", "1e", "+1", "nul", "[1,]", '{"a":1,}', '"\n"', "[" * 65]
)
def test_what_is_not_json_is_refused(probe: AgentDriver, text: str) -> None:
    assert ask(probe, "json", text.encode()) == b""


def test_deep_json_is_refused_before_it_exhausts_the_stack(probe: AgentDriver) -> None:
    assert ask(probe, "json", b"[" * 64 + b"]" * 64) == b"[" * 64 + b"]" * 64
    assert ask(probe, "json", b"[" * 65 + b"]" * 65) == b""
    assert ask(probe, "json", b"[" * 100_000) == b""


def test_the_example_echoes(tmp_path: Path) -> None:
    agent = AgentDriver.load(
        build(SDK / "build-agent.sh", SDK / "examples" / "echo.rs", tmp_path / "echo.wasm")
    )
    with pytest.raises(AgentError, match="is not a number"):
        agent.setup("parrot", b"x")
    agent.setup("parrot", b"41")
    assert agent.step([("s", "t", b"polly", 9)], tick=6) == [
        ("send", "s", "t", b"polly", 9),
        ("log", 1, "parrot has answered 42 by tick 6"),
    ]


def test_builds_are_the_same_in_any_directory(code: bytes, tmp_path: Path) -> None:
    elsewhere = tmp_path / "some where" / "sdk"
    shutil.copytree(SDK, elsewhere, ignore=shutil.ignore_patterns("target"))
    source = tmp_path / PROBE.name
    shutil.copy(PROBE, source)
    assert build(elsewhere / "build-agent.sh", source, tmp_path / "out.wasm") == code
    assert str(ROOT).encode() not in code


def test_a_missing_target_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUSTC", "/nonexistent/rustc")
    done = subprocess.run(
        [SDK / "build-agent.sh", PROBE, tmp_path / "out.wasm"], capture_output=True, text=True, check=False
    )
    assert done.returncode == NO_COMPILER
    assert "/nonexistent/rustc" in done.stderr
    assert "apt-get install rustc libstd-rust-dev-wasm32 lld" in done.stderr
    assert not (tmp_path / "out.wasm").exists()


def test_a_broken_source_leaves_no_module(code: bytes, tmp_path: Path) -> None:
    assert code
    source = tmp_path / "broken.rs"
    source.write_text("fn oops(\n")
    done = subprocess.run(
        [SDK / "build-agent.sh", source, tmp_path / "out.wasm"], capture_output=True, text=True, check=False
    )
    assert done.returncode not in (0, NO_COMPILER)
    assert "error" in done.stderr
    assert not (tmp_path / "out.wasm").exists()
