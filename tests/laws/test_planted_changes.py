"""Whatever is changed in a run file, replay names the first tick and the agent that it concerns."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

import determined_run
from determined_run import TICKS, idler
from guests import chatter, image_guest, wat
from tamper import Tampering, flipped, tamper
from tickwork.core.digest import content_hash
from tickwork.core.effects import Log, Output, Send
from tickwork.core.entry import Entry, Fuel, Refusal, TurnEntry, Undelivered
from tickwork.core.errors import RunFileError
from tickwork.core.messages import Arrivals
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.spec import RunSpec
from tickwork.runtime.replay import Replay, replay

AGENTS = ["r0", "r1", "r2", "idle", "talker", "idle/1"]
RECHAINED = pytest.mark.parametrize("rechain", [False, True], ids=["a bit error", "a forgery"])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    determined_run.record(folder)
    return folder / "run.tick"


@pytest.fixture
def run_file(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(recorded, tmp_path / "run.tick"))


def after(run_file: Path, change: Callable[[Tampering], None], *, rechain: bool = False) -> Replay:
    tamper(run_file, change, rechain=rechain)
    return replay(run_file)


def place_of(found: Replay) -> tuple[int, str | None]:
    assert not found.identical
    assert found.first_divergence is not None
    assert found.ticks == found.first_divergence.tick
    return found.first_divergence.tick, found.first_divergence.agent


def in_turn(
    agent: str, change: Callable[[TurnEntry], TurnEntry]
) -> Callable[[Entry, Fuel], tuple[Entry, Fuel]]:
    """Return an edit of one agent's turn."""
    index = AGENTS.index(agent)

    def edit(entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        turns = tuple(change(turn) if turn.agent == index else turn for turn in entry.turns)
        assert turns != entry.turns
        return replace(entry, turns=turns), fuel

    return edit


def body_flipped(turn: TurnEntry) -> TurnEntry:
    (send,) = turn.effects
    assert isinstance(send, Send)
    return replace(turn, effects=(replace(send, body=flipped(send.body, 9)),))


@RECHAINED
@pytest.mark.parametrize(("tick", "agent"), [(1, "r0"), (3, "r2"), (5, "r1"), (TICKS - 1, "r2")])
def test_a_flipped_bit_in_a_message_is_found(run_file: Path, tick: int, agent: str, *, rechain: bool) -> None:
    found = after(run_file, lambda file: file.edit(tick, in_turn(agent, body_flipped)), rechain=rechain)
    assert place_of(found) == (tick, agent)


TURN_CHANGES: dict[str, tuple[int, str, Callable[[TurnEntry], TurnEntry]]] = {
    "an effect more": (5, "r1", lambda turn: replace(turn, effects=(*turn.effects, Log(0, "x")))),
    "an effect less": (1, "talker", lambda turn: replace(turn, effects=turn.effects[:-1])),
    "effects in another order": (1, "talker", lambda turn: replace(turn, effects=turn.effects[::-1])),
    "another outcome": (4, "r1", lambda turn: replace(turn, kind=OutcomeKind.UNREACHABLE)),
    "another detail": (4, "r0", lambda turn: replace(turn, detail="said nothing")),
    "a refusal less": (2, "talker", lambda turn: replace(turn, refusals=())),
    "a refusal of another": (
        2, "talker", lambda turn: replace(turn, refusals=(replace(turn.refusals[0], effect=1),))),
    "a refusal more": (5, "r0", lambda turn: replace(turn, refusals=(Refusal(0, "denied", "no"),))),
    "another output": (
        2, "talker", lambda turn: replace(turn, effects=(turn.effects[0], Output("out", b'{"tick": 3}')))),
}  # fmt: skip


@RECHAINED
@pytest.mark.parametrize("name", TURN_CHANGES)
def test_a_changed_turn_is_found(run_file: Path, name: str, *, rechain: bool) -> None:
    tick, agent, change = TURN_CHANGES[name]
    found = after(run_file, lambda file: file.edit(tick, in_turn(agent, change)), rechain=rechain)
    assert place_of(found) == (tick, agent)


@RECHAINED
@pytest.mark.parametrize("agent", ["r0", "r1", "talker"])
def test_a_turn_taken_out_is_found(run_file: Path, agent: str, *, rechain: bool) -> None:
    def without(entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        kept = [place for place, turn in enumerate(entry.turns) if turn.agent != AGENTS.index(agent)]
        assert len(kept) == len(entry.turns) - 1
        return (
            replace(entry, turns=tuple(entry.turns[place] for place in kept)),
            Fuel(tuple(fuel.used[place] for place in kept)),
        )

    found = after(run_file, lambda file: file.edit(5, without), rechain=rechain)
    assert place_of(found) == (5, agent)


@RECHAINED
def test_a_turn_put_in_is_found(run_file: Path, *, rechain: bool) -> None:
    index = AGENTS.index("r2")

    def with_one_more(entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        used = {turn.agent: fuel for turn, fuel in zip(entry.turns, fuel.used, strict=True)}
        assert index not in used
        turns = sorted([*entry.turns, TurnEntry(index, OutcomeKind.OK, ())], key=lambda turn: turn.agent)
        return replace(entry, turns=tuple(turns)), Fuel(tuple(used.get(turn.agent, 9) for turn in turns))

    # Nobody has said anything to r2 by then.
    found = after(run_file, lambda file: file.edit(1, with_one_more), rechain=rechain)
    assert place_of(found) == (1, "r2")


@RECHAINED
def test_two_changes_are_named_by_the_first(run_file: Path, *, rechain: bool) -> None:
    def change(file: Tampering) -> None:
        file.edit(6, in_turn("r0", body_flipped))
        file.edit(4, in_turn("r2", body_flipped))
        file.edit(4, in_turn("r1", body_flipped))

    assert place_of(after(run_file, change, rechain=rechain)) == (4, "r1")


def test_changed_fuel_is_found(run_file: Path) -> None:
    def change(entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        place = [turn.agent for turn in entry.turns].index(AGENTS.index("r1"))
        return entry, Fuel((*fuel.used[:place], fuel.used[place] + 1, *fuel.used[place + 1 :]))

    found = after(run_file, lambda file: file.edit(5, change))
    assert place_of(found) == (5, "r1")
    assert "units of fuel" in str(found.first_divergence)
    assert place_of(after(run_file, lambda _: None, rechain=True)) == (5, "r1")


@pytest.mark.parametrize("tick", [0, 3, TICKS - 1])
def test_a_dropped_entry_is_found(run_file: Path, tick: int) -> None:
    found = after(run_file, lambda file: file.drop(tick))
    assert place_of(found) == (tick, "r0")
    assert f"the entry of tick {tick} is missing" in str(found.first_divergence)


def test_dropped_entries_in_a_forgery_are_found(run_file: Path) -> None:
    found = after(run_file, lambda file: file.drop(3), rechain=True)
    assert place_of(found) == (3, "r0")


def test_reordered_entries_are_found(run_file: Path) -> None:
    assert place_of(after(run_file, lambda file: file.swap(3, 5))) == (3, "r0")


@RECHAINED
def test_entries_that_took_each_others_tick_are_found(run_file: Path, *, rechain: bool) -> None:
    def change(file: Tampering) -> None:
        third, fifth = file.entry(3), file.entry(5)
        file.put_entry(3, replace(fifth[0], tick=3), fifth[1])
        file.put_entry(5, replace(third[0], tick=5), third[1])

    # What differs first is what r0 drew from its seed.
    assert place_of(after(run_file, change, rechain=rechain)) == (3, "r0")


def test_a_changed_external_input_is_found_where_it_was_read(run_file: Path) -> None:
    def change(entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        (line,) = entry.arrivals.inputs
        # r1 mixes the first bytes of what it reads into what it says.
        return replace(entry, arrivals=Arrivals((replace(line, body=flipped(line.body, 2)),))), fuel

    assert place_of(after(run_file, lambda file: file.edit(4, change))) == (4, "r1")
    assert place_of(after(run_file, lambda _: None, rechain=True)) == (4, "r1")


def test_a_changed_external_input_is_found_where_nobody_minds_it(run_file: Path) -> None:
    def change(entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        (line,) = entry.arrivals.inputs
        return replace(entry, arrivals=Arrivals((replace(line, body=flipped(line.body, 20)),))), fuel

    found = after(run_file, lambda file: file.edit(4, change))
    assert place_of(found) == (4, "r1")
    assert "an input of the tick was changed, or the digest was" in str(found.first_divergence)


@RECHAINED
def test_an_external_input_put_in_or_taken_out_is_found(run_file: Path, *, rechain: bool) -> None:
    def change(entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        return replace(entry, arrivals=Arrivals()), fuel

    assert place_of(after(run_file, lambda file: file.edit(4, change), rechain=rechain)) == (4, "r1")


@RECHAINED
def test_a_planted_undelivered_message_is_found_by_its_addressee(run_file: Path, *, rechain: bool) -> None:
    def change(entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        lost = Undelivered(1, 3, 0, 0, "r2", "agent is stopped")
        return replace(entry, undelivered=(*entry.undelivered, lost)), fuel

    assert place_of(after(run_file, lambda file: file.edit(4, change), rechain=rechain)) == (4, "r2")


@pytest.mark.parametrize("part", ["digest", "exact"])
def test_a_changed_digest_is_found(run_file: Path, part: str) -> None:
    def change(file: Tampering) -> None:
        column = file.database.execute(f"SELECT {part} FROM entry WHERE tick = 4").fetchone()[0]
        file.database.execute(f"UPDATE entry SET {part} = ? WHERE tick = 4", (flipped(column),))

    tick, _ = place_of(after(run_file, change))
    assert tick == 4


# ---- modules


@pytest.mark.parametrize(
    ("code", "agent"),
    [(chatter(), "r0"), (idler(), "idle"), (image_guest(), "talker")],
    ids=["r0", "idle", "talker"],
)
def test_a_changed_module_is_found_at_its_first_agent(run_file: Path, code: bytes, agent: str) -> None:
    found = after(run_file, lambda file: file.put_module(content_hash(code), flipped(code, len(code) - 5)))
    assert place_of(found) == (0, agent)
    assert "was changed" in str(found.first_divergence)


def test_a_module_that_is_gone_is_found_at_its_first_agent(run_file: Path) -> None:
    name = content_hash(idler())
    found = after(
        run_file, lambda file: file.database.execute("DELETE FROM module WHERE hash = ?", (name,)) and None
    )
    assert place_of(found) == (0, "idle")


def test_a_forged_module_is_found_where_it_first_acts_otherwise(run_file: Path) -> None:
    traps = wat(step="(if (i64.eq (local.get $tick) (i64.const 5)) (then (unreachable))) (i32.const 16)")
    found = after(run_file, lambda file: file.put_module_and_name(content_hash(idler()), traps), rechain=True)
    # It traps in tick 5, but it is other code from the first step on, and its fuel tells.
    assert place_of(found) == (1, "idle")


def test_a_module_under_another_name_is_found_by_the_chain(run_file: Path) -> None:
    found = after(run_file, lambda file: file.put_module_and_name(content_hash(idler()), idler(3)))
    assert place_of(found)[0] == 0


# ---- the specification


def with_agent(spec: RunSpec, index: int, **changes: object) -> RunSpec:
    agents = list(spec.agents)
    agents[index] = replace(agents[index], **changes)
    return replace(spec, agents=tuple(agents))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda spec: replace(spec, seed=43), (1, "r0")),
        (lambda spec: with_agent(spec, 2, grants=()), (2, "r2")),
        (lambda spec: with_agent(spec, 4, every_tick=False), (1, "talker")),
        (lambda spec: replace(spec, inputs=(replace(spec.inputs[0], to=("r1",)),)), (1, "idle")),
        # The record has turns of an agent that the specification no longer knows.
        (lambda spec: replace(spec, agents=spec.agents[:4]), (0, None)),
    ],
    ids=["seed", "grants", "every_tick", "an input's readers", "agents"],
)  # fmt: skip
def test_a_forged_specification_is_found_where_it_first_matters(
    run_file: Path, change: Callable[[RunSpec], RunSpec], place: tuple[int, str]
) -> None:
    copy = run_file.with_name("copy.tick")
    shutil.copy(run_file, copy)
    # Without a new chain, no entry continues from the specification.
    assert place_of(after(copy, lambda file: file.put_spec(change)))[0] == 0
    assert place_of(after(run_file, lambda file: file.put_spec(change), rechain=True)) == place


def test_a_changed_specification_without_its_checksum_is_no_run_file(run_file: Path) -> None:
    def change(file: Tampering) -> None:
        (spec,) = file.database.execute("SELECT value FROM run WHERE key = 'spec'").fetchone()
        file.database.execute("UPDATE run SET value = ? WHERE key = 'spec'", (flipped(spec, 20),))

    tamper(run_file, change)
    with pytest.raises(RunFileError, match=r"run\.tick"):
        replay(run_file)


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: replace(spec, inputs=(replace(spec.inputs[0], to=("nobody",)),)),
        lambda spec: replace(spec, inputs=(replace(spec.inputs[0], to=()),)),
        lambda spec: replace(spec, agents=(*spec.agents, spec.agents[0])),
        lambda spec: replace(spec, agents=()),
    ],
    ids=["a reader that is nobody", "no readers", "an agent twice", "no agents"],
)
def test_a_hostile_specification_is_refused_or_diverges(
    run_file: Path, change: Callable[[RunSpec], RunSpec]
) -> None:
    tamper(run_file, lambda file: file.put_spec(change), rechain=True)
    try:
        found = replay(run_file)
    except RunFileError:
        return
    assert not found.identical
