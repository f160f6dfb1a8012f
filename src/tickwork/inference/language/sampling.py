"""Chooses the next token from a row of logits.

A choice is a function of (logits, settings, seed, position, tokens so far): the randomness is
counter-based, so neither other requests nor earlier draws can shift it. Ties go to the lowest token id.
Steps, in order, as in transformers: penalties, the format's mask, temperature, top-k, top-p, min-p, draw.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from tickwork.inference.language.request import ChatRequest

Logits = NDArray[np.float32]
Weights = NDArray[np.float64]
Ids = NDArray[np.int64]

_SEED_MASK = 2**64 - 1
_TWO_53 = float(2**53)
# How many of the likeliest tokens top-p looks at first; four times as many each time that they fall short.
_NUCLEUS_FIRST = 64


class Logprobs(NamedTuple):
    """The chosen token's log-probability, and the likeliest tokens with theirs."""

    chosen: float
    top: tuple[tuple[int, float], ...]


class Sampler:
    """One request's way of choosing."""

    def __init__(self, request: ChatRequest, seed: int, prompt: Sequence[int], vocabulary: int) -> None:
        """`seed` counts where the request has none; `vocabulary` is the length of the rows to come."""
        self._request = request
        self._seed = (seed if request.seed is None else request.seed) & _SEED_MASK
        self._drawn = 0
        self._repetition = request.repetition_penalty != 1.0
        self._presence = request.presence_penalty != 0.0 or request.frequency_penalty != 0.0
        self._seen = np.zeros(vocabulary if self._repetition else 0, np.bool_)
        self._counts = np.zeros(vocabulary if self._presence else 0, np.int64)
        if self._repetition:
            self._seen[[token for token in prompt if token < vocabulary]] = True

    def choose(self, logits: Logits, allowed: NDArray[np.bool_] | None) -> int:
        """Return the next token; `allowed`, if given, has at least one True, at a finite logit."""
        greedy = self._request.temperature == 0.0
        if greedy and allowed is None and not (self._repetition or self._presence):
            token = int(logits.argmax())
        else:
            scores = logits.astype(np.float64)
            self._penalise(scores)
            if allowed is not None:
                scores[~allowed] = -np.inf
            token = int(scores.argmax()) if greedy else self._draw(scores)
        self._drawn += 1
        if self._repetition:
            self._seen[token] = True
        if self._presence:
            self._counts[token] += 1
        return token

    def _penalise(self, scores: Weights) -> None:
        if self._repetition:
            seen = scores[self._seen]
            penalty = self._request.repetition_penalty
            scores[self._seen] = np.where(seen < 0, seen * penalty, seen / penalty)
        if self._presence:
            scores -= self._request.frequency_penalty * self._counts
            scores -= self._request.presence_penalty * (self._counts > 0)

    def _draw(self, scores: Weights) -> int:
        request = self._request
        ids: Ids | None = None
        if 0 < request.top_k < len(scores):
            ids = likeliest(scores, request.top_k)
            scores = scores[ids]
        with np.errstate(over="ignore"):  # next to no temperature leaves the likeliest token alone
            weights = np.exp((scores - scores.max()) / request.temperature)
        if request.top_p < 1.0:
            kept = _nucleus(weights, request.top_p)
            ids = kept if ids is None else ids[kept]
            weights = weights[kept]
        if request.min_p > 0.0:
            likely = np.flatnonzero(weights >= request.min_p * weights.max())
            ids = likely if ids is None else ids[likely]
            weights = weights[likely]
        cumulative = np.cumsum(weights)
        at = int(np.searchsorted(cumulative, uniform(self._seed, self._drawn) * cumulative[-1], side="right"))
        # Rounding may put the draw at the very end, behind the last token that has any weight.
        at = min(at, int(np.flatnonzero(weights)[-1]))
        return at if ids is None else int(ids[at])


def uniform(seed: int, position: int) -> float:
    """Return a number in [0, 1) with 53 bits that depends on nothing but its arguments."""
    drawn = blake3(struct.pack("<QQ", seed, position), derive_key_context="tickwork 1 sampling").digest(
        length=8
    )
    return float(int.from_bytes(drawn, "little") >> 11) / _TWO_53


def likeliest(scores: Weights, count: int) -> Ids:
    """Return the indexes of the `count` highest scores, highest first, ties by index."""
    count = min(count, len(scores))
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    found = np.flatnonzero(scores >= least)
    return found[np.argsort(-scores[found], kind="stable")][:count]


def logprobs(logits: Logits, token: int, top: int) -> Logprobs:
    """Return log-softmax of the model's own logits at `token` and at the `top` likeliest tokens."""
    scores = logits.astype(np.float64)
    scores -= scores.max()
    scores -= np.log(np.exp(scores).sum())
    ids = likeliest(scores, top) if top else ()
    return Logprobs(float(scores[token]), tuple((int(i), float(scores[i])) for i in ids))


def _nucleus(weights: Weights, share: float) -> Ids:
    """Return the indexes of the likeliest tokens that together reach `share`, the last one included."""
    enough = share * float(np.cumsum(weights)[-1])
    count = _NUCLEUS_FIRST
    while True:
        order = likeliest(weights, count)
        reached = int(np.searchsorted(np.cumsum(weights[order]), enough, side="left"))
        if reached < len(order):
            return order[: reached + 1]
        if count >= len(weights):
            return order
        count *= 4
