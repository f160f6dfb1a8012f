"""Hostile guests in WAT: what each does, and the exact outcome that it must come to."""

from dataclasses import dataclass

from guests import OK, REALLOC, wat
from tickwork.core.limits import Limits
from tickwork.core.outcomes import OutcomeKind as Kind

# The fuel that a turn has here: enough for whatever ends by itself.
LIMITS = Limits(fuel_per_turn=20_000_000, fuel_setup=20_000_000)


@dataclass(frozen=True)
class Attack:
    """`turns` are the outcomes of all its turns, setup first; `detail` is part of the last one's."""

    name: str
    code: bytes
    turns: tuple[Kind, ...]
    detail: str = ""
    limits: Limits = LIMITS
    config: bytes = b""


def in_step(
    name: str, kind: Kind, step: str, detail: str = "", limits: Limits = LIMITS, **pieces: str
) -> Attack:
    """Return an attack from within `step`, whose setup succeeds."""
    return Attack(name, wat(step=step, **pieces), (Kind.OK, kind), detail, limits)


def in_setup(name: str, kind: Kind, detail: str = "", limits: Limits = LIMITS, **pieces: str) -> Attack:
    return Attack(name, wat(**pieces), (kind,), detail, limits)


def harmless(name: str, *, turns: int = 5, **pieces: str) -> Attack:
    """Return what looks like an attack and is the guest's own business."""
    return Attack(name, wat(**pieces), (Kind.OK,) * turns)


_FOREVER = "(loop $again (br $again)) (unreachable)"
_DEEPER = "(func $deeper (param i32) (result i32) (call $deeper (i32.add (local.get 0) (i32.const 1))))"
_DEEP = "(call $deeper (i32.const 0))"
_POST = '(func (export "cabi_post_step") (param i32) {})'
_START = "(func $start {}) (start $start)"
_INITIALIZE = '(func (export "_initialize") {})'
_ARENA = '(func (export "tickwork_inbox") (param i32) (result i32) {})'
_P1 = '(import "wasi_snapshot_preview1" "{}" (func ${} {}))'
_FD_WRITE = _P1.format("fd_write", "write", "(param i32 i32 i32 i32) (result i32)")
_FOUR = "(i32.const 1) (i32.const 512) (i32.const {}) (i32.const 1024)"
_RANDOM = _P1.format("random_get", "random", "(param i32 i32) (result i32)")
_YIELD = _P1.format("sched_yield", "yield", "(result i32)")

ENDLESS = (
    in_step("endless step", Kind.OUT_OF_FUEL, _FOREVER),
    in_setup("endless setup", Kind.OUT_OF_FUEL, setup=_FOREVER),
    in_setup("endless start function", Kind.OUT_OF_FUEL, extra=_START.format("(loop $again (br $again))")),
    in_setup("endless _initialize", Kind.OUT_OF_FUEL, extra=_INITIALIZE.format("(loop $again (br $again))")),
    in_setup("endless cabi_realloc", Kind.OUT_OF_FUEL, realloc=_FOREVER),
    in_step("endless post-return", Kind.OUT_OF_FUEL, OK, extra=_POST.format("(loop $again (br $again))")),
    in_step("endless tickwork_inbox", Kind.OUT_OF_FUEL, OK, extra=_ARENA.format(_FOREVER)),
    in_step(
        "endless tail calls", Kind.OUT_OF_FUEL, "(return_call $tail)",
        extra="(func $tail (result i32) (return_call $tail))",
    ),
    in_step("endless WASI calls", Kind.OUT_OF_FUEL, "(loop $l (drop (call $yield)) (br $l)) (unreachable)",
            imports=_YIELD),
    in_step("endless printing of nothing", Kind.OUT_OF_FUEL,
            f"(loop $l (drop (call $write {_FOUR.format(1024)})) (br $l)) (unreachable)", imports=_FD_WRITE),
    in_step("endless randomness", Kind.OUT_OF_FUEL,
            "(loop $l (drop (call $random (i32.const 0) (i32.const 65536))) (br $l)) (unreachable)",
            imports=_RANDOM),
    in_step(
        "endless memory.fill", Kind.OUT_OF_FUEL,
        "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 2097152)) (br $l)) (unreachable)",
    ),
    in_step("endless memory.grow", Kind.OUT_OF_FUEL,
            "(loop $l (drop (memory.grow (i32.const 1))) (br $l)) (unreachable)"),
)  # fmt: skip

