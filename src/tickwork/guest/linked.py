"""A program linked into a store of its own, and calls of its functions by address.

What the addresses rest on:

- the memory's base never moves (the engine reserves the whole range), and its size only grows;
- nothing outside [base, base + size) is ever read or written;
- host callbacks never let an exception escape into the engine;
- the store, and with it everything the addresses point to, lives until `close`.
"""

import ctypes
from typing import Any

import wasmtime

from tickwork.core.errors import HostError
from tickwork.core.limits import Limits
from tickwork.core.outcomes import OutcomeKind
from tickwork.guest import capi
from tickwork.guest.capi import func_call
from tickwork.guest.engine import WHOLE_AGENTS_MAX
from tickwork.guest.hosting import HostFrame, InnerTrap, define_hosts
from tickwork.guest.image import Reach, find_externs
from tickwork.guest.memory import Memory
from tickwork.guest.plan import ExportSource, Lifted
from tickwork.guest.program import Program
from tickwork.guest.room import ROOM
from tickwork.guest.traps import outcome_of
from tickwork.guest.virtual import GuestFault, VirtualState

_POINTER_MASK = 0xFFFFFFFF
# What is common to all instances of a program must be had whatever the limits of one of them.
NO_LIMITS = Limits(memory_bytes=1 << 32, table_elements=1 << 31)
_RAW_ARGUMENTS = 16  # the Canonical ABI flattens at most 16 parameters


class Linked:
    """The store of one instance of a program, within limits. Not thread-safe."""

    def __init__(self, program: Program, limits: Limits) -> None:
        """Make a store within `limits`; nothing of the guest runs before `setup`.

        `HostError` if the process has no room for it, or the engine reserves less than `memory_bytes`.
        """
        reserved = program.engine.reserved_bytes
        if limits.memory_bytes > reserved and limits is not NO_LIMITS:
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

    def reach(self) -> Reach:
        """Return access to everything mutable; only between turns, and only while the instance is open."""
        if self._reach is None:
            plan = self._program.plan
            at = ctypes.addressof(self._instances)
            memories = find_externs(self._context, at, plan.memories)
            global_handles = find_externs(self._context, at, [source for source, _ in plan.globals])
            self._reach = Reach(self._context, memories, global_handles, [kind for _, kind in plan.globals])
        return self._reach

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
