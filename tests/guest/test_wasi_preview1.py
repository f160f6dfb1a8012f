"""WASI preview 1 as `wasi_snapshot_preview1.witx` lays it out, and nothing of the outside behind it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasi_memory import MemoryCall

from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.virtual import GuestFault, VirtualState
from tickwork.guest.wasi import behaviour, lookup, preview1

OUT = 0x1000  # where results go
IN = 0x2000  # where arguments lie
U64_MAX = (1 << 64) - 1
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
ABSOLUTE = 1


def run(call: MemoryCall, function: str, *args: int) -> int | None:
    return lookup(f"wasi_snapshot_preview1#{function}")(call, args)


def at(call: MemoryCall, pointer: int, layout: str) -> tuple[int, ...]:
    return struct.unpack_from(layout, call.memory, pointer)


def clock_call() -> MemoryCall:
    return MemoryCall(state=VirtualState(now_ns=START + 5, start_ns=START, seed=b"seed"))


def subscription(
    *, userdata: int = 0, tag: int = 0, ident: int = 0, timeout: int = 0, flags: int = 0
) -> bytes:
    """By the witx: userdata at 0, tag 8, clock or descriptor 16, timeout 24, flags 40; 48 bytes."""
    image = bytearray(48)
    struct.pack_into("<Q", image, 0, userdata)
    image[8] = tag
    struct.pack_into("<I", image, 16, ident)
    struct.pack_into("<Q", image, 24, timeout)
    struct.pack_into("<H", image, 40, flags)
    return bytes(image)


def poll(call: MemoryCall, *subscriptions: bytes) -> list[tuple[int, int, int]]:
    call.write(IN, b"".join(subscriptions))
    assert run(call, "poll_oneoff", IN, OUT, len(subscriptions), 0x100) == preview1.SUCCESS
    (count,) = at(call, 0x100, "<I")
    return [struct.unpack_from("<QHB", call.memory, OUT + 32 * index) for index in range(count)]


@pytest.mark.parametrize("kind", ["args", "environ"])
def test_there_are_no_arguments_and_no_environment(kind: str) -> None:
    call = MemoryCall()
    call.write(OUT, b"\xff" * 12)
    assert run(call, f"{kind}_sizes_get", OUT, OUT + 4) == preview1.SUCCESS
    assert run(call, f"{kind}_get", OUT + 8, OUT + 8) == preview1.SUCCESS
    assert call.read(OUT, 12) == bytes(8) + b"\xff" * 4


@pytest.mark.parametrize(("clock", "expected"), [(0, START + 5), (1, 5), (2, 5), (3, 5)])
def test_clocks_read_virtual_time(clock: int, expected: int) -> None:
    call = clock_call()
    assert run(call, "clock_time_get", clock, 0, OUT) == preview1.SUCCESS
    assert at(call, OUT, "<Q") == (expected,)


def test_an_unknown_clock_is_invalid() -> None:
    call = MemoryCall()
    assert run(call, "clock_time_get", 4, 0, OUT) == preview1.INVAL
    assert run(call, "clock_res_get", 4, OUT) == preview1.INVAL


def test_the_clock_resolution_is_a_nanosecond() -> None:
    call = MemoryCall()
    assert run(call, "clock_res_get", 0, OUT) == preview1.SUCCESS
    assert at(call, OUT, "<Q") == (1,)


def test_standard_input_is_at_its_end() -> None:
    call = MemoryCall()
    call.write(IN, struct.pack("<II", 0x3000, 10))
    call.write(OUT, b"\xff" * 4)
    assert run(call, "fd_read", 0, IN, 1, OUT) == preview1.SUCCESS
    assert at(call, OUT, "<I") == (0,)
    assert run(call, "fd_read", 1, IN, 1, OUT) == preview1.BADF


def test_vectors_are_printed_in_order_and_counted() -> None:
    call = MemoryCall()
    call.write(0x3000, b"hello world")
    call.write(IN, struct.pack("<IIII", 0x3006, 5, 0x3000, 6))
    assert run(call, "fd_write", 2, IN, 2, OUT) == preview1.SUCCESS
    assert at(call, OUT, "<I") == (11,)
    assert call.state.output == [(2, b"world"), (2, b"hello ")]
    assert call.state.output_bytes == 11


def test_only_stdout_and_stderr_can_be_written() -> None:
    call = MemoryCall()
    for descriptor in (0, 3, 0xFFFF_FFFF):
        assert run(call, "fd_write", descriptor, IN, 0, OUT) == preview1.BADF


def test_output_beyond_the_cap_is_dropped_with_one_marker() -> None:
    call = MemoryCall()
    call.write(IN, struct.pack("<II", 0, 40_000))
    for _ in range(4):
        assert run(call, "fd_write", 1, IN, 1, OUT) == preview1.SUCCESS
        assert at(call, OUT, "<I") == (40_000,)
    sizes = [len(data) for _, data in call.state.output]
    assert sizes == [40_000, behaviour.OUTPUT_BYTES_MAX - 40_000, len(behaviour.OUTPUT_TRUNCATED)]
    assert call.state.output[-1] == (1, behaviour.OUTPUT_TRUNCATED)


def test_output_of_exactly_the_cap_is_not_marked_until_one_byte_more_comes() -> None:
    call = MemoryCall()
    call.write(IN, struct.pack("<IIII", 0, behaviour.OUTPUT_BYTES_MAX, 0, 0))
    run(call, "fd_write", 1, IN, 2, OUT)
    assert len(call.state.output) == 1
    call.write(IN, struct.pack("<II", 0, 1))
    run(call, "fd_write", 1, IN, 1, OUT)
    assert call.state.output[1:] == [(1, behaviour.OUTPUT_TRUNCATED)]


def test_printing_one_block_a_thousand_times_reads_little_more_than_the_cap() -> None:
    call = MemoryCall()
    call.write(IN, struct.pack("<II", 0, 60_000) * 1000)
    run(call, "fd_write", 1, IN, 1000, OUT)
    assert call.read_bytes < behaviour.OUTPUT_BYTES_MAX + 16_000


@pytest.mark.parametrize("pointer", [128 * 1024 - 3, 0xFFFF_FFFF])
def test_a_bad_output_pointer_ends_the_turn_even_when_nothing_is_kept(pointer: int) -> None:
    for printed in (0, behaviour.OUTPUT_BYTES_MAX):
        call = MemoryCall(state=VirtualState(output_bytes=printed))
        call.write(IN, struct.pack("<II", pointer, 4))
        with pytest.raises(GuestFault) as fault:
            run(call, "fd_write", 1, IN, 1, OUT)
        assert fault.value.kind is OutcomeKind.BAD_POINTER


def test_too_many_vectors_or_bytes_are_invalid() -> None:
    call = MemoryCall()
    assert run(call, "fd_write", 1, IN, preview1.VECTORS_MAX + 1, OUT) == preview1.INVAL
    assert run(call, "fd_write", 1, IN, 0xFFFF_FFFF, OUT) == preview1.INVAL
    call.write(IN, struct.pack("<IIII", 0, 0xFFFF_FFFF, 0, 1))
    assert run(call, "fd_write", 1, IN, 2, OUT) == preview1.INVAL
    assert call.state.output == []


def test_standard_descriptors_look_like_a_terminal_that_cannot_seek() -> None:
    call = MemoryCall()
    for descriptor, rights in ((0, 1 << 1), (1, 1 << 6), (2, 1 << 6)):
        assert run(call, "fd_fdstat_get", descriptor, OUT) == preview1.SUCCESS
        assert at(call, OUT, "<B") == (2,)
        assert at(call, OUT + 8, "<QQ") == (rights | 1 << 27, 0)
        assert run(call, "fd_seek", descriptor, 0, 0, OUT) == preview1.SPIPE
        assert run(call, "fd_filestat_get", descriptor, OUT) == preview1.SUCCESS
        assert at(call, OUT + 16, "<B") == (2,)
    assert run(call, "fd_fdstat_get", 3, OUT) == preview1.BADF


def test_there_are_no_preopens_and_no_files() -> None:
    call = MemoryCall()
    assert run(call, "fd_prestat_get", 3, OUT) == preview1.BADF
    assert run(call, "path_open", 3, 0, IN, 4, 0, 0, 0, 0, OUT) == preview1.BADF
    assert run(call, "path_open", 1, 0, IN, 4, 0, 0, 0, 0, OUT) == preview1.NOTDIR
    assert run(call, "sock_send", 1, IN, 0, 0, OUT) == preview1.NOTSOCK
    assert run(call, "fd_close", 3) == preview1.BADF


def test_a_relative_sleep_advances_time_at_once() -> None:
    call = clock_call()
    assert poll(call, subscription(userdata=77, ident=1, timeout=2 * SECOND)) == [(77, 0, 0)]
    assert call.state.now_ns == START + 5 + 2 * SECOND


@pytest.mark.parametrize(("clock", "deadline"), [(0, START + SECOND), (1, SECOND)])
def test_an_absolute_sleep_ends_at_its_deadline(clock: int, deadline: int) -> None:
    call = clock_call()
    poll(call, subscription(ident=clock, timeout=deadline, flags=ABSOLUTE))
    assert call.state.now_ns == START + SECOND


def test_of_several_timers_only_the_first_wakes() -> None:
    call = clock_call()
    late = subscription(userdata=1, ident=1, timeout=9 * SECOND)
    early = subscription(userdata=2, ident=1, timeout=SECOND)
    assert poll(call, late, early) == [(2, 0, 0)]
    assert call.state.now_ns == START + 5 + SECOND


def test_a_ready_descriptor_wakes_before_any_time_passes() -> None:
    call = clock_call()
    timer = subscription(userdata=1, ident=1, timeout=SECOND)
    stdin = subscription(userdata=2, tag=1, ident=0)
    absent = subscription(userdata=3, tag=2, ident=9)
    assert poll(call, timer, stdin, absent) == [(2, 0, 1), (3, preview1.BADF, 2)]
    assert call.state.now_ns == START + 5


def test_a_poll_of_nothing_or_of_too_much_is_invalid() -> None:
    call = MemoryCall()
    for count in (0, preview1.VECTORS_MAX + 1, 0xFFFF_FFFF):
        assert run(call, "poll_oneoff", IN, OUT, count, 0x100) == preview1.INVAL
    call.write(IN, subscription(tag=3))
    assert run(call, "poll_oneoff", IN, OUT, 1, 0x100) == preview1.INVAL
    call.write(IN, subscription(ident=4))
    assert run(call, "poll_oneoff", IN, OUT, 1, 0x100) == preview1.INVAL


@given(
    st.integers(0, U64_MAX), st.lists(st.tuples(st.integers(0, 3), st.integers(0, U64_MAX), st.booleans()))
)
def test_sleep_never_goes_backwards_and_never_leaves_u64(
    start: int, sleeps: list[tuple[int, int, bool]]
) -> None:
    call = MemoryCall(state=VirtualState(now_ns=start, start_ns=start))
    for clock, timeout, absolute in sleeps:
        before = call.state.now_ns
        woken = poll(call, subscription(ident=clock, timeout=timeout, flags=int(absolute)))
        assert len(woken) == 1
        assert before <= call.state.now_ns <= max(start, behaviour.TIME_NS_MAX)
        assert run(call, "clock_time_get", 1, 0, OUT) == preview1.SUCCESS


@given(st.integers(0, 500), st.integers(0, 500))
def test_drawing_n_then_m_equals_drawing_n_plus_m(first: int, second: int) -> None:
    parts, whole = MemoryCall(), MemoryCall()
    run(parts, "random_get", OUT, first)
    run(parts, "random_get", OUT + first, second)
    run(whole, "random_get", OUT, first + second)
    assert parts.memory == whole.memory
    assert parts.state.drawn == whole.state.drawn == first + second


def test_the_random_stream_depends_on_the_seed() -> None:
    one, two = MemoryCall(state=VirtualState(seed=b"1")), MemoryCall(state=VirtualState(seed=b"2"))
    for call in (one, two):
        assert run(call, "random_get", OUT, 16) == preview1.SUCCESS
    assert one.read(OUT, 16) != two.read(OUT, 16)


def test_an_absurd_random_length_is_refused() -> None:
    call = MemoryCall()
    with pytest.raises(GuestFault) as fault:
        run(call, "random_get", 0, 0xFFFF_FFFF)
    assert fault.value.kind is OutcomeKind.TOO_MANY_BYTES
    assert call.state.drawn == 0


def test_exit_ends_the_turn_with_its_status() -> None:
    with pytest.raises(GuestFault) as fault:
        run(MemoryCall(), "proc_exit", 3)
    assert (fault.value.kind, fault.value.detail) == (OutcomeKind.EXIT, "exit status 3")


def test_yielding_and_closing_the_adapter_succeed() -> None:
    assert run(MemoryCall(), "sched_yield") == preview1.SUCCESS
    assert run(MemoryCall(), "adapter_close_badfd", 5) == preview1.SUCCESS


@given(st.sampled_from(sorted(preview1.FUNCTIONS)), st.data())
def test_no_arguments_make_a_function_fail_otherwise_than_by_a_fault(name: str, data: st.DataObject) -> None:
    function = preview1.FUNCTIONS[name]
    tops = [(1 << 32) - 1 if kind == "i32" else U64_MAX for kind in function.params]
    args = [data.draw(st.sampled_from([0, 1, 2, 3, 64, OUT, top]) | st.integers(0, top)) for top in tops]
    try:
        result = function.run(MemoryCall(), args)
    except GuestFault:
        return
    assert (result is None) == (function.results == ())