RECURSION = (
    in_step("recursion bomb", Kind.STACK_OVERFLOW, _DEEP, extra=_DEEPER),
    in_setup("recursion bomb in setup", Kind.STACK_OVERFLOW, setup=_DEEP, extra=_DEEPER),
    in_setup("recursion bomb in start", Kind.STACK_OVERFLOW,
             extra=_DEEPER + _START.format(f"(drop {_DEEP})")),
    in_setup("recursion bomb in cabi_realloc", Kind.STACK_OVERFLOW, realloc=_DEEP, extra=_DEEPER),
    in_step("recursion bomb in post-return", Kind.STACK_OVERFLOW, OK,
            extra=_DEEPER + _POST.format(f"(drop {_DEEP})")),
    in_step("recursion through a table", Kind.STACK_OVERFLOW, "(call $round (i32.const 0))",
            extra="""(type $f (func (param i32) (result i32))) (table funcref (elem $round))
              (func $round (type $f) (call_indirect (type $f) (local.get 0) (i32.const 0)))"""),
    in_step("recursion of wide frames", Kind.STACK_OVERFLOW, "(call $wide (i64.const 1)) (i32.const 16)",
            extra="(func $wide (param i64) " + "(local i64) " * 200 + """
              (call $wide (i64.add (local.get 0) (i64.const 1)))
              (call $wide (i64.mul (local.get 0) (i64.const 3))))"""),
)  # fmt: skip

# Asks for ever more until it is refused, and traps unless that happened exactly at the cap.
_GROW_TO_CAP = """
  (loop $more (br_if $more (i32.ne ({grow}) (i32.const -1))))
  (if (i32.ne ({size}) (i32.const {cap})) (then (unreachable)))
  (i32.const 16)"""
_SMALL = Limits(fuel_per_turn=20_000_000, fuel_setup=20_000_000, memory_bytes=40 * 65536)
_MEMORY_OF = '(memory (export "memory") {})'
_MEMORY_FAULT = "the module's memory does not fit within limits.memory_bytes"
_TABLE_FAULT = "the module's table does not fit within limits.table_elements"

BOMBS = (
    Attack(
        "memory bomb, refused at the cap",
        wat(step=_GROW_TO_CAP.format(grow="memory.grow (i32.const 1)", size="memory.size", cap=40)),
        (Kind.OK,) * 5, limits=_SMALL,
    ),
    Attack(
        "memory bomb in one go",
        wat(step=_GROW_TO_CAP.format(grow="memory.grow (i32.const 65000)", size="memory.size", cap=32)),
        (Kind.OK,) * 5, limits=_SMALL,
    ),
    in_setup("memory over the cap", Kind.OUT_OF_MEMORY, _MEMORY_FAULT, memory=_MEMORY_OF.format(2000)),
    in_setup("memory of 4 GiB", Kind.OUT_OF_MEMORY, _MEMORY_FAULT, memory=_MEMORY_OF.format(65536)),
    in_setup("giant table", Kind.OUT_OF_MEMORY, _TABLE_FAULT, extra="(table 100001 funcref)"),
    in_setup("table of 2^32 - 1", Kind.OUT_OF_MEMORY, _TABLE_FAULT, extra="(table 4294967295 externref)"),
    in_step("every page touched", Kind.OK, """(local $at i32)
      (drop (memory.grow (i32.const 8)))
      (loop $l
        (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 0)))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br_if $l (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
      (i32.const 16)""", limits=_SMALL),
)  # fmt: skip

