"""Run files for the tests of `diff`: recorded by small projects, and rewritten as another's would be."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from shell_projects import agent, project
from tickwork.api import load, record
from tickwork.core.checkpoint import encode_world
from tickwork.core.digest import Digests, advance
from tickwork.core.edits import NO_EDITS, Edits, encode_edits
from tickwork.core.effects import Output
from tickwork.core.entry import Entry, Fuel, encode, encode_entry
from tickwork.core.image import AgentImage
from tickwork.journal.codec import EntryPacker
from tickwork.journal.create import ForkStart
from tickwork.journal.header import Parent, header_of
from tickwork.journal.reader import RunReader
from tickwork.journal.writer import RunWriter
from tickwork.runtime.diff import Diff, diff
from tickwork.runtime.fold import fold, running

Edit = Callable[[int, Entry, Fuel], tuple[Entry, Fuel]]

# `dice` puts out its entropy in every tick, `ticker` the tick's number; both in each of them.
DICE = agent("dice", "random", "output:out", every_tick=True)
TICKER = agent("ticker", "ticker", "output:out", every_tick=True)


def untouched(_: int, entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
    return entry, fuel


def recorded(folder: Path, *agents: str, ticks: int | None = 6, **keys: Any) -> Path:
    """Record a project of these agents for so many ticks, or until it is idle, and return the run file."""
    place = project(folder, *(agents or (TICKER, DICE)), **keys)
    file = folder.with_suffix(".tick")
    with record(load(place), file) as run:
        if ticks is None:
            run.run_to_end()
        else:
            run.advance(ticks)
    return file


def rewritten(file: Path, to: Path, edit: Edit, *, finish: bool = True) -> Path:
    """Write a run file anew as if its agents had done what `edit` says; its digests are in order."""
    with RunReader.open(file) as reader:
        modules = {name: reader.module(name) for name in reader.modules}
        with RunWriter.create(to, reader.header, modules) as writer:
            digests: Digests = reader.header.genesis()
            for stored in reader.entries():
                entry, fuel = edit(stored.tick, *stored.decode())
                digests = advance(digests, encode_entry(entry), encode(fuel))
                writer.append(stored.tick, digests, encode_entry(entry), encode(fuel))
            if finish:
                writer.finish(reader.status)
    return to


def forked(file: Path, to: Path, at: int, *, edits: Edits = NO_EDITS, edit: Edit = untouched) -> Path:
    """Write a fork of a run file, which goes on from tick `at` as `edit` says."""
    with RunReader.open(file) as reader:
        before = next(reader.entries(at - 1)).digests
        world = next(tick.before for tick in fold(reader) if tick.before.tick == at)
        parent = Parent(reader.header.run, at, before.digest, before.exact, encode_edits(edits))
        old = reader.header
        header = header_of(
            reader.spec,
            tickwork=old.tickwork,
            engine=old.engine,
            engine_config=old.engine_config,
            isa=old.isa,
            os=old.os,
            parent=parent,
        )
        modules = {name: reader.module(name) for name in reader.modules}
        # A diff looks at no agent's memory, but a snapshot must have an image of each that has one.
        blank = AgentImage((), (), b"", 0, 0)
        start = ForkStart(encode_world(world), [(agent, blank) for agent in running(world)])
        with RunWriter.create(to, header, modules, fork=start) as writer:
            digests = parent.start()
            for stored in reader.entries(at):
                entry, fuel = edit(stored.tick, *stored.decode())
                digests = advance(digests, encode_entry(entry), encode(fuel))
                writer.append(stored.tick, digests, encode_entry(entry), encode(fuel))
            writer.finish(reader.status)
    return to


def tampered(file: Path, tick: int, edit: Edit) -> Path:
    """Change one entry of a run file in place and leave the digests as they are."""
    with RunReader.open(file) as reader:
        stored = next(reader.entries(tick))
        entry, fuel = edit(tick, *stored.decode())
    overwrite(file, tick, EntryPacker().pack(encode_entry(entry), encode(fuel)))
    return file


def overwrite(file: Path, tick: int, body: bytes) -> None:
    change(file, "UPDATE entry SET body = ? WHERE tick = ?", body, tick)


def change(file: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute(statement, values)
        database.commit()


def saying(agent_index: int, from_tick: int, *bodies: bytes) -> Edit:
    """Return an edit: the agent puts out these bodies, from a tick on."""

    def edit(tick: int, entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        if tick < from_tick:
            return entry, fuel
        effects = tuple(Output("out", body) for body in bodies)
        turns = tuple(
            msgspec.structs.replace(turn, effects=effects) if turn.agent == agent_index else turn
            for turn in entry.turns
        )
        return msgspec.structs.replace(entry, turns=turns), fuel

    return edit


def burning(more: int, from_tick: int) -> Edit:
    """Return an edit: every turn uses more fuel, from a tick on."""

    def edit(tick: int, entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        return entry, Fuel(tuple(used + more for used in fuel.used)) if tick >= from_tick else fuel

    return edit


def compared(a: Path, b: Path, **options: Any) -> Diff:
    """Return the difference, having checked that the other way round it is the same, mirrored."""
    found = diff(a, b, **options)
    mirrored = diff(b, a, **options)
    assert (found.common, found.differing) == (mirrored.common, mirrored.differing)
    assert {seen.agent: seen for seen in found.agents} == {seen.agent: seen for seen in mirrored.agents}
    assert (found.only_a, found.only_b) == (mirrored.only_b, mirrored.only_a)
    assert (found.first is None) == (mirrored.first is None)
    assert found.identical == mirrored.identical
    return found
