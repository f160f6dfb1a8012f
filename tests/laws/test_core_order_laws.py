"""What must hold of every run: order, identity, limits and time."""

from collections import Counter

import msgspec
from core_reference import aim_of, grant_for
from core_strategies import play, play_tick, scenarios
from hypothesis import given

from core_worlds import ok
from tickwork.core.effects import Spawn
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.order import inbox_order
from tickwork.core.step import plan

# Order and identity.


@given(scenarios())
def test_every_inbox_and_mailbox_is_in_the_one_order(scenario):
    for ticked in play(scenario):
        for turn in ticked.planned.turns:
            assert list(turn.inbox) == sorted(turn.inbox, key=inbox_order)
        for box in ticked.after.mailboxes.values():
            assert list(box) == sorted(box, key=inbox_order)
            assert box, "an empty mailbox must not be kept"


@given(scenarios())
def test_turns_and_their_records_are_in_agent_order(scenario):
    for ticked in play(scenario):
        agents = [turn.agent for turn in ticked.planned.turns]
        assert agents == sorted(set(agents))
        assert [turn.agent for turn in ticked.settled.entry.turns] == agents
        assert ticked.settled.fuel == tuple(outcome.fuel for outcome in ticked.outcomes)


@given(scenarios())
def test_agents_keep_their_index_and_spawned_ones_get_the_next_in_settle_order(scenario):
    for ticked in play(scenario):
        before = [state.spec for state in ticked.before.agents]
        after = [state.spec for state in ticked.after.agents]
        assert after[: len(before)] == before
        spawned = [effect.id for _, _, effect in ticked.performed() if isinstance(effect, Spawn)]
        assert [spec.id for spec in after[len(before) :]] == spawned
        assert ticked.settled.started == tuple(range(len(before), len(after)))
        assert len({spec.id for spec in after}) == len(after)


@given(scenarios())
def test_an_agent_that_ended_stays_ended_and_holds_nothing(scenario):
    for ticked in play(scenario):
        for index, state in enumerate(ticked.before.agents):
            if not state.live:
                assert ticked.after.agents[index] == state
                assert index not in [turn.agent for turn in ticked.planned.turns]
        for index, state in enumerate(ticked.after.agents):
            if not state.live:
                assert index not in ticked.after.mailboxes
                assert index not in ticked.after.timers.counts
        was_live = {i for i, state in enumerate(ticked.before.agents) if state.live}
        was_live.update(ticked.settled.started)
        ended_now = {i for i in was_live if not ticked.after.agents[i].live}
        assert sorted(ticked.settled.ended) == sorted(ended_now)


@given(scenarios())
def test_look_ups_always_match_the_agents(scenario):
    for ticked in play(scenario):
        directory, agents = ticked.after.directory, ticked.after.agents
        assert directory.index == {state.spec.id: index for index, state in enumerate(agents)}
        starting = [i for i, state in enumerate(agents) if state.status.value == "starting"]
        assert list(directory.starting) == starting
        running = [i for i, state in enumerate(agents) if state.status.value == "running"]
        assert list(directory.every_tick) == [i for i in running if agents[i].spec.every_tick]
        for topic, receivers in directory.subscribers.items():
            assert list(receivers) == [
                i for i, state in enumerate(agents) if state.live and topic in state.spec.subscribe
            ]


# Limits.


@given(scenarios())
def test_mailboxes_never_hold_more_than_their_caps(scenario):
    for ticked in play(scenario):
        for agent, box in ticked.after.mailboxes.items():
            limits = ticked.after.agents[agent].spec.limits
            sizes = [len(message.body) for message in box if message.sender != "tickwork"]
            assert len(sizes) <= limits.mailbox_messages
            assert sum(sizes) <= limits.mailbox_bytes


@given(scenarios())
def test_notices_are_no_more_than_what_the_agent_itself_asked_for(scenario):
    for ticked in play(scenario):
        for agent, box in ticked.after.mailboxes.items():
            for message in box:
                if message.sender == "tickwork":
                    assert message.agent == agent


@given(scenarios())
def test_timers_and_agents_stay_within_their_limits(scenario):
    for ticked in play(scenario):
        assert len(ticked.after.agents) <= scenario.run.limits.agents
        for agent, count in ticked.after.timers.counts.items():
            assert count <= ticked.after.agents[agent].spec.limits.timers


@given(scenarios())
def test_grants_are_never_used_more_often_than_their_limits_allow(scenario):
    in_run: Counter[tuple[int, int]] = Counter()
    for ticked in play(scenario):
        in_tick: Counter[tuple[int, int]] = Counter()
        for agent, _, effect in ticked.performed():
            spec = ticked.after.agents[agent].spec
            aim = aim_of(effect)
            if aim is not None and aim != ("stop", spec.id):
                in_tick[agent, grant_for(spec, *aim)] += 1
        in_run += in_tick
        for (agent, place), count in in_tick.items():
            grant = ticked.after.agents[agent].spec.grants[place]
            assert grant.per_tick is None or count <= grant.per_tick
            assert grant.per_run is None or in_run[agent, place] <= grant.per_run


# Time.


@given(scenarios())
def test_a_timer_fires_at_its_tick_unless_replaced_cancelled_or_its_owner_ended(scenario):
    # What is pending is checked against the reference; here, that what is pending when due fires once.
    for ticked in play(scenario):
        due = ticked.before.timers.pending.get(ticked.before.tick, {})
        fired = [
            (turn.agent, message.reply_to, message.tick, message.effect, message.topic, message.body)
            for turn in ticked.planned.turns
            for message in turn.inbox
            if message.kind == 3
        ]
        assert sorted(fired) == sorted(
            (t.agent, t.request, t.tick, t.effect, t.topic, t.body) for t in due.values()
        )
        assert not [at for at in ticked.after.timers.pending if at < ticked.after.tick]


@given(scenarios())
def test_the_three_views_of_the_timers_agree(scenario):
    for ticked in play(scenario):
        timers = ticked.after.timers
        assert timers.due == {key: at for at, inner in timers.pending.items() for key in inner}
        assert timers.counts == Counter(agent for agent, _ in timers.due)
        assert all(timers.pending.values())
        for inner in timers.pending.values():
            assert all(key == (timer.agent, timer.request) for key, timer in inner.items())


@given(scenarios())
def test_time_goes_on_by_one_tick_whatever_happens(scenario):
    history = play(scenario)
    assert [ticked.settled.entry.tick for ticked in history] == list(range(len(history)))
    assert [ticked.after.tick for ticked in history] == list(range(1, len(history) + 1))


@given(scenarios())
def test_an_idle_world_stays_idle_and_only_an_idle_world_has_no_turns_ahead(scenario):
    for ticked in play(scenario):
        world = ticked.after
        turns = plan(world, NO_ARRIVALS).turns
        if world.idle:
            assert turns == ()
            later = play_tick(world, (ok(),), NO_ARRIVALS)
            assert later.settled.entry.turns == ()
            assert later.after.idle
            assert msgspec.structs.replace(later.after, tick=world.tick) == world
        elif not turns:
            assert world.timers.due, "nobody has a turn, yet the world is not idle"
