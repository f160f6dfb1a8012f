"""One agent's instance: set up once, then one turn at a time.

The hot path is `step`: set fuel, lower the inbox, call, lift the effects, read fuel. It talks to the engine
by addresses, which `linked` keeps honest.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tickwork.core.effects import Effect, Level, Log
from tickwork.core.errors import HostError
from tickwork.core.image import AgentImage
from tickwork.core.limits import Limits
from tickwork.core.messages import Message
from tickwork.core.names import ABI_VERSION
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.guest import abi, capi
from tickwork.guest.capi import get_fuel, set_fuel
from tickwork.guest.hosting import Wave
from tickwork.guest.image import (
    Base,
    Kept,
    keep,
    put,
    put_back,
    take_base,
    take_globals,
    take_memory,
)
from tickwork.guest.linked import NO_LIMITS, Linked
from tickwork.guest.program import Program
from tickwork.guest.virtual import GuestFault
from tickwork.guest.wasi.behaviour import STDOUT

# A turn that alternates between the streams more often finds the rest in its last log.
_PRINTED_LOGS_MAX = 100


class Handles(NamedTuple):
    """The addresses by which `step` is called, valid until the instance is closed; 0 for none."""

    context: int
    memory: int
    step: int
    post: int
    realloc: int
    arena: int


class Instance(Linked):
    """An agent in the sandbox. Not thread-safe; after a failed turn only `close` may be called."""

    # ---- state

    @classmethod
    def base(cls, program: Program) -> Base:
        """Return what instances of `program` have in common before they run. Costs a copy of their memory."""
        instance = cls(program, NO_LIMITS)
        try:
            instance._link()
            return take_base(instance.reach())
        finally:
            instance.close()

    def take_image(self, base: Base) -> AgentImage:
        """Return the agent's whole state; `base` is that of its program."""
        state = self.reach()
        return AgentImage(
            memories=tuple(take_memory(state, place, pages) for place, pages in enumerate(base.memories)),
            globals=take_globals(state, base),
            seed=self.state.seed,
            start_ns=self.state.start_ns,
            drawn=self.state.drawn,
        )

    def restore(self, image: AgentImage) -> None:
        """Become what `image` was taken from, without `setup`; raise `HostError` if it does not fit."""
        self._link()
        put(self.reach(), image)
        self.state.seed = image.seed
        self.state.start_ns = image.start_ns
        self.state.drawn = image.drawn

    def keep(self) -> Kept:
        """Return the agent's whole state, for `rewind` of this instance."""
        return keep(self.reach(), self.state)

    def rewind(self, kept: Kept) -> bool:
        """Become again what `keep` of this instance was; False, with nothing changed, if it has grown."""
        return put_back(self.reach(), self.state, kept)

    # ---- turns

    @contextlib.contextmanager
    def _not_growing(self) -> Iterator[None]:
        """Refuse to let memory grow beyond the size that the largest one has now."""
        state = self.reach()
        self._bound_memory(max([state.size(memory) for memory in range(state.memory_count)], default=0))
        try:
            yield
        finally:
            self._bound_memory(self._limits.memory_bytes)

    def setup(
        self,
        agent_id: str,
        config: bytes,
        *,
        now_ns: int,
        start_ns: int,
        seed: int,
        fuel: int | None = None,
        may_grow: bool = True,
    ) -> Outcome:
        """Instantiate and call `setup`; return how it went. `seed` keys the agent's random stream.

        `setup` gets no more than `fuel` where that is given, and no memory beyond what it begins with
        unless it `may_grow`.
        """
        budget = self._limits.fuel_setup if fuel is None else min(fuel, self._limits.fuel_setup)
        self.state.start_ns = start_ns
        self.state.seed = seed.to_bytes(8, "little") + agent_id.encode()
        self.state.now_ns = now_ns
        try:
            capi.set_fuel(self._context, self._limits.fuel_setup)
            self._instantiate()
            # Fuel is set anew: what instantiation costs differs between ways to map a module.
            capi.set_fuel(self._context, budget)
            with contextlib.nullcontext() if may_grow else self._not_growing():
                self._call_setup(agent_id, config)
            self._use(self._program.plan.lifted["step"])
        except GuestFault as fault:
            return self._failed(fault, budget)
        return Outcome(OutcomeKind.OK, self._captured(), self._fuel_used(budget))

    def _call_setup(self, agent_id: str, config: bytes) -> None:
        words: list[int] = []
        for data in (agent_id.encode(), config, ABI_VERSION.encode()):
            words += abi.store_bytes(self._memory, self._allocate, data)
        for place, word in enumerate(words):
            self._raw[place * capi.RAW_WORDS] = word
        pointer = self._call(self._setup, len(words))
        abi.load_setup_result(self._memory, pointer)
        if self._setup_post:
            self._raw[0] = pointer
            self._call(self._setup_post, 1)

    def step_broken(
        self,
        tick: int,
        now_ns: int,
        seed: int,
        inbox: Sequence[Message],
        *,
        fuel: int | None,
        may_grow: bool,
    ) -> Outcome:
        """Take one turn with no more than `fuel` where that is given, or with memory that may not grow."""
        with contextlib.nullcontext() if may_grow else self._not_growing():
            return self.step(tick, now_ns, seed, inbox, fuel)

    def step(
        self, tick: int, now_ns: int, seed: int, inbox: Sequence[Message], fuel: int | None = None
    ) -> Outcome:
        """Take one turn, with no more than `fuel` where given; return effects and fuel, or how it failed."""
        budget = self._limits.fuel_per_turn if fuel is None else min(fuel, self._limits.fuel_per_turn)
        raw = self._raw
        self.state.now_ns = now_ns
        try:
            set_fuel(self._context, budget)
            count = len(inbox)
            if self._arena:
                pointer = abi.store_inbox_at_once(self._memory, self._allocate_inbox, inbox, self._arena_at)
                self._arena_at = pointer
            else:
                pointer, count = abi.store_inbox(self._memory, self._allocate, inbox)
            raw[0] = tick
            raw[2] = now_ns
            raw[4] = seed
            raw[6] = budget
            raw[8] = pointer
            raw[10] = count
            pointer = self._call(self._step, 6)
            effects = abi.load_step_result(self._memory, pointer, self._limits)
            if self._step_post:
                raw[0] = pointer
                self._call(self._step_post, 1)
        except GuestFault as fault:
            return self._failed(fault, budget)
        if self.state.output:
            effects += self._captured()
        return Outcome(OutcomeKind.OK, effects, self._fuel_used(budget))

    def handles(self) -> Handles:
        """Return what another caller of `step` needs; only once the agent was set up or restored."""
        lifted = self._program.plan.lifted["step"]
        memory = self.handle_of(lifted.memory)
        return Handles(self._context, memory, self._step, self._step_post, self._realloc, self._arena)

    def join(self, wave: Wave, index: int) -> None:
        """Take every turn from now on in `wave`, called by others; `index` is the agent's."""
        if self._frame is not None:
            self._frame.join(wave, index)

    def with_printed(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a turn that others called, with what the agent printed in it."""
        printed = self._captured()
        return Outcome(outcome.kind, outcome.effects + printed, outcome.fuel) if printed else outcome

    def failed_step(self, check: Callable[[abi.GuestMemory, Limits], object]) -> Outcome:
        """Return the outcome of a step that another caller made, and in which it found a fault.

        What a host function raised is the fault, or else what `check` raises: it looks at the guest's memory
        again. `HostError` if it finds none.
        """
        try:
            self._raise_raised()
            check(self._memory, self._limits)
        except GuestFault as fault:
            return self._failed(fault, self._limits.fuel_per_turn)
        raise HostError("the kernel refused what the codec accepts; this is a defect of tickwork")

    def _fuel_used(self, budget: int) -> int:
        get_fuel(self._context, self._word_at)
        left = self._word[0]
        self._word[0] = 0
        return budget - left

    def _failed(self, fault: GuestFault, budget: int) -> Outcome:
        # Not the counter: after some traps it is stale, so a failed turn is charged its whole budget.
        return Outcome(fault.kind, self._captured(), budget, fault.detail)

    def _captured(self) -> tuple[Effect, ...]:
        """Return what the turn printed as logs, runs of one stream together, and forget it."""
        runs: list[tuple[int, list[bytes]]] = []
        for stream, data in self.state.output:
            if not runs or (runs[-1][0] != stream and len(runs) < _PRINTED_LOGS_MAX):
                runs.append((stream, []))
            runs[-1][1].append(data)
        self.state.output.clear()
        self.state.output_bytes = 0
        return tuple(
            Log(
                Level.INFO if stream == STDOUT else Level.WARN,
                b"".join(pieces).decode("utf-8", "replace").rstrip("\n"),
            )
            for stream, pieces in runs
        )
