"""What must hold of edits of any world: nothing changes but what they say, and it stays a world."""

import copy
from collections import Counter
from dataclasses import dataclass

import msgspec
from core_strategies import grants, outcomes, play, play_tick, scenarios
from hypothesis import event, given
from hypothesis import strategies as st

from tickwork.core.checkpoint import decode_world, encode_world
from tickwork.core.editing import apply_edits
from tickwork.core.edits import (
    FORK_ORIGIN,
    NO_EDITS,
    AgentEdit,
    Drop,
    Edits,
    Inject,
    Replace,
    decode_edits,
    encode_edits,
)
from tickwork.core.errors import EditError
from tickwork.core.limits import Limits
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.order import inbox_order
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.spec import RunSpec
from tickwork.core.step import plan
from tickwork.core.world import Directory, Status, World

QUIET = Outcome(OutcomeKind.OK, (), 1)

_names = st.sampled_from(["a", "b", "team.x", "k/1", "nobody"])
_topics = st.sampled_from(["news", "t", "\u0378"])
_bodies = st.binary(max_size=6)
_selection = (_names, st.none() | _names, st.none() | _topics, st.none() | st.integers(0, 3))
_limits = st.dictionaries(st.sampled_from(Limits.__struct_fields__), st.integers(0, 1 << 40), max_size=2)
_agent_edits = st.builds(
    AgentEdit,
    id=_names,
    grants=st.none() | st.lists(grants(), max_size=3).map(tuple),
    limits=_limits.map(lambda limits: tuple(sorted(limits.items()))),
    config=st.none() | _bodies,
    preamble=st.none() | _bodies,
    module=st.none() | st.just("11" * 32),
    restart=st.booleans(),
)
any_edits = st.builds(
    Edits,
    seed=st.none() | st.integers(0, (1 << 64) - 1),
    inject=st.lists(
        st.builds(Inject, _names, _topics, _bodies, _names | st.just("fork"), st.none() | st.integers(0, 9)),
        max_size=3,
    ).map(tuple),
    drop=st.lists(st.builds(Drop, *_selection), max_size=2).map(tuple),
    replace=st.lists(
        st.builds(Replace, *_selection, body=st.none() | _bodies, new_topic=st.none() | _topics), max_size=2
    ).map(tuple),
    agents=st.lists(_agent_edits, max_size=2, unique_by=lambda edit: edit.id).map(tuple),
)


@dataclass(frozen=True)
class Forked:
    """A world somewhere in a run, edits that can be made there, and what they make of it."""

    world: World
    edits: Edits
    edited: World


@st.composite
def worlds(draw: st.DrawFn) -> World:
    history = play(draw(scenarios()))
    # Mail in a mailbox is what most edits are about.
    with_mail = [ticked.after for ticked in history if ticked.after.mailboxes]
    return draw(st.sampled_from(with_mail or [ticked.after for ticked in history]))


@st.composite
def forks(draw: st.DrawFn) -> Forked:
    world = draw(worlds())
    live = [agent.spec.id for agent in world.agents if agent.live]
    waiting = [(to, place) for to, box in sorted(world.mailboxes.items()) for place in range(len(box))]
    drop, replace = _chosen(draw, world, waiting), _chosen(draw, world, waiting)
    injects = (
        st.lists(st.builds(Inject, st.sampled_from(live), _topics, _bodies), max_size=2)
        if live
        else st.just([])
    )
    ids = st.lists(st.sampled_from([agent.spec.id for agent in world.agents]), max_size=2, unique=True)
    edits = Edits(
        seed=draw(st.none() | st.integers(0, (1 << 64) - 1)),
        inject=tuple(draw(injects)),
        drop=tuple(Drop(to, place=place) for to, place in drop),
        replace=tuple(
            Replace(to, place=place, body=b"", new_topic="replaced")
            for to, place in replace
            if (to, place) not in drop
        ),
        agents=tuple(
            AgentEdit(
                agent_id,
                grants=draw(st.sampled_from([None, ()])),
                # Room for whatever is injected.
                limits=(("mailbox_bytes", 1 << 20), ("mailbox_messages", 1 << 10)),
                config=draw(st.none() | _bodies),
                restart=True,
            )
            for agent_id in draw(ids)
        ),
    )
    try:
        return Forked(world, edits, apply_edits(world, edits))
    except EditError as error:
        # The only edits that are drawn and cannot be made: a mailbox is full.
        event(str(error).partition(":")[0])
        bare = msgspec.structs.replace(edits, inject=())
        return Forked(world, bare, apply_edits(world, bare))


def _chosen(draw: st.DrawFn, world: World, waiting: list[tuple[int, int]]) -> list[tuple[str, int]]:
    if not waiting:
        return []
    chosen = draw(st.lists(st.sampled_from(waiting), max_size=3, unique=True))
    return [(world.agents[to].spec.id, place) for to, place in chosen]


def attempt(world: World, edits: Edits) -> tuple[World | None, str]:
    """Return the edited world, or None and why there is none."""
    try:
        return apply_edits(world, edits), ""
    except EditError as error:
        return None, str(error)


def without_memo(world: World) -> World:
    """Return an equal world that remembers no routes."""
    return msgspec.structs.replace(world, directory=Directory.of(world.agents))


