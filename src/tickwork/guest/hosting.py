"""The functions that a guest calls in the host: one C callback per import, shared by a program's agents.

The engine hands each callback a number that we chose; `_FRAMES` turns it into the agent's frame. Nothing may
escape from a callback but a trap: after an exception the engine would take whatever lies in a register for
one. So whatever is raised is kept and raised again once the engine has unwound the guest. What Python may
raise before the callback's first line, which is what a signal handler raises, must be kept away by whoever
runs turns (`pool.signals`).

A call costs the guest a few instructions and the host a thousand times as much. So every call, every access
and every byte is charged as fuel, at about what the guest could have computed in that time: fuel bounds the
time of a turn whatever it is spent on.
"""

import ctypes
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tickwork.core.errors import HostError
from tickwork.core.outcomes import OutcomeKind
from tickwork.guest import capi
from tickwork.guest.memory import Memory
from tickwork.guest.plan import ExportSource, HostImport
from tickwork.guest.virtual import GuestFault, HostFunction, VirtualState

_POINTER_MASK = 0xFFFFFFFF
_I64_MASK = 0xFFFFFFFFFFFFFFFF
_REALLOC_ARGUMENTS = 4
_TRAP_MESSAGE = b"host function"

_FUEL_PER_CALL = 10_000
_FUEL_PER_ACCESS = 1_000
_FUEL_PER_BYTE = 16

_FRAMES: dict[int, "HostFrame"] = {}
_numbers = itertools.count(1)  # an environment of 0 would reach the callback as a null pointer


class Agent(Protocol):
    """What a frame needs of its instance."""

    state: VirtualState

    def handle_of(self, source: ExportSource) -> int:
        """Return the address of an export's handle; 0 while the agent is still being linked."""


@dataclass(slots=True)
class Wave:
    """The turns that agents take at the same time, called by other than `Instance.step`.

    Nobody prepares the state of an agent before such a turn: its first call of the host does. `number` is
    another for each wave, `now_ns` its virtual time. `printed` gathers who printed, and `on_print` is told at
    once; both only with the interpreter's lock, which a callback takes wherever it runs.
    """

    on_print: Callable[[], object]
    number: int = 0
    now_ns: int = 0
    printed: list[int] = field(default_factory=list)

    def begin(self, now_ns: int) -> None:
        """Begin another wave at virtual time `now_ns`, in which nobody has printed."""
        self.number += 1
        self.now_ns = now_ns
        self.printed.clear()


class HostFrame:
    """An agent's side of its host calls."""

    def __init__(self, agent: Agent, context: int) -> None:
        self.agent = agent
        self.context = context
        self.raised: BaseException | None = None
        self.allocating = False
        self._wave: Wave | None = None
        self._wave_number = 0
        self._index = 0
        self._memories: dict[ExportSource, Memory] = {}
        self._word = (ctypes.c_uint64 * 1)()
        self._word_at = ctypes.addressof(self._word)
        self.number = next(_numbers)
        _FRAMES[self.number] = self

    def close(self) -> None:
        """Forget the agent; it makes no more calls."""
        _FRAMES.pop(self.number, None)

    def join(self, wave: Wave, index: int) -> None:
        """Let every turn from now on be one of `wave`; `index` is the agent's."""
        self._wave, self._wave_number, self._index = wave, wave.number, index

    def enter(self) -> VirtualState:
        """Return the agent's state, as of this turn."""
        wave = self._wave
        if wave is not None and wave.number != self._wave_number:
            self._wave_number = wave.number
            self.agent.state.now_ns = wave.now_ns
        return self.agent.state

    def leave(self) -> None:
        """Tell the wave if the agent has printed."""
        wave = self._wave
        if wave is not None and self.agent.state.output:
            wave.printed.append(self._index)
            wave.on_print()

    def take_raised(self) -> BaseException | None:
        """Return what a callback raised during the last call, and forget it."""
        raised, self.raised = self.raised, None
        return raised

    def fuel(self) -> int:
        """Return what is left of the turn's fuel."""
        capi.get_fuel(self.context, self._word_at)
        return self._word[0]

    def memory(self, source: ExportSource | None) -> Memory:
        """Return the memory that an import was lowered with."""
        if source is None:
            raise GuestFault(OutcomeKind.BAD_POINTER, "the import was lowered without a memory")
        memory = self._memories.get(source)
        if memory is None:
            handle = self.agent.handle_of(source)
            if not handle:
                raise GuestFault(
                    OutcomeKind.UNSUPPORTED_IMPORT, "a host function was called while the agent was linked"
                )
            memory = self._memories[source] = Memory(self.context, handle)
        return memory


