"""Runs the load-time check on a folder by itself, and says in words how its model is served."""

from pathlib import Path
from typing import NamedTuple

from tickwork.inference.contents import content_hash
from tickwork.inference.describe import Kind, describe
from tickwork.inference.errors import ModelError
from tickwork.inference.invariance import Serving, Verdict
from tickwork.inference.language.folder import read_folder
from tickwork.inference.language.load import check
from tickwork.inference.onnx_graph import read_graph
from tickwork.inference.plain.folder import read_plain_folder
from tickwork.inference.plain.load import check_plain_folder, described
from tickwork.inference.providers import PassedOver, SessionSettings, choose_provider, thread_count
from tickwork.inference.sources import ModelSource
from tickwork.inference.tensors import Sized

_BATCHING = {
    "free": "any number of requests together",
    "pad": "requests together, padded to at least two rows",
    "even": "requests together, padded to an even number of rows",
    "alone": "one request at a time",
}
_CHUNKING = {
    "free": "prompts in chunks of any length",
    "even": "prompts in chunks of even length",
    "pinned": "prompts in chunks of one fixed length",
}


class Examined(NamedTuple):
    """What the check found on a provider, which others were preferred to it, and what the model takes.

    `inputs` and `outputs` are those of a plain model. A language model takes conversations of at most
    `context_tokens`, its answer included, and none without a chat template.
    """

    hash: str
    kind: Kind
    verdict: Verdict
    passed_over: tuple[PassedOver, ...]
    inputs: tuple[Sized, ...] = ()
    outputs: tuple[Sized, ...] = ()
    context_tokens: int | None = None
    chat_template: bool = False


def examine_folder(
    folder: Path, variant: str = "", threads: int = 0, preferences: tuple[str, ...] = ("cpu",)
) -> Examined:
    """Check the model in `folder` with one thread and with `threads` (0: all of this process's).

    Raises UnrepeatableError for a model that is never served, ModelError if it cannot be run.
    """
    found = describe(folder, variant)
    hashed = content_hash(folder, found.files)
    settings = SessionSettings(threads=threads)
    count = thread_count(settings)
    if found.kind == "language":
        read = read_folder(folder, variant)
        graph = read_graph(read.graph)
        chosen = choose_provider(read.graph, preferences, settings)
        return Examined(
            hashed,
            found.kind,
            check(read, graph, count, chosen.provider),
            chosen.passed_over,
            context_tokens=read.context_tokens,
            chat_template=read.chat_template is not None,
        )
    plain = read_plain_folder(folder, variant)
    chosen = choose_provider(plain.graph_file, preferences, settings)
    verdict = check_plain_folder(plain, count, chosen.provider)
    inputs, outputs = described(plain, chosen.provider)
    return Examined(hashed, found.kind, verdict, chosen.passed_over, inputs, outputs)


def examine_source(source: ModelSource, provider: str) -> Verdict:
    """Check a model on one provider; raises ModelError, also if its files are not those of its hash."""
    found = examine_folder(source.folder, source.variant, preferences=(provider,))
    if found.hash != source.hash:
        raise ModelError(
            f"{source.folder} holds the model {found.hash[:12]} and not {source.hash[:12]}: its files have "
            "changed"
        )
    return found.verdict


def in_words(serving: Serving, kind: Kind) -> str:
    """Return how a model is served, as a phrase."""
    parts = [_BATCHING[serving.batching]]
    if kind == "language":
        parts.append(_CHUNKING[serving.chunking])
    parts.append("on any number of threads" if serving.threads == "free" else "on one thread")
    return ", ".join(parts)
