"""What a run is made of, resolved: no paths, no defaults left to fill, nothing to look up.

Fields at their defaults are left out of the encoded form, with which a run's digests begin: so a field that a
later version adds leaves the digests of runs that do not use it as they were. What is left out is told by
identity, so a default must be a value of which there is only one; limits are always encoded.
"""

import msgspec

from tickwork.core.dag import Edge
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.grants import Grants
from tickwork.core.limits import Limits, RunLimits
from tickwork.core.supervision import NO_SUPERVISION, Supervision

# How floats are computed: with the same bits everywhere, or as this processor and this engine happen to.
FLOATS_PORTABLE = "portable"
FLOATS_FAST = "fast"
# A model's numbers where its declaration does not say.
TOKENS_DEFAULT = 256
TOKENS_MAX = 4096
CONTEXT_TOKENS = 4096
REQUESTS_MAX = 10_000
# What a model is asked and answers: conversations, or tensors.
LANGUAGE = "language"
PLAIN = "plain"
FLOATS = (FLOATS_PORTABLE, FLOATS_FAST)


class AgentSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One agent as declared.

    `module` is the hex BLAKE3 of the module's bytes. `setup` is given `preamble + config`: the preamble is
    what a guest language's shell needs (for Python the agent's source), the config is the author's.
    """

    id: str
    kind: str
    module: str
    config: bytes
    grants: Grants = ()
    preamble: bytes = b""
    subscribe: tuple[str, ...] = ()
    limits: Limits = msgspec.field(default_factory=Limits)
    every_tick: bool = False
    supervision: Supervision | None = None

    @property
    def supervised(self) -> Supervision:
        """How the agent is supervised; None in `supervision` is the default."""
        return self.supervision or NO_SUPERVISION


class InputSpec(msgspec.Struct, frozen=True):
    """An external input: its lines become messages on `topic` to each agent of `to`, `rate` lines a tick."""

    name: str
    topic: str
    to: tuple[str, ...]
    rate: int


class ModelSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model as declared; `hash` is that of its files' content.

    An answer is due `latency_ticks` after its request, or later with `tokens_per_tick`: see `core.requests`.
    An answer takes at most `tokens_default` tokens where the request does not say, and a request may ask for
    `tokens_max` at most. `context_tokens` bounds prompt and answer together, `requests_max` how many requests
    may be pending. `kind` is `language`, or `plain` for one that takes and gives tensors.
    """

    name: str
    hash: str
    latency_ticks: int
    tokens_default: int
    tokens_max: int
    context_tokens: int
    requests_max: int
    tokens_per_tick: int | None = None
    kind: str = LANGUAGE


class RunSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that a run is a function of, except module bytes, inputs and recorded results.

    `kinds` are templates for `spawn`: their `id` is the kind's name, and their `config` is used when the
    spawning effect brings none. `start_ns` and `tick_ns` place tick 0 and the others on the virtual clock.
    `floats` is one of `FLOATS`. `faults` is None where nothing is broken on purpose: see `with_faults`.
    With `edges`, ticks are run in waves (`core.dag`).
    """

    name: str
    seed: int
    start_ns: int
    tick_ns: int
    floats: str
    agents: tuple[AgentSpec, ...]
    kinds: tuple[AgentSpec, ...] = ()
    inputs: tuple[InputSpec, ...] = ()
    outputs: tuple[str, ...] = ()
    limits: RunLimits = msgspec.field(default_factory=RunLimits)
    models: tuple[ModelSpec, ...] = ()
    faults: FaultPlan | None = None
    edges: tuple[Edge, ...] = ()


def with_faults(run: RunSpec, faults: FaultPlan) -> RunSpec:
    """Return the run with this plan in place of its own. One that breaks nothing is the same as none."""
    return msgspec.structs.replace(run, faults=faults if faults else None)
