"""One setup serves many cases, and each is the ordinary run that it stands for."""

from pathlib import Path

import pytest
from planted_systems import SYSTEMS, planted, twin

from guests import drawer
from tickwork.core.digest import content_hash
from tickwork.core.faults import CrashAfter, CrashBefore, Drop, Pause, StarveFuel
from tickwork.core.grants import Capability, Grant
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.exploration.campaign import Campaign
from tickwork.exploration.case import Case, Horizon
from tickwork.exploration.execution import digests_of, run_case
from tickwork.exploration.explorer import Explorer
from tickwork.exploration.reproduce import record_case
from tickwork.exploration.stage import Stage
from tickwork.runtime.assemble import load_project
from tickwork.runtime.project import Project
from tickwork.testing import assert_replays

DICE = """
import random
import uuid

from tickwork_agent import Agent


class Dice(Agent):
    def setup(self, config):
        self.first = random.random()

    def on_line(self, message):
        self.send("dice", "line", [self.first, random.random(), str(uuid.uuid4()), self.random.random()])
"""
DICE_MANIFEST = """
[run]
name = "dice"
ticks = 8
until = "ticks"

[inputs.lines]
path = "lines.jsonl"
to = ["dice"]
topic = "line"

[[agents]]
id = "dice"
module = "dice.py"
grants = ["send:dice"]
"""


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_case_is_the_ordinary_run_with_its_seed_and_faults(name: str, tmp_path: Path) -> None:
    project = twin(name)
    with Explorer.of(project) as explorer:
        results = [
            result
            for chunk in Campaign(project.spec.seed).chunks(64)
            for result in explorer.run_chunk(chunk)
            if result.number % 9 == 7
        ]
        assert any(result.case.faults for result in results)
        for result in results:
            explored = explorer.run(result.case)
            assert explored.digests.digest == result.digest
            # Raises unless the run file's chain of digests is the explored one.
            record_case(
                project, result.case, explorer.stage.lines, explorer.assignment.horizon, explored,
                tmp_path / f"{result.number}.tick",
            )  # fmt: skip
        assert_replays(tmp_path / "7.tick")


@pytest.fixture
def dice(tmp_path: Path) -> Explorer:
    (tmp_path / "dice.py").write_text(DICE)
    (tmp_path / "lines.jsonl").write_text("1\n")
    (tmp_path / "tickwork.toml").write_text(DICE_MANIFEST)
    return Explorer.of(load_project(tmp_path))


def test_seeds_reach_what_setup_draws(dice: Explorer, tmp_path: Path) -> None:
    with dice:
        assert dice.stage.setup_draws
        digests = {}
        for seed in (1, 2, 1, 3):
            explored = dice.run(Case(seed))
            assert digests.setdefault(seed, explored.digests) == explored.digests
            horizon = Horizon(8, until_idle=False, must_idle=False)
            path = tmp_path / "x.tick"
            record_case(
                load_project(tmp_path), Case(seed), dice.stage.lines, horizon, explored, path, force=True
            )
        assert len(set(digests.values())) == 3
        assert dice.stage.setups > 1


def test_one_setup_serves_all_seeds_where_setup_draws_nothing() -> None:
    alone = Pause(9, "node-0", 40), Pause(9, "node-1", 40)
    with Explorer.of(twin("leader_split")) as explorer:
        assert not explorer.stage.setup_draws
        # The node that is left asks for votes in intervals of its own random numbers.
        found = {explorer.run(Case(seed, alone)).digests for seed in range(12)}
        assert len(found) > 1
        assert explorer.stage.setups == 1


def drawers() -> Project:
    """Two agents that draw in each step, and whose allocators are mutable globals."""
    module = content_hash(drawer())
    agents = tuple(
        AgentSpec(name, "d", module, other.encode(), (Grant(Capability.SEND, "*"),), every_tick=True)
        for name, other in (("a", "b"), ("b", "a"))
    )
    spec = RunSpec(name="drawn", seed=3, start_ns=0, tick_ns=1, floats="portable", agents=agents)
    return Project(spec, {module: drawer()})


def test_seeds_reach_what_is_drawn_after_setup(tmp_path: Path) -> None:
    project = drawers()
    horizon = Horizon(6, until_idle=False, must_idle=False)
    stage = Stage(project)
    try:
        digests = []
        for seed in (3, 4, 3, 5):
            explored = run_case(stage, Case(seed), horizon)
            record_case(project, Case(seed), (), horizon, explored, tmp_path / "x.tick", force=True)
            digests.append(explored.digests)
        assert stage.setups == 1
        assert digests[0] == digests[2]
        assert len(set(digests)) == 3
    finally:
        stage.close()


def test_agents_stand_after_a_case_as_they_stood_before_it() -> None:
    """Memory, globals and streams, also of those who were made anew because they failed."""
    for project in (twin("early_acknowledgement"), twin("lost_update"), drawers()):
        agents = range(len(project.spec.agents))
        horizon = Horizon(20, until_idle=True, must_idle=False)
        with Explorer.of(project) as explorer:
            stage = explorer.stage
            loop, _ = stage.begin(Case(0))
            before = [stage.pool.image(loop.world, agent) for agent in agents]
            crashed = project.spec.agents[1].id
            for faults in ((), (CrashBefore(3, crashed),), (Pause(2, crashed, 9),)):
                run_case(stage, Case(0, faults), horizon)
                loop, _ = stage.begin(Case(0))
                assert [stage.pool.image(loop.world, agent) for agent in agents] == before


def test_nothing_of_a_case_is_left_for_the_next() -> None:
    first = Case(0)
    others = (
        Case(0, (Drop(1, "teller"),)),
        Case(5, (CrashBefore(3, "account"),)),
        Case(0, (CrashAfter(2, "teller", 1), StarveFuel(3, "account"))),
        Case(0, (CrashBefore(0, "account"),)),
    )
    project = planted("duplicate_deposit")
    horizon = Horizon(30, until_idle=True, must_idle=False)
    with Explorer.of(project) as explorer:
        wanted = run_case(explorer.stage, first, horizon)
        for other in others:
            explored = run_case(explorer.stage, other, horizon)
            assert explored.digests != wanted.digests
            assert digests_of(explorer.stage, first, wanted.ticks) == wanted.digests
            with Explorer.of(project) as fresh:
                assert run_case(fresh.stage, other, horizon) == explored
