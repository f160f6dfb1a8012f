"""WASI 0.2 in the layouts that the Canonical ABI gives its WIT, and which imports may be loaded."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasi_memory import MemoryCall

from tickwork.core.errors import ModuleError
from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.plan import HostImport
from tickwork.guest.virtual import GuestFault, VirtualState
from tickwork.guest.wasi import behaviour, known, lookup, preview2, preview2_denied, resolve

OUT = 0x1000
IN = 0x2000
U64_MAX = (1 << 64) - 1
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
STREAMS = "wasi:io/streams@0.2.9#[method]"
FILES = "wasi:filesystem/types@0.2.9#[method]descriptor."
TCP = "wasi:sockets/tcp@0.2.9#[method]tcp-socket."


def run(call: MemoryCall, name: str, *args: int) -> int | None:
    return lookup(name)(call, args)


def clock_call() -> MemoryCall:
    return MemoryCall(state=VirtualState(now_ns=START + 5, start_ns=START, seed=b"seed"))


@pytest.mark.parametrize(
    ("name", "align"),
    [
        ("wasi:cli/environment@0.2.0#get-environment", 4),
        ("wasi:cli/environment@0.2.12#get-arguments", 4),
        ("wasi:filesystem/preopens@0.2.9#get-directories", 4),
    ],
)
def test_environment_arguments_and_preopens_are_empty_lists(name: str, align: int) -> None:
    call = MemoryCall()
    call.write(OUT, b"\xff" * 8)
    run(call, name, OUT)
    pointer, length = struct.unpack_from("<II", call.memory, OUT)
    assert (pointer % align, length) == (0, 0)


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_no_standard_stream_is_a_terminal(stream: str) -> None:
    call = MemoryCall()
    call.write(OUT, b"\xff\xff")
    run(call, f"wasi:cli/terminal-{stream}@0.2.9#get-terminal-{stream}", OUT)
    assert call.read(OUT, 2) == b"\0\xff"


def test_handles_are_distinct_and_never_zero() -> None:
    call = MemoryCall()
    names = ("wasi:cli/stdin@0.2.9#get-stdin", "wasi:cli/stdout@0.2.9#get-stdout")
    names += ("wasi:cli/stderr@0.2.9#get-stderr", "wasi:sockets/instance-network@0.2.9#instance-network")
    handles = [run(call, name) for name in names] + [preview2_denied.POLLABLE]
    assert len({*handles}) == len(handles)
    assert 0 not in handles


def test_wall_clock_is_seconds_then_nanoseconds() -> None:
    call = clock_call()
    run(call, "wasi:clocks/wall-clock@0.2.9#now", OUT)
    assert struct.unpack_from("<QI", call.memory, OUT) == (1_700_000_000, 5)
    run(call, "wasi:clocks/wall-clock@0.2.9#resolution", OUT)
    assert struct.unpack_from("<QI", call.memory, OUT) == (0, 1)


def test_monotonic_clock_begins_with_the_run() -> None:
    call = clock_call()
    assert run(call, "wasi:clocks/monotonic-clock@0.2.9#now") == 5
    assert run(call, "wasi:clocks/monotonic-clock@0.2.9#resolution") == 1


def test_sleeping_advances_virtual_time_at_once() -> None:
    call = clock_call()
    pollable = run(call, "wasi:clocks/monotonic-clock@0.2.9#subscribe-duration", SECOND)
    assert run(call, "wasi:io/poll@0.2.9#[method]pollable.block", pollable or 0) is None
    assert call.state.now_ns == START + 5 + SECOND
    run(call, "wasi:clocks/monotonic-clock@0.2.9#subscribe-instant", 3 * SECOND)
    assert call.state.now_ns == START + 3 * SECOND
    run(call, "resource.drop", pollable or 0)


@given(st.integers(0, U64_MAX), st.lists(st.tuples(st.booleans(), st.integers(0, U64_MAX))))
def test_sleep_never_goes_backwards_and_never_leaves_u64(start: int, sleeps: list[tuple[bool, int]]) -> None:
    call = MemoryCall(state=VirtualState(now_ns=start, start_ns=start))
    for absolute, when in sleeps:
        before = call.state.now_ns
        kind = "instant" if absolute else "duration"
        run(call, f"wasi:clocks/monotonic-clock@0.2.9#subscribe-{kind}", when)
        assert before <= call.state.now_ns <= max(start, behaviour.TIME_NS_MAX)


def test_poll_finds_everything_ready() -> None:
    call = MemoryCall()
    run(call, "wasi:io/poll@0.2.9#poll", IN, 3, OUT)
    pointer, length = struct.unpack_from("<II", call.memory, OUT)
    assert struct.unpack_from(f"<{length}I", call.memory, pointer) == (0, 1, 2)
    assert pointer % 4 == 0


@pytest.mark.parametrize("count", [0, preview2.POLLABLES_MAX + 1, 0xFFFF_FFFF])
def test_polling_nothing_or_too_much_ends_the_turn(count: int) -> None:
    with pytest.raises(GuestFault, match="pollables"):
        run(MemoryCall(), "wasi:io/poll@0.2.9#poll", IN, count, OUT)


def test_reading_standard_input_finds_it_closed() -> None:
    call = MemoryCall()
    for function in ("read", "blocking-read"):
        run(call, f"{STREAMS}input-stream.{function}", preview2.STDIN, 10, OUT)
        assert (call.memory[OUT], call.memory[OUT + 4]) == (1, 1)
    run(call, f"{STREAMS}input-stream.skip", preview2.STDIN, 10, OUT + 16)
    assert (call.memory[OUT + 16], call.memory[OUT + 24]) == (1, 1)


def test_output_is_captured_by_stream() -> None:
    call = MemoryCall()
    call.write(IN, b"hello")
    run(call, f"{STREAMS}output-stream.check-write", preview2.STDOUT, OUT)
    permitted = struct.unpack_from("<B7xQ", call.memory, OUT)
    assert permitted == (0, preview2.WRITE_BYTES)
    for stream, function in ((preview2.STDOUT, "write"), (preview2.STDERR, "blocking-write-and-flush")):
        call.write(OUT, b"\xff")
        run(call, f"{STREAMS}output-stream.{function}", stream, IN, 5, OUT)
        assert call.memory[OUT] == 0
    run(call, f"{STREAMS}output-stream.write-zeroes", preview2.STDOUT, 2, OUT)
    assert call.state.output == [(1, b"hello"), (2, b"hello"), (1, b"\0\0")]


def test_only_output_streams_can_be_written() -> None:
    call = MemoryCall()
    for handle in (0, preview2.STDIN, preview2_denied.POLLABLE, 0xFFFF_FFFF):
        call.write(OUT, bytes(16))
        run(call, f"{STREAMS}output-stream.write", handle, IN, 5, OUT)
        assert (call.memory[OUT], call.memory[OUT + 4]) == (1, 1)
        run(call, f"{STREAMS}output-stream.check-write", handle, OUT)
        assert (call.memory[OUT], call.memory[OUT + 8]) == (1, 1)
    assert call.state.output == []


def test_writing_endless_zeroes_keeps_only_the_cap() -> None:
    call = MemoryCall()
    run(call, f"{STREAMS}output-stream.write-zeroes", preview2.STDOUT, U64_MAX, OUT)
    assert [len(data) for _, data in call.state.output] == [
        behaviour.OUTPUT_BYTES_MAX,
        len(behaviour.OUTPUT_TRUNCATED),
    ]


@given(st.lists(st.integers(0, 300), max_size=6))
def test_randomness_is_one_stream_however_it_is_drawn(lengths: list[int]) -> None:
    call, whole = MemoryCall(), MemoryCall()
    drawn = b""
    for length in lengths:
        run(call, "wasi:random/random@0.2.9#get-random-bytes", length, OUT)
        pointer, count = struct.unpack_from("<II", call.memory, OUT)
        drawn += call.read(pointer, count)
        drawn += (run(call, "wasi:random/random@0.2.9#get-random-u64") or 0).to_bytes(8, "little")
        run(call, "wasi:random/insecure-seed@0.2.9#insecure-seed", OUT)
        drawn += call.read(OUT, 16)
    assert drawn == behaviour.draw(whole.state, sum(lengths) + 24 * len(lengths))


@pytest.mark.parametrize("length", [behaviour.RANDOM_BYTES_MAX + 1, U64_MAX])
def test_an_absurd_random_length_is_refused(length: int) -> None:
    call = MemoryCall()
    with pytest.raises(GuestFault) as fault:
        run(call, "wasi:random/random@0.2.9#get-random-bytes", length, OUT)
    assert fault.value.kind is OutcomeKind.TOO_MANY_BYTES
    assert call.state.drawn == 0


@pytest.mark.parametrize(
    ("name", "args", "payload", "code"),
    [
        (FILES + "sync", 2, 1, preview2_denied.BAD_DESCRIPTOR),  # result<_, error-code>
        (FILES + "open-at", 7, 4, preview2_denied.BAD_DESCRIPTOR),  # result<own<descriptor>, error-code>
        (FILES + "stat", 2, 8, preview2_denied.BAD_DESCRIPTOR),  # result<descriptor-stat, error-code>
        (FILES + "write", 5, 8, preview2_denied.BAD_DESCRIPTOR),  # result<u64, error-code>
        (TCP + "start-connect", 15, 1, preview2_denied.ACCESS_DENIED),
        (TCP + "keep-alive-count", 2, 4, preview2_denied.ACCESS_DENIED),  # result<u32, error-code>
        ("wasi:sockets/tcp-create-socket@0.2.9#create-tcp-socket", 2, 4, preview2_denied.ACCESS_DENIED),
        ("wasi:sockets/ip-name-lookup@0.2.9#resolve-addresses", 4, 4, preview2_denied.ACCESS_DENIED),
    ],
)
def test_files_and_sockets_answer_with_an_error_code(name: str, args: int, payload: int, code: int) -> None:
    call = MemoryCall()
    run(call, name, *[7] * (args - 1), OUT)
    assert (call.memory[OUT], call.memory[OUT + payload]) == (1, code)


@pytest.mark.parametrize(("status", "detail"), [(0, "exit status 0"), (1, "exit status 1")])
def test_exit_ends_the_turn(status: int, detail: str) -> None:
    with pytest.raises(GuestFault) as fault:
        run(MemoryCall(), "wasi:cli/exit@0.2.9#exit", status)
    assert (fault.value.kind, fault.value.detail) == (OutcomeKind.EXIT, detail)


@given(st.sampled_from(sorted(preview2.FUNCTIONS)), st.data())
def test_no_arguments_make_a_function_fail_otherwise_than_by_a_fault(name: str, data: st.DataObject) -> None:
    function = preview2.FUNCTIONS[name]
    tops = [(1 << 32) - 1 if kind == "i32" else U64_MAX for kind in function.params]
    args = [data.draw(st.sampled_from([0, 1, 2, 3, 64, OUT, top]) | st.integers(0, top)) for top in tops]
    try:
        result = function.run(MemoryCall(), args)
    except GuestFault:
        return
    assert (result is None) == (function.results == ())


@pytest.mark.parametrize(
    "name",
    [
        "wasi:cli/environment@0.2.0#get-environment",
        "wasi:cli/environment@0.2.99#get-environment",
        "wasi:http/outgoing-handler@0.2.3#handle",
        "wasi:io/streams@0.2.0#[resource-drop]output-stream",
        "wasi_snapshot_preview1#fd_write",
        "resource.drop",
        "waitable-set.new",
    ],
)
def test_wasi_and_built_ins_may_be_imported(name: str) -> None:
    assert known(name)
    assert callable(lookup(name))


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("env#print", "only WASI 0.2"),
        ("print", "only WASI 0.2"),
        ("wasi:cli/environment@0.3.0#get-environment", "WASI 0.2"),
        ("wasi:cli/environment#get-environment", "WASI 0.2"),
        ("wasi:cli/environment@0.2.0-rc#get-environment", "WASI 0.2"),
        ("wasi_snapshot_preview1#sock_open", "no such function"),
        ("wasi_unstable#fd_write", "only WASI 0.2"),
        ("", "only WASI 0.2"),
    ],
)
def test_what_does_not_exist_is_refused_at_load(name: str, fix: str) -> None:
    assert not known(name)
    with pytest.raises(ModuleError, match=fix) as error:
        lookup(name)
    assert f"'{name}'" in str(error.value)


def test_wasi_that_is_not_provided_ends_the_turn_that_calls_it() -> None:
    name = "wasi:http/outgoing-handler@0.2.3#handle"
    with pytest.raises(GuestFault) as fault:
        run(MemoryCall(), name)
    assert (fault.value.kind, fault.value.detail) == (
        OutcomeKind.UNSUPPORTED_IMPORT,
        f"{name} is not provided",
    )


def test_an_import_with_another_signature_is_refused_at_load() -> None:
    name = "wasi_snapshot_preview1#fd_write"
    right = HostImport(name, ("i32",) * 4, ("i32",), None, None)
    assert resolve(right) is lookup(name)
    with pytest.raises(ModuleError, match="fd_write"):
        resolve(HostImport(name, ("i32",), ("i32",), None, None))
    with pytest.raises(ModuleError, match="random-u64"):
        resolve(HostImport("wasi:random/random@0.2.0#get-random-u64", (), ("i32",), None, None))
