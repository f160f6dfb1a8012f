"""Random runs for pools to agree on: guests that say what they are told, lies included, beside others."""

import functools
import struct

from core_strategies import effects, runs, weighted
from hypothesis import strategies as st
from msgspec.structs import replace

from guests import REALLOC, Answers, chatter, image_guest, program, wat
from tickwork.bench.projects import AGENTS
from tickwork.core.digest import content_hash
from tickwork.core.effects import Send
from tickwork.core.messages import Arrivals, Input
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.guest.c_source import build_c
from tickwork.guest.program import Program

TICKS = 5
TINY = AGENTS / "tiny.c"
_SEND = Send("a", "t", b"body", 1)

# Each goes wrong, or strains what carries it, in a place of its own; by tick, so that all of them start.
_ODD_STEPS = {
    "trap": "(if (i64.gt_u (local.get $tick) (i64.const 2)) (then unreachable)) (i32.const 16)",
    "divide": "(i32.div_u (i32.const 16) (i32.wrap_i64 (i64.sub (i64.const 3) (local.get $tick))))",
    "spin": "(if (i64.eq (local.get $tick) (i64.const 2)) (then (loop $l (br $l)))) (i32.const 16)",
    "recurse": "(call $deep (local.get $tick))",
    "grow": "(drop (memory.grow (i32.const 3))) (i32.const 16)",
    "beyond": "(i32.mul (i32.const 0x100000) (i32.wrap_i64 (local.get $tick)))",
    "crooked": "(i32.add (i32.const 16) (i32.and (i32.wrap_i64 (local.get $tick)) (i32.const 2)))",
}
_DEEP = """(func $deep (param i64) (result i32) (if (i64.gt_u (local.get 0) (i64.const 2))
  (then (drop (call $deep (local.get 0))) (drop (call $deep (local.get 0))))) (i32.const 16))"""
_POST = """(func (export "cabi_post_step") (param i32)
  (if (i32.eq (i32.load (i32.const 1024)) (i32.const 3)) (then unreachable))
  (i32.store (i32.const 1024) (i32.add (i32.load (i32.const 1024)) (i32.const 1))))"""
_ODD_REALLOCS = {
    "far": "(i32.sub (i32.const 0) (i32.const 8))",
    "odd": "(i32.add (i32.const 70001) (local.get $size))",
    "none": "unreachable",
    "same": "(i32.const 65536)",
}
# Sends the records of its inbox on as they lie in its memory.
_MIRROR = """(i32.store (i32.const 104) (local.get $inbox))
  (i32.store (i32.const 108) (i32.mul (local.get $count) (i32.const 40))) (i32.const 48)"""
_MIRROR_DATA = """
  (data (i32.const 48) "\\00\\00\\00\\00\\50\\00\\00\\00\\01")
  (data (i32.const 88) "\\80\\00\\00\\00\\01\\00\\00\\00\\80\\00\\00\\00\\02\\00\\00\\00")
  (data (i32.const 128) "abc")
"""
# Prints, sleeps, and sends to whoever its config names what the clock and the random stream say then.
WASI = "".join(
    f'(import "wasi_snapshot_preview1" "{name}" (func ${name} {signature}))'
    for name, signature in {
        "clock_time_get": "(param i32 i64 i32) (result i32)",
        "fd_write": "(param i32 i32 i32 i32) (result i32)",
        "poll_oneoff": "(param i32 i32 i32 i32) (result i32)",
        "proc_exit": "(param i32)",
        "random_get": "(param i32 i32) (result i32)",
    }.items()
)
PRINT = "(drop (call $fd_write (i32.const 1) (i32.const 512) (i32.const 1) (i32.const 520)))"
_NOW = "(drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const {})))"
_WORLDLY = f"""{PRINT} {_NOW.format(256)}
  (drop (call $poll_oneoff (i32.const 600) (i32.const 700) (i32.const 1) (i32.const 780))) {_NOW.format(264)}
  (drop (call $random_get (i32.const 272) (i32.const 8))) (i32.const 48)"""
WORLDLY_DATA = """
  (data (i32.const 48) "\\00\\00\\00\\00\\50\\00\\00\\00\\01")
  (data (i32.const 96) "\\80\\00\\00\\00\\04\\00\\00\\00\\00\\01\\00\\00\\18\\00\\00\\00")
  (data (i32.const 128) "chat\\n")
  (data (i32.const 512) "\\80\\00\\00\\00\\05\\00\\00\\00")
  (data (i32.const 624) "\\07\\00\\00\\00")
"""
_WORLDLY_SETUP = """(i32.store (i32.const 88) (local.get $config))
  (i32.store (i32.const 92) (local.get 3)) (i32.const 16)"""
