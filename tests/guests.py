"""Guests in WAT for tests: pieces to put together, and one whose every answer is given by its config."""

import functools
import struct
from dataclasses import dataclass, field

from wasmtime import wat2wasm

from canonical import EFFECT, EFFECTS, SETUP_RESULT, STEP_RESULT, Image
from tickwork.core.effects import Effect
from tickwork.core.limits import Limits
from tickwork.core.outcomes import Outcome
from tickwork.guest.engine import Engine
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program

DEFAULTS = Limits()

# `result` lies at 16 and is all zeroes: ok, and no effects. A bump allocator begins at 65536.
OK = "(i32.const 16)"
REALLOC = """
  (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
  (global.set $free (i32.add (local.get $at) (local.get $size)))
  (local.get $at)
"""


def wat(
    *,
    step: str = OK,
    setup: str = OK,
    realloc: str = REALLOC,
    memory: str = '(memory (export "memory") 32)',
    imports: str = "",
    extra: str = "",
) -> bytes:
    """Return a bare core module with these bodies; `$tick` is step's first parameter."""
    return bytes(
        wat2wasm(f"""(module {imports} {memory}
          (global $free (mut i32) (i32.const 65536))
          (func $setup (export "setup") (param i32 i32) (param $config i32) (param i32 i32 i32)
            (result i32) {setup})
          (func $step (export "step") (param $tick i64) (param i64) (param $seed i64) (param i64)
            (param $inbox i32) (param $count i32) (result i32) {step})
          (func $realloc (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
            (local $at i32) {realloc})
          {extra})""")
    )


# Sends its seed and all it ever got, mixed, to the agent that its config names.
CHATTER = """
  (data (i32.const 48) "\\00\\00\\00\\00\\40\\00\\00\\00\\01")
  (data (i32.const 80) "\\80\\00\\00\\00\\04\\00\\00\\00\\00\\01\\00\\00\\10\\00\\00\\00")
  (data (i32.const 128) "chat")
"""


@functools.cache
def chatter() -> bytes:
    return wat(
        setup="(i32.store (i32.const 72) (local.get $config)) (i32.store (i32.const 76) (local.get 3))"
        " (i32.const 16)",
        step="""
          (i64.store (i32.const 256) (local.get $seed))
          (if (local.get $count) (then
            (i64.store (i32.const 264) (i64.add (i64.mul (i64.load (i32.const 264)) (i64.const 31))
              (i64.load (i32.load offset=16 (local.get $inbox)))))))
          (i32.const 48)""",
        extra=CHATTER,
    )


@functools.cache
def drawer() -> bytes:
    """Return a chatter that reads its random stream in every step and never in its setup."""
    return wat(
        imports="""(import "wasi_snapshot_preview1" "random_get"
          (func $random_get (param i32 i32) (result i32)))""",
        setup="(i32.store (i32.const 72) (local.get $config)) (i32.store (i32.const 76) (local.get 3))"
        " (i32.const 16)",
        step="""
          (drop (call $random_get (i32.const 256) (i32.const 8)))
          (i64.store (i32.const 264) (i64.add (i64.mul (i64.load (i32.const 264)) (i64.const 31))
            (i64.extend_i32_u (local.get $count))))
          (i32.const 48)""",
        extra=CHATTER,
    )


@functools.cache
def image_guest() -> bytes:
    """Return a guest that answers as its config says.

    The config begins with a count and as many addresses; setup answers with the first, the step of tick t
    with the t-th, or the last. The config lies at `image_base` of the agent's id.
    """
    pointer = "(i32.load (i32.add (global.get $image) (i32.mul (i32.const 4) (local.get $place))))"
    return wat(
        setup="(global.set $image (local.get $config)) (i32.load offset=4 (local.get $config))",
        step=f"""(local $place i32)
          (local.set $place (i32.add (i32.wrap_i64 (local.get $tick)) (i32.const 1)))
          (if (i32.gt_u (local.get $place) (i32.load (global.get $image)))
            (then (local.set $place (i32.load (global.get $image)))))
          {pointer}""",
        # What later inboxes hold is of no interest: all of it lies at one place.
        realloc=f"""(if (result i32) (global.get $image) (then (i32.const 0x200000)) (else {REALLOC}))""",
        extra="(global $image (mut i32) (i32.const 0))",
        memory='(memory (export "memory") 64)',
    )


