"""Options that mean the same to every command that has them."""

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]

AllowFailuresOption = Annotated[
    bool, typer.Option("--allow-failures", help="Exit with 0 although agents failed.")
]

UntilOption = Annotated[
    str | None,
    typer.Option("--until", help="`idle`: end when nothing more can happen; `ticks`: only at --ticks."),
]

ReadOnOption = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=PATH", help="Read an input on from PATH, or from `-`."),
]

OutputOption = Annotated[
    list[str] | None,
    typer.Option("--output", metavar="NAME=PATH", help="Write an output to PATH, or to `-`."),
]