_LATE = "(if (i64.gt_u (local.get $tick) (i64.const 2)) (then {}))"
_WORLDLY_ENDS = {
    "exits": _LATE.format("(call $proc_exit (i32.const 3))"),
    "misplaces": _LATE.format(_NOW.format(-8)),
    "chatters": _LATE.format(f"(loop $l {PRINT} (br $l))"),
    "dies": _LATE.format("unreachable"),
}
_YIELD = '(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))'
_ARENA = '(func (export "tickwork_inbox") (param i32) (result i32) {})'
_ODD_ARENAS = {
    "far": "(i32.const -8)",
    "odd": "(i32.const 70001)",
    "none": "unreachable",
    "growing": "(drop (memory.grow (i32.const 1))) (i32.const 0x200000)",
    "end": "(i32.sub (i32.const 0x200000) (i32.and (local.get 0) (i32.const -8)))",
}


@functools.cache
def modules() -> dict[str, bytes]:
    """Return the modules by name: every way to go wrong, and what does nothing wrong."""
    # Setup needs memory of its own, so that a bad cabi_realloc is only met in the first step with mail.
    late = f"(if (result i32) (i32.load (i32.const 2048)) (then {{}}) (else {REALLOC}))"
    after_setup = "(i32.store (i32.const 2048) (i32.const 1)) (i32.const 16)"
    found = {name: wat(step=step, extra=_DEEP) for name, step in _ODD_STEPS.items()}
    found |= {
        f"realloc-{name}": wat(setup=after_setup, realloc=late.format(body))
        for name, body in _ODD_REALLOCS.items()
    }
    found |= {f"arena-{name}": wat(extra=_ARENA.format(body)) for name, body in _ODD_ARENAS.items()}
    found["mirror"] = wat(step=_MIRROR, extra=_MIRROR_DATA)
    found["arena-mirror"] = wat(step=_MIRROR, extra=_MIRROR_DATA + _ARENA.format("(i32.const 65536)"))
    found["post"] = wat(extra=_POST)
    found["hosted"] = wat(imports=_YIELD, step="(drop (call $yield)) (i32.const 16)")
    for name, end in {"worldly": "", **_WORLDLY_ENDS}.items():
        found[name] = wat(imports=WASI, setup=_WORLDLY_SETUP, step=PRINT + end + _WORLDLY, extra=WORLDLY_DATA)
    found["chatter"] = chatter()
    found["tiny"] = build_c(TINY)
    return found


@functools.cache
def programs() -> dict[str, Program]:
    made = [program(code) for code in (image_guest(), *modules().values())]
    return {item.hash: item for item in made}


@st.composite
def _answers(draw: st.DrawFn, agent: AgentSpec) -> bytes:
    answers = Answers(agent.id, count_max=TICKS)
    for _ in range(TICKS - 1):
        match draw(weighted((8, st.just("effects")), (1, st.just("patched")), (1, st.just("list")))):
            case "effects":
                answers.effects(*draw(st.lists(effects, max_size=5)))
            case "patched":
                where = draw(st.integers(0, 47))
                answers.record(
                    draw(effects | st.just(_SEND)), (where, draw(st.binary(min_size=1, max_size=4)))
                )
            case "list":
                answers.list_at(draw(st.integers(0, 1 << 32)), draw(st.integers(0, 3) | st.just(1 << 31)))
    return answers.config()


@st.composite
def pool_runs(draw: st.DrawFn) -> RunSpec:
    """Return a run of guests that say what is drawn, among them some that go wrong by themselves."""
    spec = draw(runs())
    image = content_hash(image_guest())

    def told(agent: AgentSpec) -> AgentSpec:
        limits = replace(
            agent.limits,
            mailbox_messages=max(1, agent.limits.mailbox_messages),
            mailbox_bytes=max(1, agent.limits.mailbox_bytes),
            fuel_per_turn=1_000_000,
            effects_per_turn=draw(st.sampled_from([1000, 1000, 2])),
            bytes_per_turn=draw(st.sampled_from([1 << 20, 1 << 20, 12])),
        )
        return replace(agent, module=image, config=draw(_answers(agent)), preamble=b"", limits=limits)

    odd = draw(st.lists(st.sampled_from(sorted(modules())), max_size=6))
    others = tuple(
        AgentSpec(
            id=f"odd-{place}",
            kind=name,
            module=content_hash(modules()[name]),
            config=b"8 2" if name == "tiny" else b"a",
            grants=told(spec.agents[0]).grants,
            limits=told(spec.agents[0]).limits,
            subscribe=("news", "t"),
            every_tick=draw(st.booleans()),
        )
        for place, name in enumerate(odd)
    )
    agents = (*map(told, spec.agents), *others)
    readers = tuple(agent.id for agent in agents)
    return replace(
        spec,
        agents=agents,
        kinds=tuple(map(told, spec.kinds)),
        inputs=(InputSpec("line", "líne", readers, 2),),
        limits=replace(spec.limits, agents=len(agents) + 3),
    )


def arrivals(tick: int) -> Arrivals:
    """Return what arrives in a tick: nothing in the first, then more each time."""
    return Arrivals(tuple(Input(0, struct.pack("<Q", number)) for number in range(tick)))
