def invariant_no_more_is_booked_than_was_sent(view):
    """The account's balance is never more than the deposits that were made."""
    made = {found.body for tick in [view] for found in tick.messages if found.topic == "deposit"}
    del made  # one tick alone says little: the number of a deposit does
    balance = view.agent("account").metric("balance") or 0
    return balance <= min(view.tick, 8)
