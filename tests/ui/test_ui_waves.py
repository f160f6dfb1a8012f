"""A run in waves in the viewer: what arrives in the tick in which it was sent is shown there."""

import pytest
from viewer_server import all_read, viewer

import travel_worlds
from tickwork.core.messages import MessageClass
from tickwork.journal.reader import RunReader
from tickwork.runtime.fold import fold
from tickwork.runtime.record import Run


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("waves")
    with Run(travel_worlds.project(folder, travel_worlds.WAVES, lines=16), folder / "waves.tick") as run:
        run.run_to_end()
    return folder / "waves.tick"


def arrived(path):
    """Return (sent, sender, effect, found, receiver) of every message between agents that was found."""
    with RunReader.open(path) as reader:
        found = []
        for folded in fold(reader):
            agents = folded.before.agents
            for turn in folded.planned.turns:
                to = agents[turn.agent].spec.id
                found += [
                    (each.tick, each.sender, each.effect, folded.planned.tick, to)
                    for each in turn.inbox
                    if each.kind == MessageClass.MESSAGE and each.sender != "tickwork"
                ]
        return found


def test_every_view_shows_a_message_in_the_tick_in_which_it_was_found(waves):
    expected = arrived(waves)
    at_once = [each for each in expected if each[0] == each[3]]
    assert at_once
    assert len(at_once) < len(expected)
    with viewer(waves.parent) as server:
        all_read(server, waves.name)
        detail = server.ask("timeline", run=waves.name, detail=True)
        names = [row["id"] for row in server.ask("agents", run=waves.name)["agents"]]
        arrows = [
            (sent, names[who], effect, found, names[to])
            for sent, who, effect, found, to, _ in detail["detail"]["messages"]
        ]
        assert set(at_once) <= set(arrows)
        for sent, sender, effect, found, receiver in at_once[:5]:
            turn = server.ask("turn", run=waves.name, tick=sent, agent=sender)
            deliveries = turn["effects"][effect]["deliveries"]
            assert {"agent": receiver, "tick": found} in deliveries
            trace = server.ask("trace", run=waves.name, tick=sent, agent=sender, reach=3)
            assert (found, receiver) in [(each["tick"], each["agent"]) for each in trace["turns"]]
            back = server.ask("trace", run=waves.name, tick=found, agent=receiver, reach=3)
            assert (sent, sender) in [(each["tick"], each["agent"]) for each in back["turns"]]
