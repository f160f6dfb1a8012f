def invariant_an_order_is_charged_once(view):
    """No order is charged twice."""
    charges = [charge.json()["order"] for charge in view.outputs("charges")]
    assert len(charges) == len(set(charges)), f"charged: {charges}"


def goal_every_order_is_charged(view):
    """Every order is charged."""
    return len({charge.body for charge in view.outputs("charges")}) == 4
