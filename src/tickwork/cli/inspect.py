"""`tickwork inspect`: look into a run file."""

from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import print_json, print_line, print_rows, say
from tickwork.cli.graph import show_graph
from tickwork.cli.moment import Wanted, show_moment
from tickwork.core.errors import InputError
from tickwork.journal.reader import RunReader
from tickwork.runtime.model_rows import in_words, model_rows
from tickwork.runtime.seek import Recording
from tickwork.runtime.views import VIEWS, Filter, require_known

_RIGHT = (
    "tick", "index", "turns", "inputs", "messages", "effects", "refused", "undelivered", "faults", "failed",
    "fuel",
    "received", "waiting", "bytes", "sent", "reply_to", "effect",
)  # fmt: skip
_DIGEST_CHARS = 16


def inspect(
    file: Annotated[Path, typer.Argument(help="A run file.")],
    view: Annotated[
        str | None,
        typer.Argument(
            help="What to show: summary (the default), agents, ticks, messages, effects, logs, "
            "undelivered or faults."
        ),
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Only what concerns this agent.")] = None,
    tick: Annotated[int | None, typer.Option("--tick", min=0, help="Only this tick.")] = None,
    first: Annotated[int, typer.Option("--from", min=0, help="Only from this tick on.")] = 0,
    last: Annotated[int | None, typer.Option("--to", min=0, help="Only up to this tick.")] = None,
    *,
    at: Annotated[
        int | None, typer.Option("--at", min=0, help="Show the world as it is before this tick is run.")
    ] = None,
    state: Annotated[
        bool, typer.Option("--state", help="With --at and --agent: a Python agent's attributes.")
    ] = False,
    memory: Annotated[
        bool, typer.Option("--memory", help="With --at and --agent: size and hash of its memory.")
    ] = False,
    hexdump: Annotated[
        str | None,
        typer.Option("--hexdump", metavar="START:END", help="With --at and --agent: bytes of its memory."),
    ] = None,
    memory_diff: Annotated[
        tuple[int, int] | None,
        typer.Option("--memory-diff", metavar="T1 T2", help="With --agent: its memory at two moments."),
    ] = None,
    graph: Annotated[
        str | None,
        typer.Option(
            "--graph", metavar="LANGUAGE", help="The waves' graph: text, or mermaid or dot to draw it."
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON: one object a line for a view that has rows, else one.")
    ] = False,
) -> None:
    """Show a run file's agents, ticks, messages, effects, logs or faults, or the world at any tick."""
    if graph is not None:
        show_graph(file, graph, json=json)
        return
    ranged = tick is not None or bool(first) or last is not None
    wanted = Wanted(agent, at, memory_diff, hexdump, state=state, memory=memory)
    if wanted.is_moment:
        wanted.check(view, ranged=ranged)
        with Recording.open(file) as recording:
            show_moment(recording, wanted, json=json)
        return
    _view(file, view or "summary", agent, tick, first, last, json=json)


def _view(
    file: Path,
    view: str,
    agent: str | None,
    tick: int | None,
    first: int,
    last: int | None,
    *,
    json: bool,
) -> None:
    """Show a view over all ticks or a range of them."""
    if view != "summary" and view not in VIEWS:
        raise InputError(f"there is no view {view!r}; choose summary, {', '.join(VIEWS)}")
    if tick is not None and (first or last is not None):
        raise InputError("--tick names one tick; --from and --to a range: give one or the other")
    with RunReader.open(file) as reader:
        if view == "summary":
            _summary(reader, json=json)
            return
        if agent is not None:
            require_known(reader, agent)
        wanted = Filter(agent, first, last) if tick is None else Filter(agent, tick, tick)
        rows = VIEWS[view](reader, wanted)
        if not json and view == "ticks":
            rows = ({**row, **_short_digests(row)} for row in rows)
        count = print_rows(rows, json=json, right=_RIGHT)
    if count == 0 and not json:
        say("nothing matches")


def _short_digests(row: dict[str, object]) -> dict[str, object]:
    return {name: str(row[name])[:_DIGEST_CHARS] for name in ("digest", "exact")}


def _summary(reader: RunReader, *, json: bool) -> None:
    header = reader.header
    last = reader.last_tick
    fields: dict[str, object] = {
        "run": header.run,
        "name": reader.spec.name,
        "status": reader.status,
        "start_tick": header.start_tick,
        "ticks": 0 if last is None else last + 1 - header.start_tick,
        "parent": None if header.parent is None else f"{header.parent.run} before tick {header.parent.tick}",
        "seed": reader.spec.seed,
        "agents": len(reader.spec.agents),
        "kinds": [kind.id for kind in reader.spec.kinds],
        "inputs": [item.name for item in reader.spec.inputs],
        "outputs": list(reader.spec.outputs),
        "modules": list(reader.modules),
        "models": model_rows(reader),
        "digest": None if reader.end is None else reader.end.digest.hex(),
        "exact": None if reader.end is None else reader.end.exact.hex(),
        "format": header.format,
        "tickwork": header.tickwork,
        "abi": header.abi,
        "engine": header.engine,
        "engine_config": header.engine_config,
        "isa": header.isa,
        "os": header.os,
        "bytes": reader.path.stat().st_size,
    }
    if json:
        print_json(fields)
        return
    width = max(len(name) for name in fields)
    fields["models"] = [in_words(row) for row in model_rows(reader)]
    for name, value in fields.items():
        between = "; " if name == "models" else ", "
        shown = between.join(str(item) for item in value) or "none" if isinstance(value, list) else value
        print_line(f"{name:<{width}}  {'none' if shown is None else shown}")
