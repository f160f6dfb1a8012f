"""`tickwork new`: a small project that works."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import print_line
from tickwork.manifest.template import scaffold


def new(
    folder: Annotated[Path, typer.Argument(help="The folder to make; its name becomes the project's.")],
) -> None:
    """Make a small working project."""
    for path in scaffold(folder):
        print_line(f"made {path}")
    print_line(f"\nnext: cd {shlex.quote(str(folder))} && tickwork run .")
