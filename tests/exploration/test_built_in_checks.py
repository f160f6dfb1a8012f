"""What every run is held to without anybody asking, by systems that break it and systems that do not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from planted_systems import twin

from tickwork.core.errors import InputError
from tickwork.core.faults import CrashBefore, Pause, StarveFuel
from tickwork.exploration.case import Case
from tickwork.exploration.checks import (
    AGENTS_LIVE,
    DETERMINISTIC,
    GOES_IDLE,
    NOTHING_STARVES,
    Check,
    Failure,
    load_checks,
)
from tickwork.exploration.explorer import Chunk, Explorer
from tickwork.exploration.plans import FaultMix
from tickwork.runtime.assemble import load_project
from tickwork.runtime.project import Project

MANIFEST = """
[run]
name = "busy"
{run}

[inputs.lines]
path = "lines.jsonl"
to = ["one"]

[[agents]]
id = "one"
module = "one.py"
grants = ["send:one", "send:two", "timer"]
{keys}

[[agents]]
id = "two"
module = "two.py"
grants = ["send:one"]
"""


@pytest.fixture
def busy(tmp_path: Path) -> Callable[..., Project]:
    """Return a project of two Python agents; `one` and `two` are the bodies of their `on_message`."""

    def make(one: str, two: str = "pass", *, run: str = "ticks = 150", keys: str = "") -> Project:
        for name, body in (("one", one), ("two", two)):
            (tmp_path / f"{name}.py").write_text(
                "from tickwork_agent import Agent\n\n\n"
                f"class Thing(Agent):\n    def on_message(self, message):\n        {body}\n"
            )
        (tmp_path / "lines.jsonl").write_text("1\n")
        (tmp_path / "tickwork.toml").write_text(MANIFEST.format(run=run, keys=keys))
        return load_project(tmp_path)

    return make


def outcome(project: Project, *faults: object) -> tuple[str, int, str] | None:
    with Explorer.of(project) as explorer:
        failure = explorer.run(Case(0, faults)).failure  # type: ignore[arg-type]
    return None if failure is None else (failure.check, failure.tick, failure.message)


def test_an_agent_that_fails_is_a_failure(busy) -> None:
    found = outcome(busy("raise ValueError(message.json())"))
    assert found is not None
    assert found[:2] == (AGENTS_LIVE, 1)
    assert "agent 'one' fails" in found[2]
    assert "ValueError: 1" in found[2]


@pytest.mark.parametrize("fault", [CrashBefore(1, "one"), StarveFuel(1, "one")])
def test_an_agent_that_a_fault_breaks_is_none(busy, fault) -> None:
    assert outcome(busy("raise ValueError(message.json())"), fault) is None


def test_a_run_that_is_busy_to_the_end_is_a_failure(busy) -> None:
    found = outcome(busy("self.send('one', 'again')"))
    assert found == (GOES_IDLE, 149, "still busy after 150 ticks: messages wait for one")


def test_a_timer_that_runs_to_the_end_is_a_failure(busy) -> None:
    found = outcome(busy("self.timer('again', after_ticks=200)"))
    assert found == (GOES_IDLE, 149, "still busy after 150 ticks: timers of one run")


@pytest.mark.parametrize(
    ("run", "keys"), [('ticks = 150\nuntil = "ticks"', ""), ("ticks = 150", "every_tick = true")]
)
def test_a_run_that_is_meant_to_be_busy_is_none(busy, run, keys) -> None:
    assert outcome(busy("self.send('one', 'again')", run=run, keys=keys)) is None


def test_a_message_that_a_full_mailbox_refuses_is_a_failure(busy) -> None:
    run = "ticks = 150\n[defaults.limits]\nmailbox_messages = 5"
    assert outcome(busy("[self.send('two', 'more') for _ in range(5)]", run=run)) is None
    found = outcome(busy("[self.send('two', 'more') for _ in range(6)]", run=run))
    assert found is not None
    assert found[:2] == (NOTHING_STARVES, 1)
    assert "a message of 'one' is lost" in found[2]


def test_a_message_that_lies_in_a_mailbox_is_a_failure(busy) -> None:
    forwarding = busy("self.send('two', 'more')")
    assert outcome(forwarding, Pause(1, "two", 60)) is None
    found = outcome(forwarding, Pause(1, "two", 140))
    assert found == (NOTHING_STARVES, 124, "a message has waited 124 ticks for agent 'two'")


def test_a_run_that_comes_out_otherwise_the_second_time_is_a_failure(busy) -> None:
    project = busy("self.send('two', 'more', __import__('os').urandom(8).hex())")

    def invariant_untouched(view) -> None:
        # Checks are not asked in the second execution: this one changes what comes after it in the first.
        if view.tick == 0:
            view._image.__self__.instance(0).state.seed = b"another"

    found = {}
    for checks in ((), (Check("invariant_untouched", goal=False, judge=invariant_untouched),)):
        with Explorer.of(project, checks=checks, mix=FaultMix(weights=())) as explorer:
            (result,) = explorer.run_chunk(Chunk(0, 1, Case(0)))
            found[len(checks)] = result.failure
    assert found[0] is None
    assert found[1] == Failure(DETERMINISTIC, 2, "two executions differ")


def test_a_correct_system_fails_none_of_them() -> None:
    for name in ("duplicate_deposit", "dropped_reply"):
        with Explorer.of(twin(name)) as explorer:
            assert explorer.run(Case(0)).failure is None


def test_a_file_of_checks_tells_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "check.py"
    with pytest.raises(InputError, match="is no Python file with checks"):
        load_checks(path)
    path.write_text("x = 1\n")
    with pytest.raises(InputError, match="has no function whose name begins with `invariant_` or `goal_`"):
        load_checks(path)
    path.write_text("def goal_of_nothing(): pass\n")
    with pytest.raises(InputError, match="goal_of_nothing must take one argument, the view"):
        load_checks(path)
    path.write_text("import nothing_of_that_name\n")
    with pytest.raises(InputError, match="cannot be run: ModuleNotFoundError"):
        load_checks(path)