class ImportCall:
    """One call from the guest. Implements `virtual.HostCall`."""

    __slots__ = ("_frame", "_fuel", "_host", "state")

    def __init__(self, frame: HostFrame, host: HostImport) -> None:
        if frame.allocating:
            # As the Canonical ABI has it; and two guests' worth of stack would otherwise pile up by turns.
            raise GuestFault(OutcomeKind.UNSUPPORTED_IMPORT, f"cabi_realloc called the host ({host.name})")
        self._frame = frame
        self._host = host
        self.state = frame.enter()
        self._fuel = frame.fuel()
        self._spend(_FUEL_PER_CALL)

    def _spend(self, fuel: int) -> None:
        self._fuel -= fuel
        if self._fuel < 0:
            raise GuestFault(OutcomeKind.OUT_OF_FUEL)

    def charge(self) -> None:
        """Take what the call has cost so far from the turn's fuel."""
        capi.set_fuel(self._frame.context, self._fuel)

    def read(self, pointer: int, length: int) -> bytes:
        """Return `length` bytes of the caller's memory at `pointer`."""
        self._spend(_FUEL_PER_ACCESS + _FUEL_PER_BYTE * length)
        return self._frame.memory(self._host.memory).read(pointer, length)

    def write(self, pointer: int, data: bytes) -> None:
        """Put `data` into the caller's memory at `pointer`."""
        self._spend(_FUEL_PER_ACCESS + _FUEL_PER_BYTE * len(data))
        self._frame.memory(self._host.memory).write(pointer, data)

    def allocate(self, size: int, align: int) -> int:
        """Return a block from the guest's own `cabi_realloc`, which may not call the host."""
        self.charge()
        self._frame.allocating = True
        try:
            return self._reallocate(size, align)
        finally:
            self._frame.allocating = False
            self._fuel = self._frame.fuel()

    def _reallocate(self, size: int, align: int) -> int:
        realloc = self._host.realloc
        handle = 0 if realloc is None else self._frame.agent.handle_of(realloc)
        if not handle:
            raise GuestFault(OutcomeKind.BAD_POINTER, "the import was lowered without cabi_realloc")
        # Its own argument array: the outer call's is still in use.
        raw = (ctypes.c_uint64 * (capi.RAW_WORDS * _REALLOC_ARGUMENTS))()
        raw[2 * capi.RAW_WORDS] = align
        raw[3 * capi.RAW_WORDS] = size
        trap = ctypes.c_uint64()
        error = capi.func_call(
            self._frame.context, handle, ctypes.addressof(raw), _REALLOC_ARGUMENTS, ctypes.addressof(trap)
        )
        if error:
            # Of no use where the host was called and refused: what was raised first is what is told.
            raise HostError(f"the engine refused a call of cabi_realloc: {capi.take_error(error)}")
        if trap.value:
            raise InnerTrap(*capi.take_trap(trap.value))
        return int(raw[0] & _POINTER_MASK)


class InnerTrap(Exception):  # noqa: N818 - carries a guest's trap through the host function that met it
    """The guest trapped while the host, called by it, called it back."""

    def __init__(self, code: int | None, message: str) -> None:
        super().__init__(code, message)
        self.code = code


def host_callback(host: HostImport, function: HostFunction) -> object:
    """Return the C callback that serves `host` with `function`; it must outlive every agent that links it."""
    masks = [_POINTER_MASK if kind in {"i32", "f32"} else _I64_MASK for kind in host.params]
    result_mask = _POINTER_MASK if host.results[:1] == ("i32",) else _I64_MASK
    words = capi.RAW_WORDS
    size = max(len(host.params), len(host.results), 1) * words

    def serve(environment: int, _caller: int, raw_at: int, _count: int) -> int:
        frame = None
        try:
            frame = _FRAMES[environment]
            raw = (ctypes.c_uint64 * size).from_address(raw_at) if raw_at else (ctypes.c_uint64 * size)()
            arguments = [raw[place * words] & mask for place, mask in enumerate(masks)]
            call = ImportCall(frame, host)
            result = function(call, arguments)
            call.charge()
            frame.leave()
            if host.results:
                raw[0] = (result or 0) & result_mask
        except BaseException as raised:
            if frame is not None and frame.raised is None:
                frame.raised = raised
            return int(capi.trap_new(_TRAP_MESSAGE, len(_TRAP_MESSAGE)))
        return 0

    return capi.HostCallback(serve)


def define_hosts(frame: HostFrame, callbacks: Sequence[object], types: Sequence[int], slots_at: int) -> None:
    """Put the host functions into the first slots of an agent that is being linked."""
    for place, (callback, kind) in enumerate(zip(callbacks, types, strict=True)):
        address = ctypes.cast(callback, ctypes.c_void_p).value  # type: ignore[arg-type]
        at = slots_at + place * capi.EXTERN_BYTES + capi.HANDLE_OFFSET
        capi.func_new(frame.context, kind, address, frame.number, None, at)