_FLOAT = "(i32.trunc_f64_s {}) (drop) (i32.const 16)"
_CALL_0 = "(call_indirect (result i32) (i32.const {}))"
TRAPS = (
    in_step("unreachable", Kind.UNREACHABLE, "(unreachable)"),
    in_setup("unreachable setup", Kind.UNREACHABLE, setup="(unreachable)"),
    in_setup("unreachable start", Kind.UNREACHABLE, extra=_START.format("(unreachable)")),
    in_setup("unreachable _initialize", Kind.UNREACHABLE, extra=_INITIALIZE.format("(unreachable)")),
    in_setup("unreachable cabi_realloc", Kind.UNREACHABLE, realloc="(unreachable)"),
    in_step("unreachable post-return", Kind.UNREACHABLE, OK, extra=_POST.format("(unreachable)")),
    in_step("unreachable tickwork_inbox", Kind.UNREACHABLE, OK, extra=_ARENA.format("(unreachable)")),
    in_step("division by zero", Kind.INTEGER_DIVIDE_BY_ZERO,
            "(i32.div_s (i32.const 1) (i32.wrap_i64 (i64.const 0)))"),
    in_step("remainder by zero", Kind.INTEGER_DIVIDE_BY_ZERO,
            "(i32.wrap_i64 (i64.rem_u (local.get $seed) (i64.const 0)))"),
    in_step("division overflow", Kind.INTEGER_OVERFLOW, "(i32.div_s (i32.const 0x80000000) (i32.const -1))"),
    in_step("conversion of NaN", Kind.BAD_CONVERSION, _FLOAT.format("(f64.const nan)")),
    in_step("conversion out of range", Kind.INTEGER_OVERFLOW, _FLOAT.format("(f64.const 1e30)")),
    in_step("load out of bounds", Kind.MEMORY_OUT_OF_BOUNDS, "(i32.load (i32.const -4))"),
    in_step("load beyond 4 GiB", Kind.MEMORY_OUT_OF_BOUNDS, "(i32.load offset=0xffffffff (i32.const -1))"),
    in_step("store just past the end", Kind.MEMORY_OUT_OF_BOUNDS,
            "(i64.store (i32.const 2097145) (i64.const 0)) (i32.const 16)"),
    in_step("memory.copy out of bounds", Kind.MEMORY_OUT_OF_BOUNDS,
            "(memory.copy (i32.const 0) (i32.const 1) (i32.const -1)) (i32.const 16)"),
    in_setup("data out of bounds", Kind.MEMORY_OUT_OF_BOUNDS, extra='(data (i32.const -1) "xx")'),
    in_setup("elements out of bounds", Kind.TABLE_OUT_OF_BOUNDS,
             extra="(table 1 funcref) (elem (i32.const 1) $step)"),
    in_step("call of a null", Kind.BAD_INDIRECT_CALL, _CALL_0.format(0), extra="(table 1 funcref)"),
    in_step("call beyond the table", Kind.TABLE_OUT_OF_BOUNDS, _CALL_0.format(9), extra="(table 1 funcref)"),
    in_step("call of another type", Kind.BAD_INDIRECT_CALL, _CALL_0.format(0),
            extra="(table funcref (elem $step))"),
    in_step("table.get beyond the table", Kind.TABLE_OUT_OF_BOUNDS,
            "(drop (table.get (i32.const 7))) (i32.const 16)", extra="(table 1 funcref)"),
)  # fmt: skip

_ALLOCATIONS = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))"
_COUNTED = "(global $calls (mut i32) (i32.const 0))"
_PAST_SETUP = "(if (i32.gt_u (global.get $calls) (i32.const 3)) (then {})) " + REALLOC


def realloc_in_step(name: str, kind: Kind, does: str, detail: str = "") -> Attack:
    """Return an attack from cabi_realloc, once setup's three strings are stored; ticks 2 on have an inbox."""
    code = wat(realloc=_ALLOCATIONS + _PAST_SETUP.format(does), extra=_COUNTED)
    return Attack(f"cabi_realloc {name}", code, (Kind.OK, kind), detail, LIMITS)


