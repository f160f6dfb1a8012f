"""Waves: the order of a graph, and a cycle by its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.core.dag import ONE_WAVE, Cycle, waves_of

AGENTS = ["router", "desk-0", "desk-1", "oncall", "reporter", "apart"]


def test_without_edges_there_is_one_wave():
    assert waves_of(AGENTS, ["room"], ()) is ONE_WAVE
    assert ONE_WAVE.count == 1
    assert ONE_WAVE.of("router") == 0
    assert not ONE_WAVE.joined("router", "desk-0")


def test_an_agents_wave_is_the_longest_path_that_leads_to_it():
    edges = [("router", "desk-*"), ("desk-*", "oncall"), ("router", "oncall"), ("oncall", "reporter")]
    waves = waves_of(AGENTS, [], edges)
    assert waves.count == 4
    assert [waves.of(agent) for agent in AGENTS] == [0, 1, 1, 2, 3, 0]
    assert waves.joined("router", "desk-1")
    assert waves.joined("router", "oncall")
    assert not waves.joined("desk-0", "reporter")
    assert not waves.joined("oncall", "router")
    assert not waves.joined("apart", "reporter")


def test_spawned_agents_have_the_wave_of_their_kind():
    waves = waves_of(AGENTS, ["room"], [("desk-*", "room/*"), ("room/*", "reporter")])
    assert waves.of("room/7") == 1
    assert waves.of("reporter") == 2
    assert waves.joined("desk-0", "room/whatever")
    assert waves.joined("room/7", "reporter")
    assert not waves.joined("room/7", "room/8")


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ([("oncall", "oncall")], ["oncall", "oncall"]),
        ([("router", "oncall"), ("oncall", "router")], ["oncall", "router", "oncall"]),
        ([("desk-*", "desk-1")], ["desk-1", "desk-1"]),
        ([("*", "reporter")], ["reporter", "reporter"]),
        (
            [("apart", "router"), ("router", "desk-0"), ("desk-0", "oncall"), ("oncall", "router")],
            ["router", "desk-0", "oncall", "router"],
        ),
        ([("room/*", "oncall"), ("oncall", "room/*")], ["oncall", "room/", "oncall"]),
    ],
)
def test_a_cycle_is_refused_by_its_name(edges, cycle):
    with pytest.raises(Cycle) as caught:
        waves_of(AGENTS, ["room"], edges)
    found = list(caught.value.path)
    assert found[0] == found[-1]
    assert sorted(found[1:]) == sorted(cycle[1:])
    # It is one: along the edges, and in their direction.
    assert " -> ".join(found) in " -> ".join([*cycle, *cycle[1:]])


names = st.sampled_from([*AGENTS, "desk-*", "room/*", "*"])


@given(st.lists(st.tuples(names, names), max_size=8))
def test_every_edge_leads_to_a_later_wave_or_there_is_a_cycle(edges):
    nodes = [*AGENTS, "room/1"]
    try:
        waves = waves_of(AGENTS, ["room"], edges)
    except Cycle as cycle:
        alone = [(a, b) for a, b in zip(cycle.path, cycle.path[1:], strict=False)]
        spelt = [(a.replace("/", "/*"), b.replace("/", "/*")) for a, b in alone]
        with pytest.raises(Cycle):
            waves_of(AGENTS, ["room"], spelt)
        return
    assert waves.count == 1 + max(waves.of(node) for node in nodes)
    for sender in nodes:
        befores = [waves.of(other) for other in nodes if waves.joined(other, sender)]
        assert waves.of(sender) == max((before + 1 for before in befores), default=0)
