"""A run file folded without its agents: the worlds that the live run had, or an error that says where not."""

import itertools

import msgspec
import pytest

import tickwork
from shell_projects import agent, project
from tamper import tamper
from tickwork.core.errors import RunFileError
from tickwork.core.world import genesis_world
from tickwork.journal.reader import RunReader
from tickwork.runtime.views import VIEWS, Filter, fold, readable

TICKS = 8


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return a run file and the worlds that the run went through, its first before tick 0."""
    folder = project(
        tmp_path_factory.mktemp("fold") / "p",
        agent("echo", "echo", "output:out", "send:sink"),
        agent("sink", "sink"),
        agent("loud", "shout", "output:out", "send:sink"),
        agent("frail", "fail"),
        agent("spawner", "spawner", "spawn:worker"),
        agent("ticker", "ticker", "output:out", every_tick=True),
        lines="".join(f"{number}\n" for number in range(TICKS)),
        more='[kinds.worker]\nmodule = "puppet.wasm"\nconfig = "echo"\n',
    )
    manifest = folder / "tickwork.toml"
    text = manifest.read_text().replace('to = "echo"', 'to = ["echo", "loud", "frail", "spawner"]')
    manifest.write_text(text)
    file = folder / "x.tick"
    with tickwork.record(tickwork.load(folder), file) as run:
        worlds = [run.world]
        for _ in range(TICKS):
            run.advance()
            worlds.append(run.world)
    return file, worlds


def test_the_folded_worlds_are_those_of_the_live_run(recorded):
    file, worlds = recorded
    with RunReader.open(file) as reader:
        folded = list(fold(reader))
        assert genesis_world(reader.spec) == worlds[0]
    assert [tick.before for tick in folded] == worlds[:-1]
    assert [tick.settled.world for tick in folded] == worlds[1:]
    assert len({str(state.status) for state in worlds[-1].agents}) == 3


def _without_first_turn(entry, fuel):
    turns = entry.turns[1:]
    return msgspec.structs.replace(entry, turns=turns), msgspec.structs.replace(fuel, used=fuel.used[1:])


def _without_first_refusal(entry, fuel):
    (index,) = (at for at, turn in enumerate(entry.turns) if len(turn.refusals) > 1)
    turn = msgspec.structs.replace(entry.turns[index], refusals=entry.turns[index].refusals[1:])
    return msgspec.structs.replace(entry, turns=(*entry.turns[:index], turn, *entry.turns[index + 1 :])), fuel


@pytest.mark.parametrize(
    ("tick", "change"),
    [
        (0, _without_first_turn),
        (3, _without_first_turn),
        (TICKS - 1, _without_first_turn),
        (1, _without_first_refusal),
    ],
)
def test_a_tick_that_does_not_follow_is_named(recorded, tmp_path, tick, change):
    file, _ = recorded
    changed = tmp_path / "changed.tick"
    changed.write_bytes(file.read_bytes())
    tamper(changed, lambda tampering: tampering.edit(tick, change))
    with RunReader.open(changed) as reader:
        rows = VIEWS["ticks"](reader, Filter())
        assert [row["tick"] for row in itertools.islice(rows, tick)] == list(range(tick))
        with pytest.raises(RunFileError, match=f"the entry of tick {tick} does not follow") as raised:
            next(rows)
    assert "tickwork replay" in str(raised.value)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a":[1]}', {"a": [1]}),
        (b"plain text", "plain text"),
        (b"", ""),
        (b"\xff\x00", {"base64": "/wA="}),
        (b"[" * 99_999, "[" * 99_999),
    ],
)
def test_a_body_is_shown_as_what_it_is(body, shown):
    assert readable(body) == shown
