"""The option `--workers` of the commands that run agents."""

from typing import Annotated

import typer

from tickwork.pool.choose import Workers
from tickwork.pool.native import WORKERS_MAX

AUTO = "auto"

WorkersOption = Annotated[
    str,
    typer.Option(
        "--workers",
        metavar="N|auto",
        help="Threads that run agents: `auto` for one per processor, 0 for none. No result depends on it.",
    ),
]


def workers_of(text: str) -> Workers:
    """Return the option's value; a usage error if it is neither `auto` nor a number of threads."""
    if text == AUTO:
        return "auto"
    if not text.isascii() or not text.isdigit() or int(text) > WORKERS_MAX:
        raise typer.BadParameter(f"give `auto` or a number from 0 to {WORKERS_MAX}", param_hint="--workers")
    return int(text)
