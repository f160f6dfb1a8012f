"""No grant, no effect: the law, from an agent's memory to the run's outputs.

The agents' answers are drawn as bytes in their memories; the grants are read a second time, by another rule.
"""

import tempfile
from pathlib import Path

from core_reference import aim_of, grant_for
from core_strategies import OUTPUTS, effects, runs
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from guests import Answers, image_guest, program
from tickwork.core.digest import content_hash
from tickwork.core.effects import Effect, Output, Publish, Send, Spawn, Stop, Timer
from tickwork.core.entry import Entry
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.refusals import DENIED
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.world import Status, World
from tickwork.journal.reader import RunReader
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay

TICKS = 5
IMAGE = content_hash(image_guest())


@st.composite
def told_runs(draw: st.DrawFn) -> RunSpec:
    """Return a run of image guests, each told in its config what to do in every tick."""
    spec = draw(runs())

    def told(agent: AgentSpec) -> AgentSpec:
        # All ids here have at most eight bytes, so a spawned agent's config lies where its kind's would.
        answers = Answers(agent.id, count_max=TICKS)
        for _ in range(TICKS - 1):
            answers.effects(*draw(st.lists(effects, max_size=5)))
        # No manifest could give a mailbox without room.
        limits = replace(
            agent.limits,
            mailbox_messages=max(1, agent.limits.mailbox_messages),
            mailbox_bytes=max(1, agent.limits.mailbox_bytes),
        )
        return replace(agent, module=IMAGE, config=answers.config(), preamble=b"", limits=limits)

    return replace(spec, agents=tuple(map(told, spec.agents)), kinds=tuple(map(told, spec.kinds)), inputs=())


def _lines(folder: Path) -> dict[str, list[bytes]]:
    return {name: (folder / name).read_bytes().splitlines() for name in OUTPUTS}


def _check_turns(world: World, entry: Entry) -> list[tuple[str, Effect]]:
    """Check every verdict of a tick against the grants; return the effects that were not refused."""
    allowed: list[tuple[str, Effect]] = []
    for turn in entry.turns:
        state = world.agents[turn.agent]
        verdicts = {refusal.effect: refusal for refusal in turn.refusals}
        denied = 0
        for place, effect in enumerate(turn.effects):
            needed = aim_of(effect)
            # To stop oneself, by whatever name, takes no grant.
            own = isinstance(effect, Stop) and effect.id == state.spec.id
            granted = needed is None or own or grant_for(state.spec, *needed) is not None
            refusal = verdicts.get(place)
            if not granted:
                assert refusal is not None
                assert (refusal.verdict, refusal.reason[:15]) == (DENIED, "no grant covers")
                denied += 1
            elif refusal is None:
                allowed.append((state.spec.id, effect))
            else:
                assert refusal.verdict != DENIED
        notices = [m for m in world.mailboxes.get(turn.agent, ()) if m.topic == "tickwork.denied"]
        # What was denied is told, to whoever is still there to hear of it.
        told = [m for m in notices if m.tick == entry.tick and m.sender == "tickwork"]
        assert len(told) == (denied if state.status is Status.RUNNING else 0)
    return allowed


def _check_world(before: World, after: World, entry: Entry, allowed: list[tuple[str, Effect]]) -> None:
    """Check that what changed in the world was asked for by somebody who may."""
    sends = {(sender, what.to, what.topic, what.body) for sender, what in allowed if isinstance(what, Send)}
    # A publish that did not reach everybody is refused, and has reached some.
    publishes = {
        (before.agents[turn.agent].spec.id, effect.topic, effect.body)
        for turn in entry.turns
        for effect in turn.effects
        if isinstance(effect, Publish)
        and grant_for(before.agents[turn.agent].spec, "publish", effect.topic) is not None
    }
    for index, messages in after.mailboxes.items():
        to = after.agents[index].spec
        for message in messages:
            if message.sender == "tickwork" or message.tick != entry.tick:
                continue
            sent = (message.sender, to.id, message.topic, message.body) in sends
            heard = message.topic in to.subscribe and (
                message.sender, message.topic, message.body) in publishes  # fmt: skip
            assert sent or heard
    spawned = {what.id for _, what in allowed if isinstance(what, Spawn)}
    assert {agent.spec.id for agent in after.agents[len(before.agents) :]} == spawned
    stopped = {what.id or sender for sender, what in allowed if isinstance(what, Stop)}
    for was, now in zip(before.agents, after.agents, strict=False):
        if now.status is Status.STOPPED and was.status is not Status.STOPPED:
            assert now.spec.id in stopped
    timers = {(what.topic, what.body, what.request) for _, what in allowed if isinstance(what, Timer)}
    for due in after.timers.pending.values():
        for timer in due.values():
            assert timer.tick != entry.tick or (timer.topic, timer.body, timer.request) in timers


@given(told_runs())
def test_no_grant_no_effect_from_the_guests_memory_to_the_outputs(spec: RunSpec) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outputs = {output: str(folder / output) for output in OUTPUTS}
        project = Project(spec, {IMAGE: image_guest()}, outputs=outputs, ticks=TICKS)
        written: dict[str, list[object]] = {output: [] for output in OUTPUTS}
        with Run(project, folder / "x.tick", programs={IMAGE: program(image_guest())}) as run:
            for _ in range(TICKS):
                before = run.world
                entry = run.advance().entry
                allowed = _check_turns(run.world, entry)
                _check_world(before, run.world, entry, allowed)
                for _, effect in allowed:
                    if isinstance(effect, Output):
                        written[effect.name].append(effect.body)
                # An agent whose config was somebody else's idea fails by itself, and does nothing.
                assert all(not turn.effects for turn in entry.turns if turn.kind is not OutcomeKind.OK)
        assert {output: len(lines) for output, lines in _lines(folder).items()} == {
            output: len(bodies) for output, bodies in written.items()
        }
        with RunReader.open(folder / "x.tick") as reader:
            assert len([stored.decode() for stored in reader.entries()]) == TICKS
        assert replay(folder / "x.tick").identical
