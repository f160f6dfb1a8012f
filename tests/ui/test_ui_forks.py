"""Forks from the page: only where they are allowed, beside their parent, and as the command makes them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from viewer_server import Server, viewer

from shell_projects import entries_of, tickwork_here

EDITS = '[[replace]]\nto = "sink"\ntopic = "seen"\nbody = "77"\n'


@pytest.fixture
def allowed(tmp_path: Path, runs: Path) -> Iterator[Server]:
    shutil.copy(runs / "usual.tick", tmp_path / "usual.tick")
    with viewer(tmp_path, "--allow-fork") as served:
        token = served.address.partition("?token=")[2]
        served.headers = {"Authorization": f"Bearer {token}", "Origin": served.origin}
        yield served


def order(served: Server, **wishes: object) -> Any:
    asked = {"run": "usual.tick", "tick": 4, "name": "made", "edits": EDITS, **wishes}
    headers = {"Content-Type": "application/json"}
    return served.request("/api/forks", method="POST", body=asked, headers=headers)


def made(served: Server, job: dict[str, Any]) -> dict[str, Any]:
    for _ in range(400):
        found = served.ask("fork", job=job["job"])
        assert isinstance(found, dict)
        if found["state"] != "running":
            return found
        Event().wait(0.05)
    pytest.fail("the fork never ended")
    return {}


def test_a_fork_is_the_one_that_the_command_makes(allowed: Server, runs: Path, tmp_path: Path) -> None:
    reply = order(allowed)
    assert reply.status == 200, reply.body
    job = made(allowed, reply.json)
    assert (job["state"], job["fork"]) == ("done", "made.tick")
    assert str(tmp_path) not in job["told"]
    assert entries_of(tmp_path / "made.tick") == entries_of(runs / "fork.tick")
    assert (tmp_path / "made.edits.toml").read_text() == EDITS
    assert {row["file"] for row in allowed.ask("runs")["runs"]} == {"usual.tick", "made.tick"}


def test_a_fork_that_cannot_be_made_says_why(allowed: Server, tmp_path: Path) -> None:
    job = made(allowed, order(allowed, edits='[[drop]]\nto = "nobody"\n').json)
    assert job["state"] == "failed"
    assert "nobody" in job["told"]
    assert not (tmp_path / "made.tick").exists()


@pytest.mark.parametrize(
    "wishes",
    [
        {"name": "../escaped"},
        {"name": "/tmp/escaped"},
        {"name": "sub/escaped"},
        {"name": ""},
        {"name": "-o"},
        {"name": ".hidden"},
        {"name": "usual"},
        {"run": "../usual.tick"},
        {"run": "other.tick"},
        {"tick": -1},
        {"tick": "4; rm"},
        {"ticks": 0},
        {"edits": "no toml ["},
        {"edits": '[agents.echo]\nmodule = "/etc/passwd"\nrestart = true\n'},
        {"edits": '[agents.echo]\nmodules = ["/etc/passwd"]\n'},
        {"edits": '[faults]\npath = "/etc/passwd"\n'},
        {"more": 1},
    ],
)
def test_an_order_that_leads_elsewhere_is_refused_and_leaves_nothing(
    allowed: Server, tmp_path: Path, wishes: dict[str, object]
) -> None:
    before = sorted(tmp_path.parent.rglob("*"))
    reply = order(allowed, **wishes)
    assert reply.status == 400, reply.body
    assert reply.json["error"]
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_nothing_is_overwritten(allowed: Server, tmp_path: Path) -> None:
    (tmp_path / "made.edits.toml").write_text("mine")
    assert order(allowed).status == 400
    assert (tmp_path / "made.edits.toml").read_text() == "mine"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Authorization": "Bearer wrong"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_no_other_page_can_order_a_fork(allowed: Server, tmp_path: Path, headers: dict[str, str]) -> None:
    asked = {"run": "usual.tick", "tick": 4, "name": "made", "edits": ""}
    given = {"Content-Type": "application/json", **headers}
    assert allowed.request("/api/forks", method="POST", body=asked, headers=given).status in {400, 401, 403}
    assert not (tmp_path / "made.tick").exists()


def test_an_order_without_an_origin_is_refused(allowed: Server) -> None:
    allowed.headers.pop("Origin")
    assert order(allowed).status == 403


def test_without_the_extra_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickwork.cli.ui.find_spec", lambda name: None if name == "uvicorn" else object())
    done = tickwork_here("ui", tmp_path)
    assert done.code == 2
    assert "pip install 'tickwork[ui]'" in done.err
    assert done.out == ""


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = tickwork_here("ui", tmp_path / "nothing", "--port", 0)
    assert (done.code, done.error) == (2, f"{tmp_path / 'nothing'}: there is no such file or folder")
