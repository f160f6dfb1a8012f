"""One agent's instance: set up once, then one turn at a time.

The hot path is `step`: set fuel, lower the inbox, call, lift the effects, read fuel. It talks to the engine
by addresses (`capi`), so this module is where they are kept honest:

- the memory's base never moves (the engine reserves the whole range), and its size only grows;
- nothing outside [base, base + size) is ever read or written;
- host callbacks never let an exception escape into the engine;
- the store, and with it everything the addresses point to, lives until `close`.
"""

import contextlib
import ctypes
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import wasmtime

from tickwork.core.effects import Effect, Level, Log
from tickwork.core.errors import HostError
from tickwork.core.image import AgentImage
from tickwork.core.limits import Limits
from tickwork.core.messages import Message
from tickwork.core.names import ABI_VERSION
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.guest import abi, capi
from tickwork.guest.capi import func_call, get_fuel, set_fuel
from tickwork.guest.engine import WHOLE_AGENTS_MAX
from tickwork.guest.hosting import HostFrame, InnerTrap, Wave, define_hosts
from tickwork.guest.image import (
    Base,
    Kept,
    Reach,
    find_externs,
    keep,
    put,
    put_back,
    take_base,
    take_globals,
    take_memory,
)
from tickwork.guest.memory import Memory
from tickwork.guest.plan import ExportSource, Lifted
from tickwork.guest.program import Program
from tickwork.guest.room import ROOM
from tickwork.guest.traps import outcome_of
from tickwork.guest.virtual import GuestFault, VirtualState
from tickwork.guest.wasi.behaviour import STDOUT

_POINTER_MASK = 0xFFFFFFFF
# What is common to all instances of a program must be had whatever the limits of one of them.
_NO_LIMITS = Limits(memory_bytes=1 << 32, table_elements=1 << 31)
_RAW_ARGUMENTS = 16  # the Canonical ABI flattens at most 16 parameters
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