def image_base(agent_id: str) -> int:
    """Return where the image guest's config lies: behind the id, aligned to 8."""
    return 65536 + (len(agent_id.encode()) + 7) // 8 * 8


CASES = tuple(EFFECTS)


def effect_value(effect: Effect) -> tuple[int, tuple[object, ...]]:
    """Return an effect as `canonical` stores it: its case number and its fields."""
    case = CASES.index(type(effect).__name__.lower())
    fields = [getattr(effect, name) for name in effect.__struct_fields__]
    for place, kind in enumerate(EFFECTS[CASES[case]][1:]):
        if isinstance(kind, tuple) and kind[0] == "option":
            fields[place] = (0, None) if fields[place] is None else (1, fields[place])
        elif isinstance(kind, tuple) and kind[0] == "enum":
            fields[place] = (fields[place], None)
    return case, tuple(fields)


@dataclass
class Answers:
    """Builds an image guest's config: what it answers to setup, then to each tick's step."""

    agent_id: str
    image: Image = field(init=False)
    pointers: list[int] = field(default_factory=list)
    count_max: int = 64

    def __post_init__(self) -> None:
        self.image = Image(image_base(self.agent_id))
        self.image.allocate(4 + 4 * self.count_max)
        self.pointers.append(self.image.store(SETUP_RESULT, (0, None)))

    def add(self, pointer: int) -> "Answers":
        """Answer the next step with this address."""
        self.pointers.append(pointer & 0xFFFFFFFF)
        return self

    def effects(self, *effects: Effect) -> "Answers":
        """Answer the next step with these effects."""
        values = [effect_value(effect) for effect in effects]
        return self.add(self.image.store(STEP_RESULT, (0, values)))

    def list_at(self, pointer: int, count: int) -> "Answers":
        """Answer the next step with ok and a list that is claimed to be there."""
        at = self.image.store(STEP_RESULT, (0, []))
        self.image.put(at + 4, struct.pack("<II", pointer & 0xFFFFFFFF, count & 0xFFFFFFFF))
        return self.add(at)

    def record(self, effect: Effect, *patches: tuple[int, bytes]) -> "Answers":
        """Answer the next step with one effect, some of whose bytes were overwritten."""
        at = self.image.store(EFFECT, effect_value(effect))
        for offset, data in patches:
            self.image.put(at + offset, data)
        return self.list_at(at, 1)

    def config(self) -> bytes:
        table = struct.pack(f"<{len(self.pointers) + 1}I", len(self.pointers), *self.pointers)
        assert len(self.pointers) <= self.count_max
        self.image.put(self.image.base, table)
        return bytes(self.image.data)


@functools.cache
def engine() -> Engine:
    return Engine()


@functools.cache
def program(code: bytes) -> Program:
    return Program(engine(), code)


def outcomes(
    code: bytes, *, steps: int = 1, limits: Limits = DEFAULTS, config: bytes = b"", agent_id: str = "a"
) -> list[Outcome]:
    """Set an agent up and step it; return the outcome of each turn up to the first that failed."""
    instance = Instance(program(code), limits)
    try:
        found = [instance.setup(agent_id, config, now_ns=5, start_ns=0, seed=1)]
        for tick in range(1, steps + 1):
            if found[-1].kind != "ok":
                break
            found.append(instance.step(tick, 5 + tick, 7 * tick, ()))
        return found
    finally:
        instance.close()


def answers_to(answers: Answers, *, steps: int = 1, limits: Limits = DEFAULTS) -> list[Outcome]:
    """Return the outcomes of the image guest's steps, without that of its setup."""
    config = answers.config()
    return outcomes(image_guest(), steps=steps, limits=limits, config=config, agent_id=answers.agent_id)[1:]
