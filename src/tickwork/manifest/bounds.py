"""The least and the most that a manifest may set each limit to. See docs/reference/limits.md."""

from tickwork.core.limits import KIB, MIB, Limits, RunLimits
from tickwork.core.spec import ModelSpec

LIMIT_BOUNDS: dict[str, tuple[int, int]] = {
    # Beyond this a turn takes hours; no loop that ends needs it.
    "fuel_per_turn": (1, 10**15),
    "fuel_setup": (1, 10**15),
    # A page at least; WASM's 32-bit memories hold no more than 4 GiB.
    "memory_bytes": (64 * KIB, 4096 * MIB),
    "table_elements": (0, 10_000_000),
    "effects_per_turn": (0, 1_000_000),
    # What all turns of a tick ask for must fit one entry of the run file, 256 MiB.
    "bytes_per_turn": (0, 64 * MIB),
    "mailbox_messages": (1, 1_000_000),
    "mailbox_bytes": (1, 1024 * MIB),
    "timers": (0, 1_000_000),
    # About 25 GB of the smallest agents; what a machine holds is a matter of its own settings.
    "agents": (1, 1_000_000),
    # The most that the run file stores for a module.
    "module_bytes": (1, 256 * MIB),
    "input_line_bytes": (1, 64 * MIB),
}


def limits_fault(limits: Limits | RunLimits) -> str | None:
    """Return why these limits could not have come from a manifest, or None; for specifications from files."""
    for name in limits.__struct_fields__:
        low, high = LIMIT_BOUNDS[name]
        if not low <= getattr(limits, name) <= high:
            return f"the limit {name} is {getattr(limits, name)}, not between {low} and {high}"
    return None


# The least and the most of each number of a model.
MODEL_BOUNDS = {
    "latency_ticks": (1, 1_000_000),
    "tokens_per_tick": (1, 1 << 24),
    "tokens_default": (1, 1 << 24),
    "tokens_max": (1, 1 << 24),
    "context_tokens": (16, 1 << 24),
    "requests_max": (1, 1_000_000),
}


def model_fault(model: ModelSpec) -> str | None:
    """Return which number of a model no manifest could have given, or None."""
    for name, (low, high) in MODEL_BOUNDS.items():
        value = getattr(model, name)
        if value is not None and not low <= value <= high:
            return f"{name} is {value}; it must be between {low} and {high}"
    return None
