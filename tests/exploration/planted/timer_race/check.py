def invariant_one_worker_has_the_lock(view):
    """No two workers have the lock at the same time."""
    working = [agent.id for agent in view.agents if (agent.metric("works-to") or 0) > view.tick]
    assert len(working) <= 1, f"{' and '.join(working)} work at once"
