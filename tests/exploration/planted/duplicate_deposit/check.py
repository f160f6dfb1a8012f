def invariant_no_more_is_booked_than_was_sent(view):
    """The account's balance is never more than the deposits that were made."""
    return (view.agent("account").metric("balance") or 0) <= min(view.tick, 8)
