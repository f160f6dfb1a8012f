"""Agents are made while there is room for them, and whatever runs out is named together with what to do."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import guests
from guests import chatter, engine, wat
from tickwork.core.errors import HostError
from tickwork.core.image import AgentImage
from tickwork.core.limits import Limits
from tickwork.core.outcomes import Outcome
from tickwork.guest import program as programs
from tickwork.guest.instance import Instance
from tickwork.guest.program import COPIED_DATA_BYTES_MAX, Program
from tickwork.guest.room import SPARE_MAPPINGS, Room, mapping_count, mapping_limit

linux = pytest.mark.skipif(mapping_limit() is None, reason="the system does not say how many mappings it has")
AGENTS = 200


def much_data() -> bytes:
    """A chatter with more data than is copied, part of which it sums up into what it sends."""
    text = "".join(chr(97 + place % 26) for place in range(COPIED_DATA_BYTES_MAX + 1))
    return wat(
        step="(i64.store (i32.const 264) (i64.load (i32.const 131080))) (i32.const 48)",
        extra=guests.CHATTER + f'(data (i32.const 131072) "{text}")',
    )


def test_room_is_counted_again_only_when_it_was_given_out() -> None:
    counted: list[int] = []

    def used() -> int:
        counted.append(1)
        return 100

    room = Room(SPARE_MAPPINGS + 110, used)
    for _ in range(5):
        room.take(2)
    assert len(counted) == 1
    room.take(2)  # those that were used before are gone, as it finds
    assert len(counted) == 2


def test_a_process_without_room_is_told_what_to_allow() -> None:
    room = Room(65530, lambda: 65530 - SPARE_MAPPINGS - 3)
    room.take(2)
    with pytest.raises(HostError, match=r"65530 mappings .* up to 4; .* sysctl -w vm.max_map_count=262120$"):
        room.take(4)


def test_what_agents_had_that_are_gone_is_given_out_again() -> None:
    counts: Iterator[int] = iter([0])
    room = Room(SPARE_MAPPINGS + 4, lambda: next(counts))
    for _ in range(10):
        room.take(4)
        room.give_back(4)


def test_where_nothing_bounds_them_there_are_mappings_for_all() -> None:
    Room(None, mapping_count).take(10**9)


@linux
@pytest.mark.parametrize("code", [chatter, much_data])
def test_an_agent_takes_no_more_mappings_than_its_program_says(code: Callable[[], bytes]) -> None:
    program = Program(engine(), code())
    before = mapping_count()
    instances = [Instance(program, Limits()) for _ in range(AGENTS)]
    try:
        for instance in instances:
            assert instance.setup("a", b"b", now_ns=0, start_ns=0, seed=0).kind == "ok"
        taken = mapping_count() - before
    finally:
        for instance in instances:
            instance.close()
    # The allocator's own come and go.
    assert AGENTS <= taken <= AGENTS * program.mappings + 20


def lived(program: Program) -> tuple[list[Outcome], AgentImage]:
    instance = Instance(program, Limits())
    try:
        outcomes = [instance.setup("a", b"b", now_ns=0, start_ns=0, seed=0)]
        outcomes += [instance.step(tick, 0, 7 * tick, ()) for tick in range(3)]
        return outcomes, instance.take_image(Instance.base(program))
    finally:
        instance.close()


def test_no_guest_can_tell_whether_its_data_was_mapped_or_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = Program(engine(), much_data())
    monkeypatch.setattr(programs, "COPIED_DATA_BYTES_MAX", 1 << 20)
    copied = Program(engine(), much_data())
    assert (mapped.engine.images, copied.engine.images) == (True, False)
    assert mapped.engine.config_hash == copied.engine.config_hash
    assert lived(mapped) == lived(copied)


_CROWDED = """
import resource, sys
from guests import chatter
from tickwork.core.errors import HostError
from tickwork.core.limits import Limits
from tickwork.guest.engine import Engine, reservation
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program

chosen = Engine(reserved_bytes=reservation(int(sys.argv[1]), Limits().memory_bytes))
program = Program(chosen, chatter())
# Besides what the process has, 64 GiB: room for fifteen memories of 4 GiB.
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 30),) * 2)
made = []
try:
    for number in range(100):
        made.append(Instance(program, Limits()))
        made[-1].setup("a", b"b", now_ns=0, start_ns=0, seed=0)
except HostError as error:
    print(len(made), error)
"""


def crowded(agents: int) -> str:
    command = [sys.executable, "-c", _CROWDED, str(agents)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(guests.__file__).parent
    )
    return done.stdout


@linux
def test_a_process_without_address_space_is_told_what_to_change() -> None:
    told = crowded(30_000)
    assert 14 <= int(told.split()[0]) <= 16
    assert "no address space left for another agent's memory" in told
    assert "`ulimit -v`" in told


@linux
def test_where_more_agents_are_declared_they_need_less_address_space() -> None:
    assert crowded(30_001) == ""
