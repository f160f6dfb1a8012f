from collections.abc import Iterator

import pytest

from canonical import MESSAGE, load, size_of
from guests import OK, Answers, image_guest, outcomes, program, wat
from tickwork.core.effects import Level, Log
from tickwork.core.limits import Limits
from tickwork.core.messages import Message
from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.instance import Instance

# Keeps what step was given: the context at 256, the inbox's address and count at 288.
KEEPER = """
  (i64.store (i32.const 256) (local.get $tick)) (i64.store (i32.const 264) (local.get 1))
  (i64.store (i32.const 272) (local.get $seed)) (i64.store (i32.const 280) (local.get 3))
  (i32.store (i32.const 288) (local.get $inbox)) (i32.store (i32.const 292) (local.get $count))
  (i32.const 16)
"""
ARENA = """
  (func (export "tickwork_inbox") (param $size i32) (result i32)
    (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (local.get $size)))
"""
INBOX = [
    Message(0, 0, 0, 0, "input:line", "line", b'{"a": 1}'),
    Message(1, 0, 3, 0, "b", "topic \u00e9", b"", 0),
    Message(1, 0, 4, 0, "c", "", bytes(range(256)), (1 << 64) - 1),
]


def opened(code: bytes, config: bytes = b"the config", limits: Limits = Limits()) -> Instance:  # noqa: B008
    instance = Instance(program(code), limits)
    outcome = instance.setup("agent-1", config, now_ns=7, start_ns=3, seed=9)
    assert outcome.kind is OutcomeKind.OK
    return instance


def word(instance: Instance, at: int, size: int = 8) -> int:
    return int.from_bytes(instance._memory.read(at, size), "little")


@pytest.fixture(params=["realloc", "arena"])
def keeper(request: pytest.FixtureRequest) -> Iterator[Instance]:
    instance = opened(wat(step=KEEPER, extra=ARENA if request.param == "arena" else ""))
    yield instance
    instance.close()


def test_step_is_given_its_context(keeper: Instance) -> None:
    for tick, now_ns, seed in ((1, 10, 0), (1 << 63, (1 << 64) - 1, (1 << 64) - 1)):
        assert keeper.step(tick, now_ns, seed, ()).kind is OutcomeKind.OK
        assert [word(keeper, at) for at in (256, 264, 272, 280)] == [tick, now_ns, seed, 100_000_000]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_step_is_given_its_inbox(keeper: Instance, count: int) -> None:
    for _ in range(2):
        keeper.step(1, 0, 0, INBOX[:count])
        assert word(keeper, 292, 4) == count
        at = word(keeper, 288, 4)
        memory = keeper._memory.read(0, 32 * 65536)
        read = [load(memory, MESSAGE, at + place * size_of(MESSAGE)) for place in range(count)]
        assert read == [
            (m.sender, m.topic, m.body, (0, None) if m.reply_to is None else (1, m.reply_to))
            for m in INBOX[:count]
        ]


def test_setup_is_given_the_identity() -> None:
    stores = "".join(f"(i32.store (i32.const {256 + 4 * n}) (local.get {n}))" for n in range(6))
    instance = opened(wat(setup=stores + OK))
    words = [word(instance, 256 + 4 * n, 4) for n in range(6)]
    texts = [instance._memory.read(words[n], words[n + 1]) for n in (0, 2, 4)]
    instance.close()
    assert texts == [b"agent-1", b"the config", b"1.0.0"]


def test_initialize_runs_before_setup_and_post_return_after_each_answer() -> None:
    # Each adds its digit: initialize 1, setup 2, its post-return 3, step 4, its post-return 5.
    def digit(number: int) -> str:
        return (
            "(i64.store (i32.const 256) (i64.add (i64.mul (i64.load (i32.const 256)) (i64.const 10))"
            f" (i64.const {number})))"
        )

    code = wat(
        setup=digit(2) + OK,
        step=digit(4) + "(i32.const 32)",
        extra=f"""(func (export "_initialize") {digit(1)})
          (func (export "cabi_post_setup") (param i32) {digit(3)}
            (if (i32.ne (local.get 0) (i32.const 16)) (then (unreachable))))
          (func (export "cabi_post_step") (param i32) {digit(5)}
            (if (i32.ne (local.get 0) (i32.const 32)) (then (unreachable))))""",
    )
    instance = opened(code)
    assert word(instance, 256) == 123
    assert instance.step(1, 0, 0, ()).kind is OutcomeKind.OK
    assert instance.step(2, 0, 0, ()).kind is OutcomeKind.OK
    assert word(instance, 256) == 1234545
    instance.close()


