"""Runs that are recorded for as long as they are measured."""

from pathlib import Path

WARM_TICKS = 20
# The inline pool is the one with no workers of its own.
POOLS = {"inline": 0, "kernel": 1, "threads": "auto"}


def recorded(project, folder, pool="threads"):
    return tickwork_run(project, folder, POOLS[pool])


def tickwork_run(project, folder, workers):
    import tickwork

    return tickwork.record(project, Path(folder) / "bench.tick", workers=workers)
