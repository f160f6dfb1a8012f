"""`tickwork inspect --graph`: the graph of a run's waves."""

from pathlib import Path

import typer

from tickwork.cli.console import print_json, print_line, print_rows
from tickwork.core.errors import InputError
from tickwork.journal.reader import RunReader
from tickwork.runtime.fold import check_spec
from tickwork.runtime.graph import DOT, MERMAID, brief, drawn, graph_of

TEXT = "text"
LANGUAGES = (TEXT, MERMAID, DOT)
_NAMES_SHOWN = 8


def show_graph(file: Path, language: str, *, json: bool) -> None:
    """Print a run's waves and edges; raise `InputError` for a language that there is none of."""
    if language not in LANGUAGES:
        raise InputError(f"--graph takes {', '.join(LANGUAGES)}, not {language!r}")
    with RunReader.open(file) as reader:
        check_spec(reader)
        graph = graph_of(reader.spec)
    if json:
        print_json({"waves": graph.waves, "edges": graph.edges})
    elif language == TEXT:
        rows = [
            {"wave": wave, "agents": brief(names, _NAMES_SHOWN)} for wave, names in enumerate(graph.waves)
        ]
        print_rows(rows, json=False, right=("wave",))
        for start, end in graph.edges:
            print_line(f"{start} -> {end}")
        if not graph.edges:
            print_line("no edges: in every tick all agents take their turns in one wave")
    else:
        typer.echo(drawn(graph, language), nl=False)
