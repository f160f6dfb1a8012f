"""The only reader of real time. What it gives may steer the host, and never reaches a guest or a digest."""

import time  # noqa: TID251 - this is the module that the ban points to


def monotonic_s() -> float:
    """Return seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def processor_s() -> float:
    """Return the processor time that this process has used, in seconds; only differences mean anything."""
    return time.process_time()
