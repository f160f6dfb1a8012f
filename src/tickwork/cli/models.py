"""`tickwork models`: the models of this machine, and how each can be served."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tickwork.cli.console import print_json, print_line, print_rows, say
from tickwork.cli.options import JsonOption
from tickwork.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tickwork.inference.cache import ModelCache, Stored
    from tickwork.inference.examination import Examined
    from tickwork.inference.tensors import Sized

_EXIT_FAILED = 1
_NEEDED = ("onnxruntime", "tokenizers", "jinja2", "llguidance")
_HASH_CHARS = 12

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Keep models in the cache, and find out how they can be served.",
)

_Variant = Annotated[
    str, typer.Option("--variant", help="Which graph of a Hugging Face folder: q4 means model_q4.onnx.")
]
_Name = Annotated[str, typer.Option("--name", help="The name in the cache; the source's own if not given.")]


@app.command("list")
def list_(*, json: JsonOption = False) -> None:
    """List the models in the cache."""
    cache = _cache()
    models = [_row(cache, stored) for stored in cache.models()]
    if json:
        print_json({"models": models})
    elif not models:
        say("there are no models in the cache; add one with: tickwork models add FOLDER")
    else:
        rows = [
            {
                **row,
                "hash": str(row["hash"])[:_HASH_CHARS],
                "names": row["names"] or "-",
                "batching": row["batching"] or "not checked",
            }
            for row in models
        ]
        print_rows(rows, json=False, right=("bytes",))


@app.command()
def add(
    source: Annotated[str, typer.Argument(help="A folder, or a Hugging Face id such as ORGANISATION/MODEL.")],
    name: _Name = "",
    variant: _Variant = "",
    revision: Annotated[
        str, typer.Option("--revision", help="Which commit, tag or branch of a Hugging Face id.")
    ] = "",
    *,
    json: JsonOption = False,
) -> None:
    """Copy a model's files into the cache, under a name."""
    cache = _cache()
    from tickwork.inference.hub import download, is_hub_id  # noqa: PLC0415 - needs the extra

    if Path(source).exists():
        if revision:
            raise InputError("--revision is for Hugging Face ids, and this is a folder; remove it")
        name = name or Path(source).resolve().name
        stored = cache.add(Path(source), name, variant)
    elif is_hub_id(source):
        name = name or source.rpartition("/")[2]
        with tempfile.TemporaryDirectory(prefix="tickwork-download-") as place:
            download(source, Path(place), variant, revision)
            stored = cache.add(Path(place), name, variant)
    else:
        raise InputError(f"{source} is neither a folder nor a Hugging Face id such as ORGANISATION/MODEL")
    _tell_added(cache, stored, name, json=json)


@app.command()
def check(
    model: Annotated[
        str, typer.Argument(metavar="MODEL|FOLDER", help="A model's name or hash, or a folder.")
    ],
    variant: _Variant = "",
    threads: Annotated[
        int, typer.Option("--threads", min=0, max=256, help="How many to compare with one; 0 for all.")
    ] = 0,
    provider: Annotated[
        list[str] | None, typer.Option("--provider", help="Where to run it, in order of preference.")
    ] = None,
    *,
    json: JsonOption = False,
) -> None:
    """Run a model alone and in company, compare the bits, and say how it will be served."""
    cache = _cache()
    from tickwork.inference.errors import UnrepeatableError  # noqa: PLC0415 - needs the extra
    from tickwork.inference.examination import examine_folder  # noqa: PLC0415 - needs the extra

    if "/" in model or Path(model).is_dir():
        folder, stored = Path(model), None
    else:
        stored = cache.verify(model)
        if variant:
            raise InputError("a model in the cache has one graph; remove --variant")
        folder, variant = stored.folder, stored.record.variant
    try:
        found = examine_folder(folder, variant, threads, tuple(provider or ("cpu",)))
    except UnrepeatableError as error:
        say(f"error: {model} is never served: {error}")
        raise typer.Exit(_EXIT_FAILED) from None
    if stored is not None:
        cache.keep_verdict(found.hash, found.verdict)
    _tell_checked(model, found, json=json)


@app.command()
def rm(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names, or hashes for models with all their names.")
    ],
) -> None:
    """Remove names from the cache, and each model with its last name."""
    cache = _cache()
    for name in names:
        stored = cache.remove(name)
        whole = name == stored.hash or stored.names == (name,)
        left = ", ".join(other for other in stored.names if other != name)
        freed = f"{stored.record.bytes} bytes are free" if whole else f"the model stays as {left}"
        say(f"removed {name}; {freed}")


