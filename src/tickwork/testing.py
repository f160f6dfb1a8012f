"""What tests of agents and of runs need."""

import tempfile
from pathlib import Path

from tickwork.api import AnyPath, Replay, diff, fork, replay
from tickwork.api import open as open_recording
from tickwork.runtime.resume import resume

__all__ = ["assert_forks_equal_prefix", "assert_replays"]


def assert_replays(path: AnyPath) -> Replay:
    """Replay a run file and raise AssertionError, naming the first tick and agent, unless it is identical."""
    result = replay(path)
    assert result.identical, f"{Path(path).name} does not replay: {result.first_divergence}"
    return result


def assert_forks_equal_prefix(path: AnyPath, tick: int | None = None) -> None:
    """Fork a run file without edits, run the fork to where the original ends, and compare all of it.

    Forks before `tick`, or before the file's second tick, one in the middle, and its last. Raises
    AssertionError naming the tick and the agents. Nothing is left behind.
    """
    with open_recording(path) as recording:
        begin, end = recording.first_tick, recording.end_tick
        digests = recording.at(end).digests
    chosen = (
        [tick] if tick is not None else sorted({min(begin + 1, end), (begin + end) // 2, max(begin, end - 1)})
    )
    for at in chosen:
        with tempfile.TemporaryDirectory() as folder:
            out = fork(path, at, Path(folder) / "fork.tick")
            with resume(out) as run:
                if end > at:
                    run.advance(end - at)
                same = run.digests == digests
            found = diff(path, out)
        # Also of what is recorded: whoever changed an entry may have left its digest as it was.
        same = same and not found.differing and not found.damage_count
        first = found.first
        where = (
            "" if first is None else f" in tick {first.tick}: {', '.join(turn.agent for turn in first.turns)}"
        )
        assert same, f"a fork of {Path(path).name} before tick {at} differs from it{where}"
