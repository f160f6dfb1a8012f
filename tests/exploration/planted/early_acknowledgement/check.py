def goal_no_job_is_lost(view):
    """Every job has its result."""
    return len(view.outputs("results")) == 6
