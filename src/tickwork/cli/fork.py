"""`tickwork fork`: a new run that goes on from a moment of another, with edits."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer

from tickwork.cli.chosen_faults import chosen_faults
from tickwork.cli.console import print_json, print_line, printable, say, shortened
from tickwork.cli.options import AllowFailuresOption, JsonOption, OutputOption, ReadOnOption, UntilOption
from tickwork.cli.progress import progress
from tickwork.cli.recording import Going, check_stdout, exit_code, leave, named_paths, result, show
from tickwork.core.edits import NO_EDITS, Edits, encode_edits
from tickwork.core.errors import InputError, TickworkError
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.spec import RunSpec
from tickwork.journal.reader import RunReader
from tickwork.runtime.diff import diff
from tickwork.runtime.diff_result import Diff
from tickwork.runtime.fork import fork as make_fork
from tickwork.runtime.fork import read_edits
from tickwork.runtime.places import STREAM
from tickwork.runtime.spec_diff import edit_words

_AGENTS_SHOWN = 5
_EDIT_CHARS = 200


def fork(
    file: Annotated[Path, typer.Argument(help="The run file to fork.")],
    at: Annotated[int, typer.Option("--at", min=0, help="Go on from before this tick.")],
    out: Annotated[Path, typer.Option("--out", help="The fork's run file.")],
    edit: Annotated[
        Path | None, typer.Option("--edit", help="A file of edits: what is to be different.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**64 - 1, help="Another seed from there on.")
    ] = None,
    *,
    ticks: Annotated[int | None, typer.Option("--ticks", min=1, help="Take this many ticks.")] = None,
    until: UntilOption = None,
    input_: ReadOnOption = None,
    output: OutputOption = None,
    faults: Annotated[
        Path | None,
        typer.Option("--faults", help="From there on, break what this file of faults says and nothing else."),
    ] = None,
    no_faults: Annotated[
        bool, typer.Option("--no-faults", help="Break nothing on purpose from there on.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the fork's file and outputs.")] = False,
    no_run: Annotated[
        bool, typer.Option("--no-run", help="Only make the file; `tickwork resume` runs it.")
    ] = False,
    allow_failures: AllowFailuresOption = False,
    json: JsonOption = False,
) -> None:
    """Make a run that goes on from a moment of another, with edits, and run it to its end."""
    if no_run and (ticks is not None or until is not None or input_ or output or allow_failures):
        raise InputError(
            "--no-run only makes the file: give --ticks, --until, --input, --output and "
            "--allow-failures to `tickwork resume`"
        )
    outputs = named_paths("--output", output)
    check_stdout(outputs, json=json)
    going = Going(ticks, until, named_paths("--input", input_), outputs, json=json, force=force)
    change = _Change(edit, seed, chosen_faults(faults, no_faults=no_faults))
    parent = _make(file, out, at, change, force=force, quiet=json)
    if no_run:
        _show_made(out, parent, json=json)
        return
    try:
        recording, _ = going.to_end(out)
    except TickworkError:
        _drop_unbegun(out)
        raise
    found = _compared(file, out, quiet=json)
    if json:
        print_json({**result(recording), "parent": parent, "diverges": _divergence(found)})
    else:
        err = STREAM in outputs.values()
        _say_parent(parent, err=err)
        show(recording, err=err)
        (say if err else print_line)(f"  {_divergence_words(found)}")
    leave(exit_code(recording, allow_failures=allow_failures))


def _show_made(out: Path, parent: dict[str, object], *, json: bool) -> None:
    """Print what there is to say of a fork that is not run."""
    if json:
        print_json({"file": printable(str(out)), "parent": parent})
    else:
        _say_parent(parent, err=False)
        print_line(f"made {out}; next: tickwork resume {out}")


class _Change(NamedTuple):
    """What the fork changes: what a file of edits says, and over that another seed and other faults."""

    edit: Path | None
    seed: int | None
    faults: Callable[[RunSpec], FaultPlan] | None

    def read(self, spec: RunSpec) -> tuple[Edits, dict[str, bytes]]:
        """Return the edits, and the modules that they bring by hash."""
        edits, modules = (NO_EDITS, {}) if self.edit is None else read_edits(self.edit, spec, say)
        if self.seed is not None:
            edits = msgspec.structs.replace(edits, seed=self.seed)
        if self.faults is not None:
            edits = msgspec.structs.replace(edits, faults=self.faults(spec))
        return edits, modules


def _make(file: Path, out: Path, at: int, change: _Change, *, force: bool, quiet: bool) -> dict[str, object]:
    """Make the fork's file; return what is told of its parent."""
    with RunReader.open(file) as reader:
        run = reader.header.run
        edits, modules = change.read(reader.spec)
    with progress("catching up", None, quiet=quiet) as advance:
        make_fork(file, out, at, edits=edits, modules=modules, force=force, progress=advance)
    return {
        "file": printable(str(file)),
        "run": run,
        "tick": at,
        "edits": list(edit_words(encode_edits(edits))),
    }


def _drop_unbegun(out: Path) -> None:
    """Remove a fork that has no ticks: it could not begin, and the next attempt needs its name."""
    with RunReader.open(out) as reader:
        if reader.last_tick is not None or reader.end is not None:
            return
    out.unlink()


def _compared(file: Path, out: Path, *, quiet: bool) -> Diff:
    with progress("comparing", None, quiet=quiet) as advance:
        return diff(file, out, progress=lambda tick: advance(tick + 1))


def _divergence(found: Diff) -> dict[str, object] | None:
    if found.first is None:
        return None
    return {"tick": found.first.tick, "agents": [turn.agent for turn in found.first.turns]}


def _divergence_words(found: Diff) -> str:
    if found.first is None:
        return f"no difference from its parent in {found.common} common ticks"
    agents = [turn.agent for turn in found.first.turns]
    names = ", ".join([*agents[:_AGENTS_SHOWN], *(["..."] if len(agents) > _AGENTS_SHOWN else [])])
    who = f": {names}" if names else ""
    return f"differs from its parent from tick {found.first.tick} on{who}"


def _say_parent(parent: dict[str, object], *, err: bool) -> None:
    tell = say if err else print_line
    tell(f"fork of {parent['file']} before tick {parent['tick']}")
    edits = parent["edits"]
    assert isinstance(edits, list)
    for words in edits:
        tell(f"  edit   {shortened(words, _EDIT_CHARS)}")
