"""What the kernel names by a number, put into the words that every pool uses.

The kernel only says where it found a fault (`kernel/turn.h`). What is wrong there, the codec finds again in
the guest's memory, which has not changed since.
"""

import enum

from tickwork.core.errors import HostError
from tickwork.core.limits import Limits
from tickwork.core.outcomes import Outcome
from tickwork.guest import abi, capi
from tickwork.guest.instance import Instance
from tickwork.guest.traps import outcome_of
from tickwork.guest.virtual import GuestFault

_TRAP_UNKNOWN = 256


class Fault(enum.IntEnum):
    """`enum tw_fault` of `kernel/turn.h`."""

    TRAP = 1
    REFUSED = 2
    LIST_UNALIGNED = 3
    BLOCK_UNALIGNED = 4
    BEYOND = 5
    SPACE_END = 6
    NOT_LIFTED = 7
    NO_MEMORY = 8


def failed_outcome(instance: Instance, fault: int, first: int, second: int) -> Outcome:
    """Return the outcome of a turn that the kernel ended; raise `HostError` if the fault is the host's."""
    refused = capi.take_error(first) if fault == Fault.REFUSED else ""
    if fault == Fault.NO_MEMORY:
        raise HostError("the system gives no more memory for a turn's effects")

    def check(memory: abi.GuestMemory, limits: Limits) -> None:
        if fault == Fault.REFUSED:
            raise HostError(f"the engine refused a call: {refused}")
        if fault == Fault.TRAP:
            raise GuestFault(outcome_of(None if first == _TRAP_UNKNOWN else first))
        if fault == Fault.LIST_UNALIGNED:
            abi.check_list(first)
        elif fault == Fault.BLOCK_UNALIGNED:
            abi.check_block(first)
        elif fault == Fault.BEYOND:
            memory.read(first, second)
        elif fault == Fault.SPACE_END:
            raise abi.space_end()
        elif fault == Fault.NOT_LIFTED:
            abi.load_step_result(memory, first, limits)

    return instance.failed_step(check)
