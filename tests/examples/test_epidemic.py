"""The epidemic example: what it must keep to, and that Mesa's model of it comes to the same."""

import dataclasses
import importlib.util
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from tickwork.core.spec import AgentSpec
from tickwork.runtime.assemble import load_project
from tickwork.runtime.programs import compile_project
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "epidemic"
PEOPLE = 900
SEEDS = 20
PERMUTATIONS = 4000
# Bounds what chance alone may do; all seeds are fixed, so a test that passes keeps passing.
P_MIN = 0.01
DIGEST = "0d644159a49a16363bee2e3b9d61ebcfb22c91f010c8a2e05dd57e5cada9bb78"


def small(seed: int, *, people: int = PEOPLE, catch_ppm: int = 60_000) -> Project:
    """Return the example with fewer people."""
    project = load_project(EXAMPLE)
    config = json.dumps({"people": people, "catch_ppm": catch_ppm, "recover_ppm": 200_000}).encode()

    def changed(agent: AgentSpec) -> AgentSpec:
        return replace(agent, config=config)

    persons = [agent for agent in project.spec.agents if agent.kind == "person"][:people]
    census = next(agent for agent in project.spec.agents if agent.kind == "census")
    agents = tuple(map(changed, [*persons, census]))
    return dataclasses.replace(project, spec=replace(project.spec, seed=seed, agents=agents))


def curve_of(project: Project, folder: Path, programs: Any, workers: int = 1) -> list[dict[str, int]]:
    folder.mkdir()
    project = project.with_paths(inputs={}, outputs={"curve": str(folder / "curve.jsonl")})
    with Run(project, folder / "x.tick", programs=programs, workers=workers) as run:
        assert run.run_to_end() == "idle"
        assert not run.tally.failed
        assert run.tally.rejected == run.tally.denied == 0
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]


def summary(curve: list[dict[str, int]]) -> tuple[int, int, int]:
    peak = max(curve, key=lambda day: day["sick"])
    return curve[-1]["recovered"], peak["sick"], peak["tick"]


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, int]]]:
    folder = tmp_path_factory.mktemp("epidemics")
    programs = compile_project(small(0))
    return [curve_of(small(seed), folder / str(seed), programs) for seed in range(SEEDS)]


def test_everybody_is_counted_every_day_until_nobody_is_sick(curves: list[list[dict[str, int]]]) -> None:
    for curve in curves:
        assert [day["tick"] for day in curve] == list(range(1, len(curve) + 1))
        for before, day in itertools.pairwise(curve):
            assert day["susceptible"] + day["sick"] + day["recovered"] == PEOPLE
            assert day["susceptible"] <= before["susceptible"]
            assert day["recovered"] >= before["recovered"]
        assert curve[2] == {"tick": 3, "susceptible": PEOPLE - 20, "sick": 20, "recovered": 0}
        assert curve[-1]["sick"] == 0


def test_without_contagion_only_the_patients_are_ever_sick(tmp_path: Path) -> None:
    project = small(3, catch_ppm=0)
    size, peak, peak_tick = summary(curve_of(project, tmp_path / "run", compile_project(project)))
    assert (size, peak, peak_tick) == (20, 20, 3)


def p_value(one: list[int], other: list[int]) -> float:
    """Return how often chance alone sets two samples' means at least this far apart (a permutation test)."""
    random = np.random.default_rng(7)
    both = np.array([*one, *other], dtype=float)
    shuffled = random.permuted(np.tile(both, (PERMUTATIONS, 1)), axis=1)
    apart = np.abs(shuffled[:, : len(one)].mean(axis=1) - shuffled[:, len(one) :].mean(axis=1))
    return float((apart >= abs(np.mean(one) - np.mean(other)) - 1e-9).mean())


def mesa_model() -> Any:
    pytest.importorskip("mesa", reason="Mesa is not installed: pip install 'tickwork[dev]'")
    path = ROOT / "bench" / "peers" / "epidemic_mesa.py"
    spec = importlib.util.spec_from_file_location("epidemic_mesa", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["epidemic_mesa"] = module
    spec.loader.exec_module(module)
    return module


def test_the_model_in_mesa_comes_to_statistically_equal_epidemics(curves: list[list[dict[str, int]]]) -> None:
    twin = mesa_model()
    ours = [summary(curve) for curve in curves]
    found = [twin.simulate(PEOPLE, seed) for seed in range(SEEDS)]
    theirs = [(one.size, one.peak, one.peak_tick) for one in found]
    for place, measure in enumerate(("size", "peak", "tick of the peak")):
        p = p_value([one[place] for one in ours], [one[place] for one in theirs])
        assert p > P_MIN, f"{measure}: p = {p}"
    # The test can tell: a tenth more contagion is another epidemic.
    wrong = [twin.simulate(PEOPLE, seed, catch_ppm=72_000) for seed in range(SEEDS)]
    assert p_value([one[0] for one in ours], [one.size for one in wrong]) < P_MIN


def test_an_epidemic_is_the_same_on_every_pool(tmp_path: Path) -> None:
    programs = compile_project(small(5))
    found = [curve_of(small(5), tmp_path / str(workers), programs, workers) for workers in (0, 1, 3)]
    assert found[0] == found[1] == found[2]


def test_the_example_runs_as_it_stands_and_its_curve_is_drawn(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tickwork", "run", str(EXAMPLE), "--out", "x.tick",
         "--output", "curve=curve.jsonl", "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == DIGEST
    curve = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert curve[-1]["recovered"] > 5000
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'tickwork[plot]'")
    drawn = subprocess.run(
        [sys.executable, str(EXAMPLE / "plot.py"), "curve.jsonl", "curve.svg"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (drawn.returncode, drawn.stdout) == (0, "curve.svg\n"), drawn.stderr
    assert (tmp_path / "curve.svg").read_text().count("<path") > len("three lines and a grid")
    lost = subprocess.run(
        [sys.executable, str(EXAMPLE / "plot.py"), "nothing.jsonl"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert lost.returncode == 1
    assert "there is no such file" in lost.stderr


def test_agents_that_are_told_nonsense_say_so(tmp_path: Path) -> None:
    whole = small(1)
    lone = replace(whole.spec.agents[0], config=b"{}")
    project = Project(replace(whole.spec, agents=(lone,), inputs=(), outputs=()), whole.modules)
    with Run(project, tmp_path / "x.tick") as run:
        run.advance()
        assert run.world.agents[0].reason == (
            "guest-error: the config needs people, catch_ppm and recover_ppm"
        )