# Answers ok although something lies where the answer was.
_ANEW = f"(i64.store (i32.const 16) (i64.const 0)) (i32.store (i32.const 24) (i32.const 0)) {OK}"
_BEYOND = "reach beyond the memory's 2097152"
ALLOCATORS = (
    realloc_in_step("traps", Kind.UNREACHABLE, "(unreachable)"),
    realloc_in_step("loops", Kind.OUT_OF_FUEL, "(loop $l (br $l))"),
    realloc_in_step("answers an odd one", Kind.BAD_POINTER, "(return (i32.const 65537))", "not aligned to 8"),
    realloc_in_step("answers beyond the memory", Kind.BAD_POINTER, "(return (i32.const 2097152))", _BEYOND),
    realloc_in_step("answers the last bytes", Kind.BAD_POINTER, "(return (i32.const 2097144))", _BEYOND),
    realloc_in_step("answers -8", Kind.BAD_POINTER, "(return (i32.const -8))", _BEYOND),
    realloc_in_step("re-enters step", Kind.STACK_OVERFLOW,
        "(return (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (call $step (i64.const 0)"
        " (i64.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0))))"),
    in_setup("cabi_realloc answers garbage in setup", Kind.BAD_POINTER, _BEYOND, realloc="(i32.const -1)"),
    harmless("cabi_realloc answers 0", realloc="(i32.const 0)"),
    harmless("cabi_realloc answers one place for all", realloc="(i32.const 4096)"),
    harmless("cabi_realloc grows the memory",
             realloc="(drop (memory.grow (i32.const 1))) (i32.mul (i32.sub (memory.size) (i32.const 1))"
             " (i32.const 65536))"),
    harmless("cabi_realloc re-enters step and setup",
             realloc=f"""(drop (call $step (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)
                (i32.const 0) (i32.const 0)))
              (drop (call $setup (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0))) {REALLOC}"""),
    in_step("tickwork_inbox answers an odd address", Kind.BAD_POINTER, OK, "not aligned to 8",
            extra=_ARENA.format("(i32.const 65537)")),
    in_step("tickwork_inbox answers -8", Kind.BAD_POINTER, OK, _BEYOND,
            extra=_ARENA.format("(i32.const -8)")),
    in_step("tickwork_inbox answers the last bytes", Kind.BAD_POINTER, OK, _BEYOND,
            extra=_ARENA.format("(i32.const 2097144)")),
    harmless("tickwork_inbox answers 0", step=_ANEW, extra=_ARENA.format("(i32.const 0)")),
    harmless("tickwork_inbox grows the memory", extra=_ARENA.format(
        "(i32.mul (memory.grow (i32.const 1)) (i32.const 65536))")),
    harmless("tickwork_inbox moves about", extra=_ARENA.format(
        "(global.set $free (i32.xor (global.get $free) (i32.const 0x8000)))"
        " (i32.and (global.get $free) (i32.const -8))")),
)  # fmt: skip

_EXIT = _P1.format("proc_exit", "exit", "(param i32)")
_PRINT_ALL = f"(i32.store (i32.const 516) (i32.const 2000000)) (drop (call $write {_FOUR.format(1)})) {OK}"
WASI = (
    in_step("proc_exit", Kind.EXIT, "(call $exit (i32.const 3)) (unreachable)", "exit status 3",
            imports=_EXIT),
    in_setup("proc_exit in start", Kind.EXIT, "exit status 0", imports=_EXIT,
             extra=_START.format("(call $exit (i32.const 0))")),
    in_step("random_get of 4 GiB", Kind.TOO_MANY_BYTES, "(call $random (i32.const 0) (i32.const -1))",
            "4294967295 random bytes were asked for", imports=_RANDOM),
    in_step("random_get beyond the memory", Kind.BAD_POINTER, "(call $random (i32.const -8) (i32.const 9))",
            _BEYOND, imports=_RANDOM),
    in_setup("random_get in start", Kind.UNSUPPORTED_IMPORT, "while the agent was linked", imports=_RANDOM,
             extra=_START.format("(drop (call $random (i32.const 0) (i32.const 9)))")),
    in_step("fd_write from beyond the memory", Kind.BAD_POINTER,
            f"(i32.store (i32.const 512) (i32.const -9)) (i32.store (i32.const 516) (i32.const 5))"
            f" (call $write {_FOUR.format(1)})", _BEYOND, imports=_FD_WRITE),
    in_step("fd_write with vectors beyond the memory", Kind.BAD_POINTER,
            "(call $write (i32.const 1) (i32.const -1) (i32.const 9) (i32.const 0))", _BEYOND,
            imports=_FD_WRITE),
    in_step("unreachable after printing", Kind.UNREACHABLE,
            f"(i32.store (i32.const 516) (i32.const 5)) (drop (call $write {_FOUR.format(1)})) (unreachable)",
            imports=_FD_WRITE),
    harmless("a huge print every turn", step=_PRINT_ALL, imports=_FD_WRITE),
    harmless("both streams by turns", imports=_FD_WRITE, step=f"""(local $n i32)
      (i32.store (i32.const 516) (i32.const 1))
      (loop $l
        (drop (call $write (i32.add (i32.const 1) (i32.and (local.get $n) (i32.const 1))) (i32.const 512)
          (i32.const 1) (i32.const 1024)))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $n) (i32.const 900))))
      {OK}"""),
)  # fmt: skip

ALL = (*ENDLESS, *RECURSION, *BOMBS, *TRAPS, *ALLOCATORS, *WASI)
