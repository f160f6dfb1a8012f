"""What tests of agents and of runs need."""

from pathlib import Path

from tickwork.api import AnyPath, Replay, replay

__all__ = ["assert_replays"]


def assert_replays(path: AnyPath) -> Replay:
    """Replay a run file and raise AssertionError, naming the first tick and agent, unless it is identical."""
    result = replay(path)
    assert result.identical, f"{Path(path).name} does not replay: {result.first_divergence}"
    return result
