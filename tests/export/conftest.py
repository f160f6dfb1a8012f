"""The runs that are exported."""

from pathlib import Path

import pytest

from asked_run import asked
from shell_projects import agent, project, tickwork_here


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with messages, outputs, logs, a spawn, a failure, refusals, and requests that are denied."""
    folder = tmp_path_factory.mktemp("exported")
    made = project(
        folder / "p",
        agent("sink", "sink"),
        agent("frail", "fail"),
        agent("spawner", "spawner", "spawn:worker"),
        agent("echo", "echo", "send:sink", "output:out"),
        agent("shout", "shout", "send:sink"),
        lines="".join(f"{number}\n" for number in range(6)),
        more='[kinds.worker]\nmodule = "puppet.wasm"\nconfig = "echo"\n',
    )
    to = 'to = ["frail", "spawner", "echo", "shout"]'
    (made / "tickwork.toml").write_text((made / "tickwork.toml").read_text().replace('to = "sink"', to))
    file = folder / "run.tick"
    assert tickwork_here("run", made, "--out", file, "--allow-failures").code == 0
    return file


@pytest.fixture(scope="session")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with answers of models, one of them in pieces, and with faults."""
    return asked(tmp_path_factory.mktemp("answered") / "asked.tick")