@app.command()
def build(
    source: Annotated[str, typer.Argument(help="A folder that transformers can load, or a Hugging Face id.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep the built folder there; it must not exist.")
    ] = None,
    name: _Name = "",
    precision: Annotated[str, typer.Option("--precision", help="int4, int8 or fp32.")] = "int4",
    *,
    json: JsonOption = False,
) -> None:
    """Make a model that can be served freely of a language model's weights, and add it to the cache."""
    cache = _cache()
    from tickwork.inference.builder import build as build_model  # noqa: PLC0415 - needs the extra
    from tickwork.inference.cache import check_name  # noqa: PLC0415 - needs the extra

    if out is not None and out.exists():
        raise InputError(f"{out} exists; give another --out")
    name = check_name(name or f"{Path(source).name}-{precision}")
    with tempfile.TemporaryDirectory(prefix="tickwork-build-") as scratch:
        target = out or Path(scratch) / "model"
        build_model(source, target, precision)
        stored = cache.add(target, name)
    _tell_added(cache, stored, name, json=json)


def _cache() -> "ModelCache":
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"models need {', '.join(missing)}; install it with: pip install 'tickwork[inference]'"
        )
    from tickwork.runtime.model_cache import model_cache  # noqa: PLC0415 - needs the extra

    return model_cache()


def _row(cache: "ModelCache", stored: "Stored") -> dict[str, object]:
    from tickwork.inference.providers import CPU, basis  # noqa: PLC0415 - needs the extra

    verdict = cache.verdict(stored.hash, basis(CPU))
    return {
        "names": list(stored.names),
        "kind": stored.record.kind,
        "variant": stored.record.variant,
        "bytes": stored.record.bytes,
        "batching": None if verdict is None else verdict.serving.batching,
        "hash": stored.hash,
    }


def _tell_added(cache: "ModelCache", stored: "Stored", name: str, *, json: bool) -> None:
    if json:
        print_json({**_row(cache, stored), "folder": str(stored.folder)})
        return
    names = ", ".join(stored.names)
    print_line(f"{stored.hash}  {names}  {stored.record.kind}, {stored.record.bytes} bytes")
    say(f'next: tickwork models check {name}, and in a manifest: [models.NAME] with cached = "{name}"')


def _tell_checked(model: str, found: "Examined", *, json: bool) -> None:
    from tickwork.inference.examination import in_words  # noqa: PLC0415 - needs the extra

    verdict, words = found.verdict, in_words(found.verdict.serving, found.kind)
    if json:
        print_json(
            {
                "model": model,
                "hash": found.hash,
                "kind": found.kind,
                "serving": {
                    "batching": verdict.serving.batching,
                    "chunking": verdict.serving.chunking,
                    "threads": verdict.serving.threads,
                },
                "words": words,
                "findings": [
                    {"rule": one.rule, "held": one.held, "detail": one.detail} for one in verdict.findings
                ],
                "basis": verdict.basis,
                "passed_over": [one._asdict() for one in found.passed_over],
                "inputs": [one._asdict() for one in found.inputs],
                "outputs": [one._asdict() for one in found.outputs],
                "context_tokens": found.context_tokens,
                "chat_template": found.chat_template,
            }
        )
        return
    for passed in found.passed_over:
        say(f"{passed.provider} is passed over: {passed.reason}")
    for finding in verdict.findings:
        print_line(f"{'held' if finding.held else 'broken':<7} {finding.rule:<16} {finding.detail}")
    print_line(f"served  {words}")
    if found.kind == "plain":
        print_line(f"takes   {_tensors(found.inputs)}")
        print_line(f"gives   {_tensors(found.outputs)}")
    elif found.chat_template:
        print_line(f"takes   conversations of at most {found.context_tokens} tokens, the answer included")
    else:
        print_line("takes   nothing: it has no chat template; add chat_template.jinja to its folder")
    basis = verdict.basis
    print_line(f"on      {basis.provider}, onnxruntime {basis.onnxruntime}, {basis.isa}")


def _tensors(found: "Sequence[Sized]") -> str:
    """Return inputs or outputs as `name dtype [sizes]`."""
    return ", ".join(f"{one.name} {one.dtype} [{', '.join(map(str, one.shape))}]" for one in found)
