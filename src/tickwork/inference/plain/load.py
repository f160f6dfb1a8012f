"""Loads a plain model's folder into an engine, finding out first how it may be served."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import onnxruntime as ort  # type: ignore[import-untyped]

from tickwork.inference import providers, tensors
from tickwork.inference.contents import content_hash
from tickwork.inference.errors import ModelError
from tickwork.inference.invariance import Verdict
from tickwork.inference.plain.check import check_plain
from tickwork.inference.plain.engine import PlainEngine, Ports
from tickwork.inference.plain.folder import PlainFolder, read_plain_folder
from tickwork.inference.plain.pooling import RANK, Pooling
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
from tickwork.inference.tensors import Sized
from tickwork.inference.verdicts import GivenVerdict, Verdicts

_ROWS_MAX = 4096
_FINGERPRINT_CHARS = 16
_MASK_RANK = 2


class PlainSettings(msgspec.Struct, frozen=True):
    """How to load a plain model. `pooling` alone is part of what answers are; the rest is speed and memory.

    `pooling`: in place of what the model's folder says, which counts if this is empty.
    `rows`: how many rows may be joined, 1 to 4096.
    """

    variant: str = ""
    providers: tuple[str, ...] = (CPU,)
    session: SessionSettings = SessionSettings()
    pooling: tuple[Pooling, ...] = ()
    rows: int = 64


class PlainWeights(NamedTuple):
    """A plain model in memory, of which any number of engines can be made; they share its session."""

    hash: str
    verdict: Verdict
    opened: Opened
    ports: Ports
    bytes: int
    pooling: tuple[Pooling, ...]


class PlainLoaded(NamedTuple):
    """An engine, with what a run file says of its model; see `language.load.Loaded`."""

    engine: PlainEngine
    hash: str
    verdict: Verdict
    ports: Ports
    weights_bytes: int
    provider: str
    passed_over: tuple[PassedOver, ...]


def load_plain(
    path: Path, settings: PlainSettings | None = None, verdict: Verdict | None = None, name: str = ""
) -> PlainLoaded:
    """Return an engine for the model in the folder at `path`; raises ModelError.

    `verdict` and `name` are as in `language.load.load`.
    """
    settings = settings or PlainSettings()
    verdicts = None if verdict is None else GivenVerdict(verdict)
    return make_plain_engine(open_plain_weights(path, settings, verdicts), settings, name or path.name)


def open_plain_weights(
    path: Path, settings: PlainSettings, verdicts: Verdicts | None = None, expected: str = ""
) -> PlainWeights:
    """Return the model in the folder at `path`, checked; raises ModelError.

    `expected`, if given, is the hash that the folder must have; it is compared before anything is run.
    """
    folder = read_plain_folder(path, settings.variant)
    named = content_hash(path, folder.files)
    if expected not in {"", named}:
        raise ModelError(
            f"{path} holds the model {named[:12]} and not {expected[:12]}: its files have changed"
        )
    found = choose_provider(folder.graph_file, settings.providers, settings.session)
    verdict = None if verdicts is None else verdicts.verdict(named, providers.basis(found.provider))
    if verdict is None:
        verdict = check_plain_folder(folder, thread_count(settings.session), found.provider)
        if verdicts is not None:
            verdicts.keep_verdict(named, verdict)
    session = settings.session
    if verdict.serving.threads == "one":
        session = msgspec.structs.replace(session, threads=1)
    opened = open_session(folder.graph_file, (found.provider,), session)
    opened = opened._replace(passed_over=found.passed_over + opened.passed_over)
    size = sum(file.stat().st_size for file in folder.files)
    ports = _ports(opened.session)
    # Some graphs pool by themselves, and give the whole under another name.
    pooling = tuple(one for one in (folder.pooling,) if one is not None and one.output in ports.outputs)
    return PlainWeights(named, verdict, opened, ports, size, pooling)


def estimate(path: Path, settings: PlainSettings) -> Need:
    """Return what the model in the folder at `path` takes, without loading it; raises ModelError."""
    folder = read_plain_folder(path, settings.variant)
    return Need(sum(file.stat().st_size for file in folder.files), 0)


def make_plain_engine(weights: PlainWeights, settings: PlainSettings, name: str) -> PlainLoaded:
    """Return a new engine over a model that is in memory; raises ModelError."""
    if not 1 <= settings.rows <= _ROWS_MAX:
        raise ModelError(f"rows is {settings.rows}; it must be between 1 and {_ROWS_MAX}")
    poolings = settings.pooling or weights.pooling
    for pooling in poolings:
        _check_pooling(pooling, weights.ports)
    engine = PlainEngine(
        (name, f"fp_{weights.hash[:_FINGERPRINT_CHARS]}"),
        weights.opened.session,
        weights.ports,
        weights.verdict.serving,
        poolings,
        settings.rows,
    )
    _, provider, passed_over = weights.opened
    return PlainLoaded(
        engine, weights.hash, weights.verdict, weights.ports, weights.bytes, provider, passed_over
    )


def check_plain_folder(folder: PlainFolder, threads: int, provider: str = CPU) -> Verdict:
    """Run the load-time check on `provider`; raises ModelError if the model cannot be served at all."""

    def opened(count: int) -> ort.InferenceSession:
        return open_session(folder.graph_file, (provider,), SessionSettings(threads=count)).session

    ports = _ports(opened(1))
    return check_plain(folder.graph.operators, ports, opened, threads, providers.basis(provider))


def described(folder: PlainFolder, provider: str = CPU) -> tuple[tuple[Sized, ...], tuple[Sized, ...]]:
    """Return what the model takes and gives, for people; a pooled output has no places any more."""
    session = open_session(folder.graph_file, (provider,)).session
    outputs = [
        one._replace(shape=(one.shape[0], *one.shape[2:]))
        if folder.pooling is not None and one.name == folder.pooling.output and len(one.shape) == RANK
        else one
        for one in tensors.described(session.get_outputs())
    ]
    return tensors.described(session.get_inputs()), tuple(outputs)


def _ports(session: ort.InferenceSession) -> Ports:
    return Ports(tensors.inputs(session), tensors.outputs(session), tensors.symbols(session))


def _check_pooling(pooling: Pooling, ports: Ports) -> None:
    output = ports.outputs.get(pooling.output)
    if output is None or len(output.shape) != RANK or output.dtype.kind != "f":
        raise ModelError(
            f"{pooling.output} cannot be pooled: it is no output of floats with rows, places and sizes; "
            f"the model has {', '.join(ports.outputs)}"
        )
    mask = ports.inputs.get(pooling.mask)
    if pooling.mask and (mask is None or len(mask.shape) != _MASK_RANK):
        raise ModelError(f"{pooling.mask} is no mask: it is no input with rows and places")
