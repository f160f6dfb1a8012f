"""The C header: its structs are the WIT's layouts, its functions do what they say."""

import struct
from pathlib import Path

import pytest
import wasmtime
from agent_driver import AgentDriver, AgentError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tickwork.guest.c_source import STACK_BYTES, build_c

AGENTS = Path(__file__).parent / "agents"
U64_MAX = (1 << 64) - 1
PAGE = 65536

relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

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


@pytest.fixture(scope="module")
def code() -> bytes:
    return build_c(AGENTS / "probe.c")


@pytest.fixture(scope="module")
def probe(code: bytes) -> AgentDriver:
    driver = AgentDriver.load(code)
    driver.setup()
    return driver


def ask(agent: AgentDriver, topic: str, body: bytes, sender: str = "s") -> bytes:
    effects = agent.step([(sender, topic, body, None)])
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
        "_initialize": ([], []),
        "cabi_realloc": (["i32"] * 4, ["i32"]),
        "tickwork_inbox": (["i32"], ["i32"]),
        "setup": (["i32"] * 6, ["i32"]),
        "step": (["i64"] * 4 + ["i32"] * 2, ["i32"]),
    }


def test_a_small_agent_begins_with_two_pages(code: bytes) -> None:
    memory = wasmtime.Module(wasmtime.Engine(), code).exports[0].type
    assert isinstance(memory, wasmtime.MemoryType)
    assert memory.limits.min == 2


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


def test_the_identity_lives_as_long_as_the_agent(code: bytes) -> None:
    agent = AgentDriver.load(code)
    agent.setup("team/alice", b"\x01config")
    for _ in range(20):
        agent.step([("s", "echo", bytes(5000), None)])
    assert ask(agent, "who", b"") == b"team/alice|\x01config"


def test_what_is_kept_outlives_the_turn(code: bytes) -> None:
    agent = AgentDriver.load(code)
    agent.setup()
    agent.step([("s", "remember", b"this", None)])
    for _ in range(20):
        agent.step([("s", "echo", b"\xff" * 5000, None)])
    assert ask(agent, "recall", b"") == b"this"


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


@pytest.mark.parametrize("arena", [True, False])
def test_turns_of_one_size_use_no_more_memory(code: bytes, arena: bool) -> None:
    agent = AgentDriver.load(code)
    agent.setup()
    inbox = [("s", "echo", bytes(200_000), None), ("s", "every effect", b"", None)] * 3
    agent.step(inbox, arena=arena)
    pages = agent.memory.size(agent.store)
    for _ in range(50):
        agent.step(inbox, arena=arena)
    assert agent.memory.size(agent.store) == pages


def test_slowly_growing_turns_use_memory_in_proportion_to_the_largest(code: bytes) -> None:
    agent = AgentDriver.load(code)
    agent.setup()
    largest = 0
    for size in range(1000, 200_000, 3000):
        assert agent.step([("s", "echo", bytes(size), None)])[0][3] == bytes(size)
        largest = 2 * size
    assert agent.memory.size(agent.store) * PAGE < 6 * largest + 3 * PAGE


def test_an_agent_at_its_memory_limit_traps(code: bytes) -> None:
    agent = AgentDriver.load(code)
    agent.store.set_limits(memory_size=4 * PAGE)
    agent.setup()
    agent.step([("s", "echo", bytes(30_000), None)])
    for size in (5 * PAGE, 0x7FFF_FFFF, 0xFFFF_FFF0, 0xFFFF_FFFF):
        with pytest.raises(wasmtime.Trap):
            agent.call("tickwork_inbox", size)


@relaxed
@given(st.integers(-(1 << 65), 1 << 65).map(str) | st.text("0123456789+-x ", max_size=5))
@example("-9223372036854775808")
@example("18446744073709551616")
@example("-")
def test_decimal_numbers_are_read_and_written(probe: AgentDriver, text: str) -> None:
    digits = text.removeprefix("-")
    number = int(text) if digits.isascii() and digits.isdigit() else None
    plain = number if number is not None and digits == text and number <= U64_MAX else None
    signed = number if number is not None and -(1 << 63) <= number < 1 << 63 else None
    expected = f"{'' if plain is None else plain} {'' if signed is None else signed}"
    assert ask(probe, "number", text.encode()) == expected.encode()


@relaxed
@given(st.text("abé\U0001f600", max_size=4), st.text("abé\U0001f600", max_size=4))
def test_strings_are_ordered_by_code_point(probe: AgentDriver, one: str, other: str) -> None:
    assert int(ask(probe, "compare", one.encode(), sender=other)) == (one > other) - (one < other)


def test_the_stack_overflows_into_a_trap(tmp_path: Path) -> None:
    source = tmp_path / "agent.c"
    source.write_text(
        '#include "tickwork.h"\n'
        "static uint64_t deep(volatile uint64_t *above, uint64_t left) {\n"
        "  volatile uint64_t here[64];\n"
        "  here[0] = left + *above;\n"
        "  return left ? deep(here, left - 1) + here[0] : here[0];\n"
        "}\n"
        "static tw_result on_step(const tw_context *now, tw_inbox inbox) {\n"
        "  volatile uint64_t top = inbox.count;\n"
        '  tw_output(tw_str("out"), tw_decimal((int64_t)deep(&top, now->tick)));\n'
        "  return TW_OK;\n"
        "}\n"
        "TICKWORK_AGENT(tw_no_setup, on_step)\n"
    )
    agent = AgentDriver.load(build_c(source))
    agent.setup()
    agent.step(tick=STACK_BYTES // 1024)
    with pytest.raises(wasmtime.Trap, match="out of bounds"):
        agent.step(tick=STACK_BYTES // 256)


def test_the_driver_would_see_a_wrong_layout(probe: AgentDriver) -> None:
    probe.step([("s", "every effect", b"", None)])
    record = struct.pack("<B47x", 10)
    with pytest.raises(AssertionError):
        probe.effect(record)
