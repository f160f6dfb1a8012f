"""`tickwork bench`: how fast tickwork is on this machine."""

from typing import Annotated

import typer

from tickwork.bench.measurements import BENCHMARKS, Row, machine
from tickwork.cli.console import print_json, print_line
from tickwork.core.errors import InputError

_AGENTS_MAX = 30_000


def bench(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help=f"Which one: {', '.join(BENCHMARKS)}. All of them by default."),
    ] = None,
    *,
    agents: Annotated[
        int | None,
        typer.Option("--agents", min=1, max=_AGENTS_MAX, help="How many agents, instead of its own number."),
    ] = None,
    ticks: Annotated[
        int | None, typer.Option("--ticks", min=1, help="How many ticks, instead of its own number.")
    ] = None,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, help="How many times; the median is printed.")
    ] = 3,
    json: Annotated[bool, typer.Option("--json", help="Print the machine and the figures as JSON.")] = False,
) -> None:
    """Measure how fast tickwork is on this machine."""
    if name is not None and name not in BENCHMARKS:
        raise InputError(f"there is no benchmark {name!r}; there are: {', '.join(BENCHMARKS)}")
    rows: list[Row] = []
    for known, benchmark in BENCHMARKS.items():
        if name in {None, known}:
            for row in benchmark.run(agents or benchmark.agents, ticks or benchmark.ticks, repeat):
                rows.append(row)
                if not json:
                    print_line(f"{row.benchmark:<8} {row.case:<58} {row.value:>12,.1f} {row.unit}")
    if json:
        print_json({"machine": machine(), "rows": [row._asdict() for row in rows]})