class Instance:
    """An agent in the sandbox. Not thread-safe; after a failed turn only `close` may be called."""

    def __init__(self, program: Program, limits: Limits) -> None:
        """Make a store within `limits`; nothing of the guest runs before `setup`.

        `HostError` if the process has no room for it, or the engine reserves less than `memory_bytes`.
        """
        reserved = program.engine.reserved_bytes
        if limits.memory_bytes > reserved and limits is not _NO_LIMITS:
            raise HostError(
                f"limits.memory_bytes is {limits.memory_bytes}, more than the {reserved} bytes that the run "
                "reserves for each memory"
            )
        ROOM.take(program.mappings)
        self._program = program
        self._limits = limits
        self.state = VirtualState()
        self._store = wasmtime.Store(program.engine.raw)
        self._bound_memory(limits.memory_bytes)
        self._context = capi.context_of(self._store)
        self._raw = (ctypes.c_uint64 * (capi.RAW_WORDS * _RAW_ARGUMENTS))()
        self._raw_at = ctypes.addressof(self._raw)
        self._word = (ctypes.c_uint64 * 1)()
        self._word_at = ctypes.addressof(self._word)
        self._frame: HostFrame | None = None
        self._kept: Any = None
        self._reach: Reach | None = None

    def _bound_memory(self, memory_bytes: int) -> None:
        plan = self._program.plan
        self._store.set_limits(
            memory_size=memory_bytes,
            table_elements=self._limits.table_elements,
            instances=len(plan.instances),
            tables=len(plan.tables),
            memories=len(plan.memories),
        )

    @contextlib.contextmanager
    def _not_growing(self) -> Iterator[None]:
        """Refuse to let memory grow beyond the size that the largest one has now."""
        state = self.reach()
        self._bound_memory(max([state.size(memory) for memory in range(state.memory_count)], default=0))
        try:
            yield
        finally:
            self._bound_memory(self._limits.memory_bytes)

    def close(self) -> None:
        """Free everything that the engine holds for this agent."""
        if self._frame is not None:
            self._frame.close()
        self._store.close()
        ROOM.give_back(self._program.mappings)

    def abandon(self) -> None:
        """Never free what the engine holds for this agent: another thread is in it and may not come out."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._store))

    # ---- instantiation

    def _instantiate(self) -> None:
        program = self._program
        slots: Any = ctypes.create_string_buffer(max(program.slot_bytes, 1))
        at = ctypes.addressof(slots)
        if program.plan.hosts:
            self._frame = HostFrame(self, self._context)
            define_hosts(self._frame, program.callbacks, program.host_type_pointers, at)
        self._instances = ctypes.create_string_buffer(max(capi.INSTANCE_BYTES * len(program.wiring), 1))
        instances_at = ctypes.addressof(self._instances)
        for index, wiring in enumerate(program.wiring):
            imports = b"".join([slots[offset : offset + capi.EXTERN_BYTES] for offset in wiring])
            handle = instances_at + index * capi.INSTANCE_BYTES
            module = program.module_pointers[program.plan.instances[index].module]
            self._word[0] = 0
            error = capi.instance_new(self._context, module, imports, len(wiring), handle, self._word_at)
            if error:
                message = capi.take_error(error)
                self._raise_raised()
                raise _instance_fault(message)
            self._check_trap()
            for fetch in program.fetches[index]:
                if not capi.export_get(self._context, handle, fetch.name, len(fetch.name), at + fetch.offset):
                    raise HostError(f"the engine lost the export {fetch.name!r}")
        self._kept = ctypes.create_string_buffer(slots.raw[: program.kept_bytes], max(program.kept_bytes, 1))
        self._bind()

    def _bind(self) -> None:
        """Look up once what every turn needs."""
        plan = self._program.plan
        setup, step = plan.lifted["setup"], plan.lifted["step"]
        self._setup = self.handle_of(setup.func)
        self._setup_post = self.handle_of(setup.post)
        self._step = self.handle_of(step.func)
        self._step_post = self.handle_of(step.post)
        self._arena = self.handle_of(plan.arena)
        self._arena_at = 0
        self._use(setup)
        for source in plan.initialize:
            self._call(self.handle_of(source), 1)

    def _use(self, lifted: Lifted) -> None:
        """Lower and lift through this export's memory and realloc from now on."""
        self._memory = Memory(self._context, self.handle_of(lifted.memory))
        self._realloc = self.handle_of(lifted.realloc)

    def handle_of(self, source: ExportSource | None) -> int:
        """Return the address of a kept export's handle; 0 for None, and while the agent is being linked."""
        if source is None or self._kept is None:
            return 0
        return int(ctypes.addressof(self._kept) + self._program.slots[source] + capi.HANDLE_OFFSET)

    # ---- state

    def reach(self) -> Reach:
        """Return access to everything mutable; only between turns, and only while the instance is open."""
        if self._reach is None:
            plan = self._program.plan
            at = ctypes.addressof(self._instances)
            memories = find_externs(self._context, at, plan.memories)
            global_handles = find_externs(self._context, at, [source for source, _ in plan.globals])
            self._reach = Reach(self._context, memories, global_handles, [kind for _, kind in plan.globals])
        return self._reach

    @classmethod
    def base(cls, program: Program) -> Base:
        """Return what instances of `program` have in common before they run. Costs a copy of their memory."""
        instance = cls(program, _NO_LIMITS)
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

    def _link(self) -> None:
        capi.set_fuel(self._context, self._limits.fuel_setup)
        try:
            self._instantiate()
        except GuestFault as fault:
            raise HostError(f"an agent cannot be restored: {fault.kind} {fault.detail}") from None
        self._use(self._program.plan.lifted["step"])

    # ---- calls

    def _check_trap(self) -> None:
        trap = self._word[0]
        if not trap:
            return
        self._word[0] = 0
        code, _ = capi.take_trap(trap)
        self._raise_raised()
        raise GuestFault(outcome_of(code))

    def _raise_raised(self) -> None:
        """Raise again what a host function raised; the engine reports it as an error, not as a trap."""
        raised = None if self._frame is None else self._frame.take_raised()
        if isinstance(raised, InnerTrap):
            raise GuestFault(outcome_of(raised.code))
        if raised is not None:
            raise raised

    def _call(self, function: int, arguments: int) -> int:
        """Call with the arguments already in `_raw`; return the first result's low 32 bits.

        `arguments` is at least 1, because the result needs a place too.
        """
        error = func_call(self._context, function, self._raw_at, arguments, self._word_at)
        if error:
            message = capi.take_error(error)
            self._raise_raised()
            raise HostError(f"the engine refused a call: {message}")
        if self._word[0]:
            self._check_trap()
        pointer: int = self._raw[0] & _POINTER_MASK
        return pointer

    def _allocate(self, size: int, align: int) -> int:
        raw = self._raw
        raw[0] = 0
        raw[2] = 0
        raw[4] = align
        raw[6] = size
        return self._call(self._realloc, 4)

    def _allocate_inbox(self, size: int) -> int:
        self._raw[0] = size
        return self._call(self._arena, 1)

    # ---- turns

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


def _instance_fault(message: str) -> Exception:
    """Return what an instantiation that the engine refused is: the guest's fault, or else the host's.

    In our own words: the engine's may change with its version.
    """
    if "exceeds" in message:
        for what, key in (("memory", "memory_bytes"), ("table", "table_elements")):
            if message.startswith(what):
                return GuestFault(
                    OutcomeKind.OUT_OF_MEMORY, f"the module's {what} does not fit within limits.{key}"
                )
    if message.startswith("incompatible import type"):
        # The limits of tables and memories are the one thing that flattening leaves to the engine.
        return GuestFault(
            OutcomeKind.UNSUPPORTED_IMPORT,
            "one of the component's modules imports a memory or table too small",
        )
    if message.startswith("mmap failed"):
        return HostError(
            f"this process has no address space left for another agent's memory ({message.splitlines()[0]}); "
            "raise `ulimit -v` if it is set, or, from about 32,000 memories on, set limits.agents above "
            f"{WHOLE_AGENTS_MAX}, which reserves less for each"
        )
    return HostError(f"the engine cannot make another instance: {message}")
