"""One folder of runs and one viewer of it for all tests that only look."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs the extra `ui`")
pytest.importorskip("uvicorn", reason="needs the extra `ui`")

from browser import Browser, browser
from viewer_runs import crowd, forked, hostile, plain, torn, usual
from viewer_server import Server, viewer

from asked_run import asked
from shaky_run import shaky


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with usual.tick, its fork.tick, and hostile, crowd, torn, text, long, asked and shaky.tick."""
    folder = tmp_path_factory.mktemp("viewed")
    file = usual(folder)
    forked(folder, file)
    hostile(folder)
    crowd(folder)
    torn(folder, file)
    plain(folder / "long.tick")
    asked(folder / "asked.tick")
    shaky(folder / "shaky.tick")
    (folder / "text.tick").write_text("not a run " * 100)
    return folder


@pytest.fixture(scope="session")
def server(runs: Path) -> Iterator[Server]:
    with viewer(runs) as served:
        yield served


@pytest.fixture(scope="session", params=["chromium", "firefox"])
def page(request: pytest.FixtureRequest) -> Iterator[Browser]:
    with browser(request.param) as found:
        yield found


@pytest.fixture
def no_complaints(page: Browser) -> Iterator[None]:
    """Whatever a test does, the page throws nothing and its policy has nothing to refuse."""
    page.complaints.clear()
    yield
    # That a request was refused, each browser notes in its own words.
    refused = ("status of 4", "establish a connection", "was interrupted while the page was loading")
    assert [said for said in page.complaints if not any(part in said for part in refused)] == []
