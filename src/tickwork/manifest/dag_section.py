"""The table [dag]: which agents' messages arrive in the tick in which they are sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tickwork.core.dag import EDGES_MAX, Cycle, Edge, matches, nodes_of, waves_of
from tickwork.manifest.faults import Fault, KeyPath, did_you_mean, listed, quoted
from tickwork.manifest.fields import Section

DAG_KEYS = ("edges",)
ARROW = "->"
EXAMPLE = 'edges = ["router -> desk-* -> reporter"]'


@dataclass(frozen=True, slots=True)
class Path:
    """The names of one item of `edges`, each joined to the next; `at` is its place in the manifest."""

    at: KeyPath
    names: tuple[str, ...]

    @property
    def edges(self) -> list[Edge]:
        """The edges of the path."""
        return list(zip(self.names, self.names[1:], strict=False))


def parse_dag(top: Section) -> list[Path]:
    """Return the paths of [dag]; raise Fault."""
    section = Section(top.table("dag"), ("dag",), DAG_KEYS)
    paths = [_path(section, index, text) for index, text in enumerate(section.strings("edges"))]
    count = sum(len(path.edges) for path in paths)
    if count > EDGES_MAX:
        raise section.fault(
            "edges", f"makes {count} edges, more than {EDGES_MAX}; use patterns such as 'a-*'"
        )
    return paths


def edges_of(paths: Sequence[Path]) -> tuple[Edge, ...]:
    """Return the edges of all paths, each once, in the order of the manifest."""
    return tuple(dict.fromkeys(edge for path in paths for edge in path.edges))


def dag_faults(paths: Sequence[Path], agents: Sequence[str], kinds: Sequence[str]) -> Iterator[Fault]:
    """Yield names that stand for nobody, and a cycle."""
    nodes = nodes_of(agents, kinds)
    known = True
    for path in paths:
        for name in path.names:
            reason = _name_fault(name, nodes, kinds)
            if reason is not None:
                known = False
                yield Fault(path.at, f"{quoted(name)} {reason}")
    if known:
        try:
            waves_of(agents, kinds, edges_of(paths))
        except Cycle as cycle:
            yield Fault(("dag", "edges"), f"{cycle}; take one of these edges out")


def _path(section: Section, index: int, text: str) -> Path:
    names = tuple(name.strip() for name in text.split(ARROW))
    if len(names) < 2:
        raise section.fault("edges", f"{quoted(text)} joins nobody; write it like {EXAMPLE}", index)
    for name in names:
        if not name:
            raise section.fault("edges", f"{quoted(text)} lacks a name beside an arrow", index)
        if "*" in name[:-1]:
            raise section.fault("edges", f"{quoted(name)} may have a '*' only at its end", index)
    return Path((*section.at, "edges", index), names)


def _name_fault(name: str, nodes: Sequence[str], kinds: Sequence[str]) -> str | None:
    if any(matches(name, node) for node in nodes):
        return None
    kind, slash, _ = name.partition("/")
    if slash and kind in kinds:
        return f"names single agents of a kind, which are joined together or not at all; write '{kind}/*'"
    verb = "matches" if name.endswith("*") else "is"
    return f"{verb} no agent and no kind{did_you_mean(name, nodes)} (there are: {listed(nodes)})"
