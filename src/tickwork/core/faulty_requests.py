"""The requests of a tick in which answers may be failed, slowed or garbled on purpose."""

import msgspec

from tickwork.core.faulting import TickFaults
from tickwork.core.faults import AppliedFault, FailRequest, Fault, GarbleRequest, SlowRequest
from tickwork.core.requests import PendingRequest


class FaultyRequests:
    """What the faults of a tick do to its requests, as they are made. `applied` are those that hit."""

    def __init__(self, faults: TickFaults) -> None:
        self._faults = faults
        self._made: dict[int, int] = {}
        self.applied: list[AppliedFault] = []

    def made(self, request: PendingRequest) -> PendingRequest:
        """Return the request as it is after what befalls it, the agent's next one of the tick.

        Of several faults of a kind the first one counts. What fails has no answer that could be garbled.
        """
        nth = self._made.get(request.agent, 0)
        self._made[request.agent] = nth + 1
        befalls: dict[type[Fault], Fault] = {}
        for fault in self._faults.of_request(request.agent, nth):
            befalls.setdefault(type(fault), fault)
        if FailRequest in befalls:
            befalls.pop(GarbleRequest, None)
        slow = befalls.get(SlowRequest)
        ticks = slow.ticks if isinstance(slow, SlowRequest) else 0
        self.applied += [AppliedFault(fault, request.agent, request.effect) for fault in befalls.values()]
        return msgspec.structs.replace(
            request,
            due=request.due + ticks,
            first=request.first + ticks,
            slowed=ticks,
            fails=FailRequest in befalls,
            garbled=GarbleRequest in befalls,
        )
