"""Loads a model's folder into an engine, finding out first how it may be served."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import onnxruntime as ort  # type: ignore[import-untyped]

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
from tickwork.inference.providers import (
    CPU,
    Need,
    Opened,
    PassedOver,
    SessionSettings,
    choose_provider,
    open_session,
    thread_count,
)
from tickwork.inference.verdicts import GivenVerdict, Verdicts

_SLOTS_MAX = 256
_CHECK_CONTEXT = 256
_FINGERPRINT_CHARS = 16
# Of a key or value; models hold them in 2 or 4 bytes.
_NUMBER_BYTES_MAX = 4


class LoadSettings(msgspec.Struct, frozen=True):
    """How to load a model. `context_tokens` bounds the model's own context, and so a slot's memory.

    `providers` are tried in order; the CPU is the last resort also where it is not named.
    """

    variant: str = ""
    providers: tuple[str, ...] = (CPU,)
    context_tokens: int = 4096
    session: SessionSettings = SessionSettings()
    engine: EngineSettings = EngineSettings()


class Weights(NamedTuple):
    """A model in memory, of which any number of engines can be made; they share its session.

    `bytes` is the size of its graph and weights.
    """

    folder: ModelFolder
    hash: str
    verdict: Verdict
    opened: Opened
    in_place: bool
    tokenizer: Tokenizer
    template: ChatTemplate | None
    bytes: int


class Loaded(NamedTuple):
    """An engine, with what a run file says of its model.

    `weights_bytes` and `rows_bytes` are what the model takes at most: its graph and weights, and the keys and
    values of all slots. `passed_over` are the providers that were preferred to `provider`, each with why.
    """

    engine: Engine
    hash: str
    verdict: Verdict
    context_tokens: int
    weights_bytes: int
    rows_bytes: int
    provider: str = CPU
    passed_over: tuple[PassedOver, ...] = ()


def load(
    path: Path, settings: LoadSettings | None = None, verdict: Verdict | None = None, name: str = ""
) -> Loaded:
    """Return an engine for the model in the folder at `path`; raises ModelError.

    `verdict`, if given and on an equal `basis`, is believed: the check is skipped. It must come from this
    model (by its hash). `name` is what completions call the model; the folder's name if empty.
    """
    settings = settings or LoadSettings()
    verdicts = None if verdict is None else GivenVerdict(verdict)
    return make_engine(open_weights(path, settings, verdicts), settings, name or path.name)


def open_weights(
    path: Path, settings: LoadSettings, verdicts: Verdicts | None = None, expected: str = ""
) -> Weights:
    """Return the model in the folder at `path`, checked; raises ModelError.

    `expected`, if given, is the hash that the folder must have; it is compared before anything is run.
    """
    _check(settings)
    folder = read_folder(path, settings.variant)
    graph = read_graph(folder.graph)
    files = folder_files(folder, graph.external_files)
    named = content_hash(folder.path, files)
    if expected not in {"", named}:
        raise ModelError(
            f"{path} holds the model {named[:12]} and not {expected[:12]}: its files have changed"
        )
    tokenizer = Tokenizer(folder.tokenizer)
    template = None if folder.chat_template is None else ChatTemplate(folder.chat_template, folder.special)
    found = choose_provider(folder.graph, settings.providers, settings.session)
    verdict = None if verdicts is None else verdicts.verdict(named, providers.basis(found.provider))
    if verdict is None:
        verdict = check(folder, graph, thread_count(settings.session), found.provider)
        if verdicts is not None:
            verdicts.keep_verdict(named, verdict)
    session = settings.session
    if verdict.serving.threads == "one":
        session = msgspec.structs.replace(session, threads=1)
    opened = open_session(folder.graph, (found.provider,), session)
    opened = opened._replace(passed_over=found.passed_over + opened.passed_over)
    in_place = invariance.appends_in_place(graph)
    size = _weight_bytes(folder, graph)
    return Weights(folder, named, verdict, opened, in_place, tokenizer, template, size)


def make_engine(weights: Weights, settings: LoadSettings, name: str) -> Loaded:
    """Return a new engine over a model that is in memory; raises ModelError."""
    _check(settings)
    context = min(weights.folder.context_tokens, settings.context_tokens)
    count = settings.engine.slots + ROWS_BESIDE_SLOTS
    rows = _rows(weights.opened.session, weights.folder, (count, context), in_place=weights.in_place)
    engine = Engine(
        Names(name, f"fp_{weights.hash[:_FINGERPRINT_CHARS]}"),
        rows,
        weights.tokenizer,
        weights.template,
        _end_ids(weights.folder, weights.tokenizer, rows.vocabulary),
        weights.verdict.serving,
        settings.engine,
    )
    return Loaded(
        engine,
        weights.hash,
        weights.verdict,
        context,
        weights.bytes,
        rows.bytes,
        weights.opened.provider,
        weights.opened.passed_over,
    )


def estimate(path: Path, settings: LoadSettings) -> Need:
    """Return what the model in the folder at `path` takes, without loading it; raises ModelError."""
    _check(settings)
    folder = read_folder(path, settings.variant)
    graph = read_graph(folder.graph)
    in_place = invariance.appends_in_place(graph)
    context = min(folder.context_tokens, settings.context_tokens)
    rows = settings.engine.slots + ROWS_BESIDE_SLOTS
    per_token = len(folder.past_names) * folder.kv_heads * folder.head_size * _NUMBER_BYTES_MAX
    return Need(
        _weight_bytes(folder, graph), rows * context * per_token + settings.engine.prefix_bytes * in_place
    )


def check(folder: ModelFolder, graph: Graph, threads: int, provider: str = CPU) -> Verdict:
    """Run the load-time check on `provider`; raises ModelError if the model cannot be served at all."""
    context = min(folder.context_tokens, _CHECK_CONTEXT)
    in_place = invariance.appends_in_place(graph)

    def opened(count: int) -> Rows:
        session = open_session(folder.graph, (provider,), SessionSettings(threads=count)).session
        return _rows(session, folder, (invariance.ROWS_NEEDED, context), in_place=in_place)

    try:
        return invariance.examine(graph, opened, threads, providers.basis(provider))
    except (ModelError, RequestError):
        raise
    except Exception as error:
        raise ModelError(f"{folder.graph.name} cannot be run: {one_line(error)}") from error


def _rows(
    session: ort.InferenceSession, folder: ModelFolder, size: tuple[int, int], *, in_place: bool
) -> Rows:
    """Return rows of a session; `size` is how many, and of how many tokens."""
    kind = SharedRows if in_place else GrowingRows
    return kind(session, folder, *size)


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


def _weight_bytes(folder: ModelFolder, graph: Graph) -> int:
    names = sorted(graph.external_files)
    return sum(
        file.stat().st_size for file in (folder.graph, *(folder.graph.parent / name for name in names))
    )
