def invariant_a_term_has_one_leader(view):
    """In each term at most one node ever leads."""
    led = {}
    for node in view.agents:
        for lead in node.metrics("leads"):
            other = led.setdefault(lead.value, node.id)
            assert other == node.id, f"{other} and {node.id} both lead in term {lead.value:.0f}"
