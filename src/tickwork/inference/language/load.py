"""Loads a model's folder into an engine, finding out first how it may be served."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from tickwork.inference import invariance, providers
from tickwork.inference.contents import content_hash
from tickwork.inference.errors import ModelError, RequestError, one_line
from tickwork.inference.invariance import Verdict
from tickwork.inference.language.engine import ROWS_BESIDE_SLOTS, Engine, EngineSettings, Names
from tickwork.inference.language.folder import ModelFolder, folder_files, read_folder
from tickwork.inference.language.rows import GrowingRows, Rows, SharedRows
from tickwork.inference.language.template import ChatTemplate
from tickwork.inference.language.tokens import Tokenizer
from tickwork.inference.onnx_graph import Graph, read_graph
from tickwork.inference.providers import SessionSettings, thread_count

_SLOTS_MAX = 256
_CHECK_CONTEXT = 256
_FINGERPRINT_CHARS = 16


class LoadSettings(msgspec.Struct, frozen=True):
    """How to load a model. `context_tokens` bounds the model's own context, and so a slot's memory."""

    variant: str = ""
    context_tokens: int = 4096
    session: SessionSettings = SessionSettings()
    engine: EngineSettings = EngineSettings()


class Loaded(NamedTuple):
    """An engine, with what a run file says of its model.

    `weights_bytes` and `rows_bytes` are what the model takes at most: its graph and weights, and the keys and
    values of all slots.
    """

    engine: Engine
    hash: str
    verdict: Verdict
    context_tokens: int
    weights_bytes: int
    rows_bytes: int


def load(
    path: Path, settings: LoadSettings | None = None, verdict: Verdict | None = None, name: str = ""
) -> Loaded:
    """Return an engine for the model in the folder at `path`; raises ModelError.

    `verdict`, if given, is believed: the check is skipped. It must come from this model (by its hash) on an
    equal `basis`. `name` is what completions call the model; the folder's name if empty.
    """
    settings = settings or LoadSettings()
    _check(settings)
    folder = read_folder(path, settings.variant)
    graph = read_graph(folder.graph)
    tokenizer = Tokenizer(folder.tokenizer)
    template = None if folder.chat_template is None else ChatTemplate(folder.chat_template, folder.special)
    named = content_hash(folder.path, folder_files(folder, graph.external_files))
    if verdict is None:
        verdict = check(folder, graph, thread_count(settings.session))
    session = settings.session
    if verdict.serving.threads == "one":
        session = msgspec.structs.replace(session, threads=1)
    context = min(folder.context_tokens, settings.context_tokens)
    rows = _rows(folder, graph, session, settings.engine.slots + ROWS_BESIDE_SLOTS, context)
    engine = Engine(
        Names(name or path.name, f"fp_{named[:_FINGERPRINT_CHARS]}"),
        rows,
        tokenizer,
        template,
        _end_ids(folder, tokenizer, rows.vocabulary),
        verdict.serving,
        settings.engine,
    )
    return Loaded(engine, named, verdict, context, _size(folder, graph), rows.bytes)


def check(folder: ModelFolder, graph: Graph, threads: int) -> Verdict:
    """Run the load-time check on the CPU; raises ModelError if the model cannot be served at all."""
    context = min(folder.context_tokens, _CHECK_CONTEXT)

    def opened(count: int) -> Rows:
        return _rows(folder, graph, SessionSettings(threads=count), invariance.ROWS_NEEDED, context)

    try:
        return invariance.examine(graph, opened, threads, providers.basis(providers.CPU))
    except (ModelError, RequestError):
        raise
    except Exception as error:
        raise ModelError(f"{folder.graph.name} cannot be run: {one_line(error)}") from error


def _rows(folder: ModelFolder, graph: Graph, settings: SessionSettings, count: int, context: int) -> Rows:
    session = providers.open_session(folder.graph, (providers.CPU,), settings).session
    kind = SharedRows if invariance.appends_in_place(graph) else GrowingRows
    return kind(session, folder, count, context)


def _check(settings: LoadSettings) -> None:
    for key, value, low, high in (
        ("context_tokens", settings.context_tokens, 16, 1 << 24),
        ("slots", settings.engine.slots, 1, _SLOTS_MAX),
        ("chunk", settings.engine.chunk, 2, 1 << 16),
        ("prefix_bytes", settings.engine.prefix_bytes, 0, 1 << 50),
        ("tokens_default", settings.engine.tokens_default, 1, 1 << 24),
    ):
        if not low <= value <= high:
            raise ModelError(f"{key} is {value}; it must be between {low} and {high}")


def _end_ids(folder: ModelFolder, tokenizer: Tokenizer, vocabulary: int) -> frozenset[int]:
    """Return the tokens that end an answer: those of the configuration, and the tokenizer's own.

    A chat model's configuration often names only the end of a document, and its tokenizer the end of a turn.
    """
    for end in folder.end_ids:
        if end >= vocabulary:
            raise ModelError(f"{folder.path}: the end token {end} is none of the model's {vocabulary}")
    own = tokenizer.id_of(folder.special.get("eos_token", ""))
    return frozenset(folder.end_ids if own is None else (*folder.end_ids, own))


def _size(folder: ModelFolder, graph: Graph) -> int:
    files = [folder.graph, *(folder.graph.parent / name for name in sorted(graph.external_files))]
    return sum(file.stat().st_size for file in files)
