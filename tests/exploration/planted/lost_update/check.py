def invariant_no_update_is_lost(view):
    """The board never goes back to an older value."""
    versions = [metric.value for metric in view.agent("board").metrics("version")]
    return versions == sorted(versions)


def goal_the_last_update_is_there(view):
    """In the end the board has the last value."""
    return view.agent("board").metric("version") == 6