def mail(world: World) -> Counter:
    """Return all that waits, as (receiver, place in the one order, content)."""
    return Counter((to, message) for to, box in world.mailboxes.items() for message in box)


@given(worlds())
def test_no_edits_are_the_identity(world):
    assert apply_edits(world, NO_EDITS) is world
    assert encode_edits(NO_EDITS) == b""


@given(any_edits)
def test_edits_survive_their_bytes_and_have_only_those(edits):
    data = encode_edits(edits)
    assert decode_edits(data) == edits
    assert encode_edits(decode_edits(data)) == data


@given(st.binary(max_size=40) | any_edits.map(encode_edits).flatmap(
    lambda data: st.integers(0, max(len(data) - 1, 0)).map(lambda at: data[:at] + b"\xc0" + data[at + 1 :])
))  # fmt: skip
def test_any_bytes_are_edits_of_their_own_or_refused(data):
    try:
        edits = decode_edits(data)
    except ValueError:
        event("refused")
    else:
        assert encode_edits(edits) == data


@given(worlds(), any_edits)
def test_any_edits_of_any_world_give_a_world_or_name_the_edit(world, edits):
    names = ("seed: ", "inject[", "drop[", "replace[", "agents.")
    edited, refusal = attempt(world, edits)
    if edited is None:
        event("refused")
        assert refusal.startswith(names)
        assert "\n" not in refusal
    else:
        assert decode_world(encode_world(edited), edited.run) == without_memo(edited)


@given(worlds(), any_edits)
def test_edits_never_change_the_world_they_are_made_in(world, edits):
    before = copy.deepcopy(world)
    edited, _ = attempt(world, edits)
    if edited is not None and edited is not world:
        play_tick(edited, (QUIET,), NO_ARRIVALS)
    assert world == before


@given(forks())
def test_an_edited_world_survives_its_bytes_and_its_look_ups_are_true(forked):
    edited = forked.edited
    run = msgspec.msgpack.decode(msgspec.msgpack.encode(edited.run), type=RunSpec)
    assert decode_world(encode_world(edited), run) == without_memo(edited)
    assert forked.edits == NO_EDITS or edited.directory == Directory.of(edited.agents)
    declared = [agent.spec for agent in edited.agents[: len(run.agents)]]
    assert declared == list(edited.run.agents)


@given(forks())
def test_mail_is_conserved_but_for_what_is_dropped_replaced_and_injected(forked):
    world, edits = forked.world, forked.edits
    lost = mail(world) - mail(forked.edited)
    gained = mail(forked.edited) - mail(world)
    assert lost.total() == len(edits.drop) + len(edits.replace)
    assert gained.total() == len(edits.replace) + len(edits.inject)
    replaced = [message for _, message in gained if message.agent != FORK_ORIGIN]
    assert all((message.topic, message.body) == ("replaced", b"") for message in replaced)
    injected = sorted((m for _, m in gained.elements() if m.agent == FORK_ORIGIN), key=inbox_order)
    assert [(m.sender, m.topic, m.body) for m in injected] == [
        (edit.sender, edit.topic, edit.body) for edit in edits.inject
    ]
    for box in forked.edited.mailboxes.values():
        assert list(box) == sorted(box, key=inbox_order)
        assert box


@given(forks())
def test_what_is_injected_is_delivered_once_and_last(forked):
    """To whoever steps in the coming tick; to whoever is set up first, in the tick after that."""
    world = forked.edited
    waited = {to: [m for m in box if m.agent != FORK_ORIGIN] for to, box in world.mailboxes.items()}
    expected = Counter(
        (world.directory.index[edit.to], edit.topic, edit.body) for edit in forked.edits.inject
    )
    delivered: Counter = Counter()
    for _ in range(3):
        ticked = play_tick(world, (QUIET,), NO_ARRIVALS)
        for turn in ticked.planned.turns:
            injected = [m for m in turn.inbox if m.agent == FORK_ORIGIN]
            delivered.update((turn.agent, m.topic, m.body) for m in injected)
            if injected:
                first = list(turn.inbox).index(injected[0])
                assert list(turn.inbox[:first]) == waited.get(turn.agent, [])
        world = ticked.after
    assert delivered == expected


@given(forks(), st.lists(outcomes, min_size=2, max_size=4).map(tuple))
def test_a_run_goes_on_from_an_edited_world_in_the_one_order(forked, comes_to):
    world = forked.edited
    for _ in range(3):
        ticked = play_tick(world, comes_to, NO_ARRIVALS)
        for turn in ticked.planned.turns:
            assert list(turn.inbox) == sorted(turn.inbox, key=inbox_order)
        for box in ticked.after.mailboxes.values():
            assert list(box) == sorted(box, key=inbox_order)
        world = ticked.after


@given(forks())
def test_who_is_restarted_starts_and_nobody_else_changes_standing(forked):
    restarted = {edit.id for edit in forked.edits.agents if edit.restart}
    setups = [turn.agent for turn in plan(forked.edited, NO_ARRIVALS).turns if turn.setup]
    for index, (before, after) in enumerate(zip(forked.world.agents, forked.edited.agents, strict=True)):
        if before.spec.id in restarted:
            assert (after.status, after.reason) == (Status.STARTING, "")
            assert index in setups
            assert index not in forked.edited.timers.counts
        else:
            assert after == before
