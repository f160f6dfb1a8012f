def invariant_steps_are_applied_in_order(view):
    """The store applies each step after the one before it."""
    applied = [step.value for step in view.agent("store").metrics("applied")]
    return applied == sorted(applied)
