"""How many runs a second are explored, each from the moment after setup, on one thread."""

import json
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from tickwork.bench.projects import TICKET, desk_project, tiny_project
from tickwork.core.messages import Input
from tickwork.exploration.campaign import Campaign, explore
from tickwork.exploration.case import Horizon
from tickwork.exploration.crew import alone
from tickwork.exploration.explorer import Assignment, Explorer
from tickwork.exploration.plans import FaultMix
from tickwork.runtime.clock import monotonic_s, processor_s

_KEY = 1
# Enough for plans that were varied from what earlier cases showed.
_CASES = {"C": 400, "Python": 100}


def _never() -> bool:
    return False


class Explored(NamedTuple):
    """How fast runs of one language were explored, by the clock and by the processor's time."""

    language: str
    runs_per_s: float
    runs_per_processor_s: float


def explored(agents: int, ticks: int) -> Iterator[Explored]:
    """Explore as many agents for so many ticks, in C and in Python; every agent has turns all the time.

    C agents send a message in every tick; Python agents pass JSON on in a ring, all of them at once.
    """
    ticket = (Input(0, json.dumps(TICKET).encode()),)
    for language, project, lines in (
        ("C", tiny_project(agents, 1), ()),
        ("Python", desk_project(agents), (ticket,)),
    ):
        assignment = Assignment(Horizon(ticks, until_idle=False, must_idle=False), FaultMix(), _KEY)
        with Explorer(project, lines, assignment, ()) as explorer:
            wall_s, used_s = monotonic_s(), processor_s()
            campaign = Campaign(_KEY)
            explore(campaign, partial(alone, explorer, stop=_never), cases=_CASES[language])
            wall_s, used_s = monotonic_s() - wall_s, processor_s() - used_s
            yield Explored(language, campaign.cases / wall_s, campaign.cases / used_s)
