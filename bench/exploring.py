"""How fast runs are explored, and what becomes of the planted bugs (tests/exploration/planted)."""

import sys
import tempfile
from pathlib import Path

PLANTED = Path(__file__).parents[1] / "tests" / "exploration"


def explored(agents, ticks):
    """Return explored runs a second, by language, by the clock and by the processor."""
    from tickwork.bench.exploring import explored

    found = {}
    for one in explored(int(agents), int(ticks)):
        found[f"{one.language}_per_s"] = one.runs_per_s
        found[f"{one.language}_per_processor_s"] = one.runs_per_processor_s
    return found


def systems():
    """Return the names of the planted systems."""
    sys.path.insert(0, str(PLANTED))
    from planted_systems import SYSTEMS

    return SYSTEMS


def planted(name, seeds):
    """Explore a planted system with default settings, shrink what is found, and explore its correct twin."""
    systems()
    import planted_systems

    from tickwork.exploration.hunt import Wishes, hunt

    checks, seeds = planted_systems.checks_of(name), int(seeds)
    with tempfile.TemporaryDirectory() as folder:
        wishes = Wishes(seeds, checks=checks, jobs=1)
        hunted = hunt(planted_systems.planted(name), wishes, Path(folder) / "bug")
        (one,) = hunted.reported
        (finding,) = hunted.campaign.findings.values()
        twin = hunt(planted_systems.twin(name), wishes, Path(folder) / "twin")
    return {
        "runs": one.number + 1,
        "faults_found": len(finding.case.faults),
        "faults_left": len(one.shrunk.case.faults),
        "shrink_runs": one.runs,
        "shrink_s": hunted.shrink_s,
        "twin_runs": twin.campaign.cases,
        "twin_failures": twin.campaign.failures,
        "twin_runs_per_s": twin.ran / twin.wall_s,
    }