def test_post_return_does_not_run_for_an_answer_that_could_not_be_read() -> None:
    code = wat(
        step="(i32.const 3)",
        extra='(func (export "cabi_post_step") (param i32) (i64.store (i32.const 256) (i64.const 1)))',
    )
    instance = opened(code)
    assert instance.step(1, 0, 0, ()).kind is OutcomeKind.BAD_POINTER
    assert word(instance, 256) == 0
    instance.close()


def test_effects_are_read_before_post_return_may_spoil_them() -> None:
    text = Answers("a").effects(Log(1, "kept"))
    code = image_guest()
    (outcome,) = outcomes(code, config=text.config())[1:]
    assert outcome.effects == (Log(1, "kept"),)
    spoiler = wat(
        step="(i32.const 48)",
        extra="""(data (i32.const 48) "\\00\\00\\00\\00\\40\\00\\00\\00\\01")
          (data (i32.const 64) "\\06") (data (i32.const 72) "\\02\\00\\00\\00\\00\\01\\00\\00\\04")
          (data (i32.const 256) "once")
          (func (export "cabi_post_step") (param i32)
            (memory.fill (i32.const 0) (i32.const 255) (i32.const 512)))""",
    )
    assert outcomes(spoiler)[-1].effects == (Log(2, "once"),)


def test_two_agents_of_one_program_share_nothing() -> None:
    counter = wat(
        step="(i64.store (i32.const 256) (i64.add (i64.load (i32.const 256)) (i64.const 1))) (i32.const 16)"
    )
    first, second = opened(counter), opened(counter)
    for tick in range(3):
        first.step(tick, 0, 0, ())
    second.step(0, 0, 0, ())
    assert (word(first, 256), word(second, 256)) == (3, 1)
    first.close()
    assert second.step(1, 0, 0, ()).kind is OutcomeKind.OK
    second.close()


_WRITE = '(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'


def printing(*pieces: tuple[int, str]) -> bytes:
    """Return a guest that prints `pieces`, each of its stream."""
    calls, data, at = "", "", 1024
    for place, (stream, text) in enumerate(pieces):
        vector = 4096 + 8 * place
        data += f'(data (i32.const {at}) "{text}")'
        calls += f"(i32.store (i32.const {vector}) (i32.const {at}))"
        calls += f"(i32.store (i32.const {vector + 4}) (i32.const {len(text)}))"
        calls += (
            f"(drop (call $write (i32.const {stream}) (i32.const {vector}) (i32.const 1) (i32.const 512)))"
        )
        at += len(text)
    return wat(imports=_WRITE, step=calls + OK, extra=data)


def test_what_a_turn_prints_is_logged_by_runs_of_a_stream() -> None:
    code = printing((1, "a"), (1, "b"), (2, "no"), (1, "c"))
    found = outcomes(code, steps=2)
    logs = (Log(Level.INFO, "ab"), Log(Level.WARN, "no"), Log(Level.INFO, "c"))
    assert [outcome.effects for outcome in found] == [(), logs, logs]


def test_streams_that_alternate_for_ever_give_a_bounded_number_of_logs() -> None:
    code = printing(*[(1 + place % 2, "xy"[place % 2]) for place in range(300)])
    (outcome,) = outcomes(code)[1:]
    assert len(outcome.effects) == 100
    texts = [effect.text for effect in outcome.effects if isinstance(effect, Log)]
    assert texts[:99] == ["x", "y"] * 49 + ["x"]
    assert texts[99] == "yx" * 100 + "y"


def test_limits_hold_for_each_agent_alone() -> None:
    code = wat(step="(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (i32.const 16)")
    for pages in (40, 50):
        instance = opened(code, limits=Limits(memory_bytes=pages * 65536))
        instance.step(1, 0, 0, ())
        assert instance._memory.window(grown=True)[1] == pages * 65536
        instance.close()


def test_closing_twice_is_harmless() -> None:
    instance = opened(wat())
    instance.close()
    instance.close()
