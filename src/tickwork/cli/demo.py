"""`tickwork demo`: run the examples, show what came of them, and replay the runs."""

import runpy
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

import tickwork
from tickwork.cli import recording as shared
from tickwork.cli import replay as replay_command
from tickwork.cli.console import print_line, say
from tickwork.cli.interrupt import interruptible
from tickwork.cli.progress import progress
from tickwork.core.errors import HostError, InputError
from tickwork.runtime.assemble import load_project
from tickwork.runtime.programs import compile_project
from tickwork.runtime.record import STATUS_INTERRUPTED, Run
from tickwork.runtime.replay import replay

_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
_FOLDER = Path("tickwork-demo")
# Without these there are no language models, and so no market.
_INFERENCE = ("onnxruntime", "tokenizers", "jinja2", "llguidance")


def demo(
    input_: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="PATH",
            help="Triage the tickets of another JSONL file, or of `-`; no market then.",
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--out", help="The folder for the run files and their outputs.")
    ] = _FOLDER,
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what an earlier demo left.")] = False,
) -> None:
    """Triage incidents with 29 agents, haggle with 34 through a language model, and replay both runs."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}") from None
    say("preparing the agents (the first time takes about half a minute)")
    fine = _play("triage", "report", folder, force=force, input_=input_)
    if input_ is None:
        missing = [name for name in _INFERENCE if find_spec(name) is None]
        if missing:
            say(f"no market: it needs {', '.join(missing)}; pip install 'tickwork[inference]'")
        else:
            print_line("")
            fine = _play("market", "deals", folder, force=force) and fine
    if not fine:
        raise typer.Exit(_EXIT_FAILED)


def _play(example: str, output: str, folder: Path, *, force: bool, input_: str | None = None) -> bool:
    """Run an example, show one of its outputs, and replay it; return whether all went well."""
    source = Path(tickwork.__file__).parent / "examples" / example
    project = load_project(source, say)
    outputs = {name: str(folder / f"{name}.jsonl") for name in project.spec.outputs}
    project = replace(project, outputs=outputs)
    if input_ is not None:
        project = project.with_paths(inputs={"tickets": input_}, outputs={})
    file = folder / f"{example}.tick"
    programs = compile_project(project)
    report = shared.BadLines()
    with (
        interruptible() as stop,
        closing(report),
        Run(project, file, force=force, report=report, programs=programs) as recording,
    ):
        status = shared.record_to_end(recording, stop, quiet=False)
    _show_records(source, Path(outputs[output]))
    shared.show(recording, err=False)
    if status == STATUS_INTERRUPTED:
        raise typer.Exit(_EXIT_INTERRUPTED)
    print_line("")
    with progress("replaying", recording.tally.ticks, quiet=False) as advance:
        result = replay(file, progress=lambda tick: advance(tick + 1))
    replay_command.show(result)
    return result.identical and not recording.tally.failed


def _show_records(source: Path, path: Path) -> None:
    """Print an output's records by the example's own script."""
    render: Any = runpy.run_path(str(source / "report.py"))["render"]
    try:
        records = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    except OSError as error:
        raise HostError(f"the output {path} cannot be read: {error.strerror}") from None
    print_line(render(records))
