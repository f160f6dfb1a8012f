def goal_all_questions_are_answered(view):
    """The client comes to the end of its questions."""
    return len(view.outputs("done")) == 1
