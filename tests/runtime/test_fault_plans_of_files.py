"""Plans of faults in run files: what no file of faults could have said is refused."""

from pathlib import Path

import msgspec
import pytest

from guests import chatter
from tamper import tamper
from tickwork.core.digest import content_hash
from tickwork.core.errors import RunFileError
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.faults import Delay, FaultRate, Partition
from tickwork.core.spec import AgentSpec, RunSpec, with_faults
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay
from tickwork.runtime.seek import Recording


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (FaultPlan((Delay(1, "a", ticks=-3),)), "ticks must be between"),
        (FaultPlan((Partition(1, ("a",), 1 << 62),)), "ticks must be between"),
        (FaultPlan(rates=(FaultRate("quake", 0.5),)), "kind must be one of"),
        (FaultPlan(rates=(FaultRate("drop", float("nan")),)), "rate must be between 0 and 1"),
        (FaultPlan(rates=(FaultRate("pause", 0.5, ticks=1 << 40),)), "ticks must be between"),
        (FaultPlan(rates=(FaultRate("drop", 0.5),) * 101), "a plan has at most 100 rates"),
        (FaultPlan(rates=(FaultRate("drop", 0.5),), seed=-1), "the seed must be between"),
    ],
)
def test_a_plan_that_cannot_be_is_found_in_a_run_file(tmp_path: Path, plan: FaultPlan, reason: str) -> None:
    code = chatter()
    agent = AgentSpec("a", "a", content_hash(code), b"a", every_tick=True)
    project = Project(RunSpec("bad", 1, 0, 1, "portable", (agent,)), {agent.module: code}, ticks=3)
    path = tmp_path / "r.tick"
    with Run(project, path) as run:
        run.run_to_end()
    tamper(path, lambda file: file.put_spec(lambda spec: with_faults(spec, plan)), rechain=True)
    for use in (replay, Recording.open):
        with pytest.raises(RunFileError, match=f"its faults cannot be: {reason}"):
            use(path)


def test_the_plans_above_are_the_only_thing_wrong(tmp_path: Path) -> None:
    code = chatter()
    agent = AgentSpec("a", "a", content_hash(code), b"a", every_tick=True)
    spec = with_faults(RunSpec("bad", 1, 0, 1, "portable", (agent,)), FaultPlan((Delay(1, "a"),)))
    with Run(Project(spec, {agent.module: code}, ticks=3), tmp_path / "r.tick") as run:
        run.run_to_end()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=RunSpec) == spec
    assert replay(tmp_path / "r.tick").identical
