"""The graph that gives a run's ticks their waves: as rows, and in two languages that other tools draw."""

from collections.abc import Sequence
from dataclasses import dataclass

from tickwork.core.dag import Edge
from tickwork.core.spec import RunSpec
from tickwork.core.world import run_waves

MERMAID, DOT = "mermaid", "dot"


@dataclass(frozen=True, slots=True)
class Graph:
    """The declared agents and kinds (as `KIND/*`) by wave, each in index order, and the edges as declared."""

    waves: tuple[tuple[str, ...], ...]
    edges: tuple[Edge, ...]


def graph_of(spec: RunSpec) -> Graph:
    """Return a run's graph; without edges there is one wave with everybody."""
    waves = run_waves(spec)
    found: list[list[str]] = [[] for _ in range(waves.count)]
    for agent in spec.agents:
        found[waves.of(agent.id)].append(agent.id)
    for kind in spec.kinds:
        found[waves.of(f"{kind.id}/")].append(f"{kind.id}/*")
    return Graph(tuple(tuple(names) for names in found), spec.edges)


def drawn(graph: Graph, language: str) -> str:
    """Return the edges in `MERMAID` or `DOT`, a line each; a name in the manifest is one node."""
    places = {
        name: place for place, name in enumerate(dict.fromkeys(name for e in graph.edges for name in e))
    }
    if language == MERMAID:
        nodes = [f'  n{place}["{_mermaid_text(name)}"]' for name, place in places.items()]
        edges = [f"  n{places[start]} --> n{places[end]}" for start, end in graph.edges]
        return "\n".join(["flowchart LR", *nodes, *edges]) + "\n"
    lines = [f"  {_dot_text(start)} -> {_dot_text(end)};" for start, end in graph.edges]
    return "\n".join(["digraph tickwork {", "  rankdir=LR;", *lines, "}"]) + "\n"


def brief(names: Sequence[str], shown: int) -> str:
    """Return names on one line, no more than so many of them."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _mermaid_text(name: str) -> str:
    # Names come from a file: what Mermaid would read as its own syntax is written by its number.
    return "".join(char if char.isalnum() or char in "-_./ " else f"#{ord(char)};" for char in name)


def _dot_text(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
