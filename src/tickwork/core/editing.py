"""Applies a fork's edits to its parent's world at a tick's boundary. Pure; the world is not changed.

The order is fixed, whatever the order in a file: agents, then what is dropped, replaced and injected.

- Drops and replaces select among what waited before any edit. A message that is dropped is not replaced.
- What is injected comes after everything that waits and before everything that is sent from now on: it is
  ordered as though sent in the tick before by an origin after all agents (`FORK_ORIGIN`), in the order of the
  list. Nobody is told if it cannot be delivered; the tick's entry lists it like any other message.
- Mailbox limits hold for what edits add. What waited already stays, even where an edit lowers a limit.
- A restarted agent is set up in the coming tick, whatever had become of it. What waits for it waits one tick
  more, as for every agent that starts; its timers and requests are cancelled, since its new memory knows of
  none.
- What faults did before stays done: a request that is to fail still fails, and what was delayed comes then.
- Uses under a `per_run` limit stay counted where a grant's capability and target stay the same.
"""

from collections.abc import Callable

import msgspec

from tickwork.core.agent_edits import AgentEditing, CarriesOver
from tickwork.core.edit_faults import check_u64
from tickwork.core.edits import NO_EDITS, Edits
from tickwork.core.errors import EditError
from tickwork.core.fault_plan import fault_of_plan
from tickwork.core.mail_edits import MailEditing
from tickwork.core.requests import RequestsEdit
from tickwork.core.spec import with_faults
from tickwork.core.timers import TimersEdit
from tickwork.core.world import Directory, World


def _never(_old: str, _new: str) -> str | None:
    return "nothing shows that the new one reads it as the old one did"


def _no_memory(_agent: int) -> int:
    return 0


def apply_edits(
    world: World,
    edits: Edits,
    carries_over: CarriesOver = _never,
    memory_bytes: Callable[[int], int] = _no_memory,
) -> World:
    """Return the world with the edits made, before its coming tick is run; raise EditError.

    `carries_over` is given a running agent's module hash and the new one, where there is no restart; it
    returns why the memory cannot carry over, or None if it can. `memory_bytes` is asked for the size of the
    largest memory of the running agent with an index, where its limit is lowered.
    """
    if edits == NO_EDITS:
        return world
    run = world.run
    if edits.seed is not None:
        check_u64("seed", "", edits.seed)
        run = msgspec.structs.replace(run, seed=edits.seed)
    if edits.faults is not None:
        wrong = fault_of_plan(edits.faults)
        if wrong is not None:
            raise EditError(f"faults: {wrong[1]}")
        run = with_faults(run, edits.faults)
    agents = AgentEditing(world)
    for edit in edits.agents:
        agents.change(edit, carries_over, memory_bytes)
    agents.check_grants()
    edited = msgspec.structs.replace(
        world,
        run=msgspec.structs.replace(
            run, agents=tuple(agent.spec for agent in agents.agents[: len(run.agents)])
        ),
        agents=tuple(agents.agents),
        # Made anew also for the routes in it, which remember what old grants allowed.
        directory=Directory.of(agents.agents),
        spent=agents.spent,
        tokens_spent=agents.tokens_spent,
    )
    timers = TimersEdit(world.timers)
    timers.cancel_owned(agents.restarted)
    requests = RequestsEdit(world.requests)
    requests.cancel_owned(agents.restarted)
    mail = MailEditing(edited)
    for place, drop in enumerate(edits.drop):
        mail.drop(f"drop[{place}]", drop)
    for place, replace in enumerate(edits.replace):
        mail.replace(f"replace[{place}]", replace)
    for place, inject in enumerate(edits.inject):
        mail.inject(f"inject[{place}]", inject)
    return msgspec.structs.replace(
        edited, mailboxes=mail.mailboxes(), timers=timers.done(), requests=requests.done()[0]
    )
