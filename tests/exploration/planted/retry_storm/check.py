def goal_everything_was_confirmed(view):
    """Nothing waits for the consumer at the end."""
    return not view.agent("consumer").waiting
