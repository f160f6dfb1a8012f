"""What a run has come to so far, in numbers."""

from dataclasses import dataclass, field

from tickwork.core.quiet import Plain
from tickwork.core.refusals import DENIED, REJECTED
from tickwork.core.world import Status
from tickwork.runtime.loop import Ticked


@dataclass(slots=True)
class Tally:
    """What a run has come to so far. `messages` counts deliveries: what agents found in their inboxes."""

    ticks: int = 0
    turns: int = 0
    messages: int = 0
    denied: int = 0
    rejected: int = 0
    undelivered: int = 0
    faults: int = 0
    restarted: int = 0
    rolled_back: int = 0
    failed: list[str] = field(default_factory=list)
    bad_lines: int = 0
    wall_s: float = 0.0

    def count(self, ticked: Ticked) -> None:
        """Add one tick."""
        self.ticks += 1
        self.turns += len(ticked.agents)
        self.messages += ticked.messages
        settled = ticked.result
        if isinstance(settled, Plain):
            return
        self.undelivered += len(settled.entry.undelivered)
        self.faults += len(settled.entry.faults)
        self.restarted += len(settled.restarted)
        self.rolled_back += len(settled.rolled_back)
        for turn in settled.entry.turns:
            for refusal in turn.refusals:
                if refusal.verdict == DENIED:
                    self.denied += 1
                elif refusal.verdict == REJECTED:
                    self.rejected += 1
        for agent in settled.ended:
            state = settled.world.agents[agent]
            if state.status is Status.FAILED:
                self.failed.append(state.spec.id)
