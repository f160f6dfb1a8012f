"""The waves of a tick: agents in the order of a graph that has no cycle.

An edge joins the agents that one name stands for to those that another does. A name is an agent's id, or a
prefix followed by `*`; the agents of a kind that are spawned during the run are all joined or none, so that
what is not declared yet has its wave too. An agent's wave is the length of the longest path that leads to it.
Without edges there is one wave.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

Edge = tuple[str, str]
EDGES_MAX = 1000

# Between a kind's name and what the spawning agent calls the new one.
_SPAWNED = "/"


class Waves(msgspec.Struct, frozen=True):
    """Who comes in which wave, and along what messages arrive in the tick in which they are sent.

    The maps are by declared agent's id, and by `KIND/` for agents that are spawned: its wave, the edges that
    begin with it, and those that end with it. `count` is the number of waves.
    """

    count: int = 1
    levels: Mapping[str, int] = {}
    leaving: Mapping[str, frozenset[int]] = {}
    arriving: Mapping[str, frozenset[int]] = {}

    def of(self, agent_id: str) -> int:
        """Return the agent's wave, counted from 0."""
        return self.levels.get(_node(agent_id), 0)

    def joined(self, sender: str, receiver: str) -> bool:
        """Return whether an edge leads from one agent to the other."""
        leaving = self.leaving.get(_node(sender))
        return leaving is not None and not leaving.isdisjoint(self.arriving.get(_node(receiver), ()))


ONE_WAVE = Waves()


class Cycle(ValueError):  # noqa: N818 - says what was found, which is what is wrong
    """The edges lead from an agent back to itself: `path` begins and ends with it."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__("the edges form a cycle: " + " -> ".join(path))
        self.path = tuple(path)


def matches(name: str, node: str) -> bool:
    """Return whether a name of an edge stands for the agent with this id, or the kind `KIND/`."""
    return node.startswith(name[:-1]) if name.endswith("*") else node == name


def nodes_of(agents: Iterable[str], kinds: Iterable[str]) -> list[str]:
    """Return what a graph is made of: the declared agents' ids, and `KIND/` for every kind."""
    return [*agents, *(kind + _SPAWNED for kind in kinds)]


def waves_of(agents: Iterable[str], kinds: Iterable[str], edges: Sequence[Edge]) -> Waves:
    """Return the waves of declared agents and kinds; raise `Cycle` if there can be none."""
    if not edges:
        return ONE_WAVE
    nodes = nodes_of(agents, kinds)
    begins = [[node for node in nodes if matches(start, node)] for start, _ in edges]
    ends = [[node for node in nodes if matches(end, node)] for _, end in edges]
    leaving = _by_node(begins)
    arriving = _by_node(ends)
    levels = _levels(begins, ends, leaving, arriving)
    return Waves(
        1 + max(levels.values(), default=0),
        levels,
        {node: frozenset(found) for node, found in leaving.items()},
        {node: frozenset(found) for node, found in arriving.items()},
    )


def _node(agent_id: str) -> str:
    kind, slash, _ = agent_id.partition(_SPAWNED)
    return kind + slash


def _by_node(sides: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for edge, nodes in enumerate(sides):
        for node in nodes:
            found.setdefault(node, []).append(edge)
    return found


def _levels(
    begins: Sequence[Sequence[str]],
    ends: Sequence[Sequence[str]],
    leaving: Mapping[str, Sequence[int]],
    arriving: Mapping[str, Sequence[int]],
) -> dict[str, int]:
    """Return each node's longest path, edges taken as soon as all nodes that they begin with are known."""
    unknown_nodes = [len(nodes) for nodes in begins]
    unknown_edges = {node: len(found) for node, found in arriving.items()}
    levels = dict.fromkeys(dict.fromkeys([*leaving, *arriving]), 0)
    # An edge that begins with nobody leads nowhere, but must not hold back those it ends with.
    ready = [node for node in levels if node not in unknown_edges]
    passed = [edge for edge, count in enumerate(unknown_nodes) if count == 0]
    done = 0
    while ready or passed:
        if ready:
            node = ready.pop()
            done += 1
            for edge in leaving.get(node, ()):
                unknown_nodes[edge] -= 1
                if unknown_nodes[edge] == 0:
                    passed.append(edge)
            continue
        edge = passed.pop()
        level = max((levels[node] + 1 for node in begins[edge]), default=0)
        for node in ends[edge]:
            levels[node] = max(levels[node], level)
            unknown_edges[node] -= 1
            if unknown_edges[node] == 0:
                ready.append(node)
    if done < len(levels):
        raise Cycle(_cycle(begins, arriving, unknown_edges))
    return levels


def _cycle(
    begins: Sequence[Sequence[str]], arriving: Mapping[str, Sequence[int]], unknown: Mapping[str, int]
) -> list[str]:
    """Return a cycle among the nodes that no order could be found for, by going back along edges."""
    stuck = {node: None for node, count in unknown.items() if count}
    node = next(iter(stuck))
    path: dict[str, None] = {}
    while node not in path:
        path[node] = None
        node = next(start for edge in arriving[node] for start in begins[edge] if start in stuck)
    back = list(path)
    cycle = back[back.index(node) :]
    return [node, *reversed(cycle[1:]), node]
