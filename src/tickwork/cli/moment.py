"""What `tickwork inspect --at` and `--memory-diff` show: the world, or one agent, between two ticks."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from tickwork.cli.console import print_json, print_line, print_rows, printable
from tickwork.core.errors import InputError
from tickwork.runtime.memory_view import MemoryDiff, hexdump, memory_diff, parse_range
from tickwork.runtime.moment_rows import (
    agent_row,
    agent_rows,
    memory_rows,
    message_rows,
    moment_row,
    timer_rows,
)
from tickwork.runtime.seek import AgentMoment, Moment, Recording
from tickwork.runtime.views import Row

_RIGHT = (
    "index", "waiting", "timers", "place", "sent", "reply_to", "bytes", "due", "request", "set", "memory",
    "changed_pages", "start", "end",
)  # fmt: skip
_CHANGES_SHOWN = 20
_SNIPPET_BYTES = 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of `inspect` that are about a moment."""

    agent: str | None
    at: int | None
    memory_diff: tuple[int, int] | None
    hexdump: str | None
    state: bool
    memory: bool

    @property
    def is_moment(self) -> bool:
        """Whether any of them was given, but for --agent, which views have too."""
        return self.at is not None or self.memory_diff is not None or self._needs_agent

    @property
    def _needs_agent(self) -> bool:
        return self.state or self.memory or self.hexdump is not None

    def check(self, view: str | None, *, ranged: bool) -> None:
        """Raise `InputError` for options that do not go together."""
        name = "--at" if self.memory_diff is None else "--memory-diff"
        if self.at is None and self.memory_diff is None:
            raise InputError("--state, --memory and --hexdump look at one moment: give --at TICK")
        if self.at is not None and self.memory_diff is not None:
            raise InputError("--memory-diff names its two ticks itself: leave out --at")
        if self.memory_diff is not None and self._needs_agent:
            raise InputError("--memory-diff does not go with --state, --memory or --hexdump")
        if self.agent is None and (self._needs_agent or self.memory_diff is not None):
            raise InputError(
                "--state, --memory, --hexdump and --memory-diff look at one agent: give --agent ID"
            )
        if view is not None:
            raise InputError(f"{name} shows a moment, not the view {view!r}: leave out one of the two")
        if ranged:
            raise InputError(f"{name} does not go with --tick, --from or --to, which choose rows of a view")


def show_moment(recording: Recording, wanted: Wanted, *, json: bool) -> None:
    """Print what is wanted."""
    if wanted.memory_diff is not None:
        assert wanted.agent is not None
        _show_memory_diff(recording, wanted.agent, wanted.memory_diff, json=json)
        return
    assert wanted.at is not None
    moment = recording.at(wanted.at)
    if wanted.agent is None:
        _show_world(moment, json=json)
    else:
        _show_agent(moment.agent(wanted.agent), wanted, json=json)


def _show_world(moment: Moment, *, json: bool) -> None:
    if json:
        print_json(
            {
                **moment_row(moment),
                "agents": list(agent_rows(moment)),
                "messages": list(message_rows(moment)),
                "timers": list(timer_rows(moment)),
            }
        )
        return
    _print_head(moment, "")
    print_rows(agent_rows(moment), json=False, right=_RIGHT)
    _print_table("messages that wait", message_rows(moment))
    _print_table("timers", timer_rows(moment))


def _show_agent(agent: AgentMoment, wanted: Wanted, *, json: bool) -> None:
    # Everything that can fail comes before the first line is printed.
    state = agent.state() if wanted.state else None
    memories = list(memory_rows(agent)) if wanted.memory else None
    dump = None if wanted.hexdump is None else _dump(agent, wanted.hexdump)
    if json:
        row: Row = {
            **moment_row(agent.moment),
            "agent": agent_row(agent),
            "messages": list(message_rows(agent.moment, agent)),
            "timers": list(timer_rows(agent.moment, agent)),
        }
        row |= {"state": state} if wanted.state else {}
        row |= {} if memories is None else {"memories": memories}
        row |= {} if dump is None else {"hexdump": {"start": dump[0], "hex": dump[1].hex()}}
        print_json(row)
        return
    _print_head(agent.moment, f"agent {agent.id}, ")
    print_rows([agent_row(agent)], json=False, right=_RIGHT)
    _print_table("messages that wait", message_rows(agent.moment, agent))
    _print_table("timers", timer_rows(agent.moment, agent))
    if wanted.state:
        print_line("\nstate")
        print_line(msgspec.json.format(msgspec.json.encode(state), indent=2).decode())
    if memories is not None:
        _print_table("memory", memories)
    if dump is not None:
        print_line("\nbytes")
        for line in hexdump(dump[1], dump[0]):
            print_line(line)


def _dump(agent: AgentMoment, text: str) -> tuple[int, bytes]:
    memory = agent.memory()
    start, end = parse_range(text, len(memory))
    return start, memory[start:end]


def _print_head(moment: Moment, who: str) -> None:
    place = " (the end)" if moment.tick == moment.recording.end_tick else ""
    print_line(f"{who}before tick {moment.tick}{place}")
    print_line(f"  digest {moment.digests.digest.hex()}")
    print_line(f"  exact  {moment.digests.exact.hex()}\n")


def _print_table(title: str, rows: Iterable[Row]) -> None:
    found = list(rows)
    print_line(f"\n{title}{'' if found else ': none'}")
    print_rows(found, json=False, right=_RIGHT)


def _show_memory_diff(recording: Recording, name: str, ticks: tuple[int, int], *, json: bool) -> None:
    before, after = (recording.at(tick).agent(name) for tick in ticks)
    images = before.image(), after.image()
    diffs = [
        memory_diff(before.whole(images[0], place), after.whole(images[1], place))
        for place in range(min(len(image.memories) for image in images))
    ]
    if json:
        print_json({"agent": name, "ticks": list(ticks), "memories": [_diff_row(found) for found in diffs]})
        return
    for place, found in enumerate(diffs):
        _print_diff(name, place, ticks, found)


def _diff_row(found: MemoryDiff) -> Row:
    return {
        "before_bytes": found.size_before,
        "after_bytes": found.size_after,
        "changed_bytes": found.bytes_changed,
        "changed_pages": found.pages,
        "changes": [
            {
                "start": change.start,
                "end": change.end,
                "before": change.before.hex(),
                "after": change.after.hex(),
            }
            for change in found.changes
        ],
    }


def _print_diff(name: str, place: int, ticks: tuple[int, int], found: MemoryDiff) -> None:
    which = f"memory {place}" if place else "memory"
    grown = (
        "" if found.size_before == found.size_after else f", {found.size_before} to {found.size_after} bytes"
    )
    print_line(
        f"{printable(name)}: {which} before tick {ticks[0]} and before tick {ticks[1]}: "
        f"{found.bytes_changed} bytes in {len(found.changes)} places of {found.pages} pages differ{grown}"
    )
    for change in found.changes[:_CHANGES_SHOWN]:
        print_line(f"\n{change.start:#x} to {change.end:#x}")
        for mark, content in (("-", change.before), ("+", change.after)):
            for line in hexdump(content[:_SNIPPET_BYTES], change.start):
                print_line(f"{mark} {line}")
    if len(found.changes) > _CHANGES_SHOWN:
        print_line(f"\n... and {len(found.changes) - _CHANGES_SHOWN} more places; --json has all")
