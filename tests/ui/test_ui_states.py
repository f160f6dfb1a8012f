"""Each page on a live run and on one of a thousand agents, while it waits, and with nothing to show."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, until
from page_steps import PAGES, address, click, drawn
from test_ui_follow import recording, wait_for
from viewer_server import Server, viewer

from shell_projects import SLOW, project, tickwork_here

pytestmark = pytest.mark.usefixtures("no_complaints")

# What each page has once it shows a run.
SHOWN = {
    "timeline": "document.querySelector('.timeline')?.dataset.drawn",
    "tick": "document.querySelector('.turn dl.facts')",
    "search": "document.body.innerText.includes('Nothing found') || document.querySelector('tbody tr')",
    "inference": "document.body.innerText.includes('No requests')",
    "compare": "document.querySelector('[data-verdict]')",
    "fork": "document.getElementById('command')?.textContent.includes('--at')",
}


def opened(page: Browser, server: Server, name: str, run: str, of: str) -> None:
    """Open a page of a run, and wait until it shows it."""
    asked: dict[str, object] = {"run": run, "tick": 2, "agent": of, "text": "ticker"}
    if name == "compare":
        asked = {"a": run, "b": run}
    page.open(address(server, name, **asked))
    until(page, f"Boolean({SHOWN[name]}) && !document.querySelector('.spinner, .state.failed')")


@pytest.mark.parametrize("name", PAGES)
def test_each_page_shows_a_thousand_agents(page: Browser, server: Server, name: str) -> None:
    opened(page, server, name, "crowd.tick", "n777")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A viewer of a run that is being recorded."""
    folder = tmp_path_factory.mktemp("live")
    made = project(folder / "p", *SLOW)
    with recording(made, folder / "live.tick", "--ticks", 20_000), viewer(folder) as served:
        wait_for(folder / "live.tick")
        yield served


@pytest.mark.parametrize("name", PAGES)
def test_each_page_shows_a_run_that_is_being_recorded(page: Browser, live: Server, name: str) -> None:
    of = live.ask("agents", run="live.tick")["agents"][0]["id"]
    opened(page, live, name, "live.tick", of)
    page.open("about:blank")


SAVED = """new Promise((done) => {
  const was = URL.createObjectURL;
  URL.createObjectURL = (blob) => {
    URL.createObjectURL = was;
    blob.text().then(done);
    return "data:text/plain,";
  };
  [...document.querySelectorAll("button")].find((one) => one.textContent === KIND).click();
})"""


def saved(page: Browser, kind: str) -> str:
    """Press the button that saves the view; return what would be in the file."""
    return str(page.evaluate(SAVED.replace("KIND", json.dumps(kind))))


def test_what_is_saved_is_what_is_in_sight(page: Browser, server: Server) -> None:
    page.open(address(server, "tick", run="usual.tick", tick=2, agent="echo"))
    until(page, "document.querySelectorAll('.graph .node').length >= 2")
    turn = server.ask("turn", run="usual.tick", tick=2, agent="echo")
    assert json.loads(saved(page, "JSON")) == turn
    lines = saved(page, "CSV").split("\r\n")
    assert len(lines) == 1 + len(turn["inbox"]) + len(turn["effects"])
    page.open(address(server, "timeline", run="usual.tick", tick=2))
    drawn(page, "detail")
    assert (
        len(json.loads(saved(page, "JSON"))["detail"]["turns"]) == len(saved(page, "CSV").split("\r\n")) - 1
    )
    page.open(address(server, "inference", run="asked.tick"))
    until(page, "document.querySelectorAll('tbody tr').length === 4")
    assert json.loads(saved(page, "JSON")) == server.ask("inference", run="asked.tick")["requests"]
    page.open(address(server, "search", run="usual.tick", text="seen"))
    until(page, "document.querySelectorAll('tbody tr').length > 5 && !document.querySelector('.spinner')")
    found = json.loads(saved(page, "JSON"))
    assert len(saved(page, "CSV").split("\r\n")) == 1 + len(found)


def test_a_page_says_that_there_is_nothing(page: Browser, server: Server, tmp_path: Path) -> None:
    for name, asked, told in (
        ("inference", {"run": "usual.tick"}, "No requests"),
        ("search", {"run": "usual.tick", "text": "zzzz"}, "Nothing found"),
        ("tick", {"run": "usual.tick", "tick": 1}, "Choose an agent"),
        ("timeline", {"run": "usual.tick"}, "Nothing selected"),
        ("compare", {"run": "usual.tick"}, "Choose"),
    ):
        page.open(address(server, name, **asked))
        until(page, f"document.body.innerText.includes({json.dumps(told)})")
    with viewer(tmp_path) as served:
        page.open(served.origin)
        until(page, "document.body.innerText.includes('No run files here yet')")
        page.open("about:blank")


def test_a_page_says_that_it_waits_and_then_shows_what_came(
    page: Browser, runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "usual.tick").write_bytes((runs / "usual.tick").read_bytes())
    with viewer(tmp_path) as served:
        # Each page's script comes when it is first opened.
        page.open(address(served, "tick", run="usual.tick", tick=1, agent="echo"))
        until(page, "document.querySelector('.turn dl.facts') !== null")
        page.evaluate("location.hash = '#/search?run=usual.tick'")
        until(page, "document.activeElement?.type === 'search'")
        served.process.send_signal(signal.SIGSTOP)
        try:
            page.evaluate("location.hash = '#/tick?run=usual.tick&tick=2&agent=echo'")
            until(page, "document.querySelector('.spinner') !== null")
        finally:
            served.process.send_signal(signal.SIGCONT)
        until(
            page, "document.querySelector('.turn dl.facts') !== null && !document.querySelector('.spinner')"
        )
        page.open("about:blank")


def test_the_keys_are_told_by_a_key(page: Browser, server: Server) -> None:
    page.open(address(server, "timeline", run="usual.tick", tick=2))
    drawn(page, "detail")
    page.press("?")
    until(page, "document.querySelector('dialog[open] .keys') !== null")
    click(page, "button", "Close")
    until(page, "document.querySelector('dialog[open]') === null")


def test_a_run_that_is_resumed_is_followed_on(page: Browser, tmp_path: Path) -> None:
    made = project(tmp_path / "p", *SLOW)
    file = tmp_path / "run.tick"
    with recording(made, file, "--ticks", 20_000):
        wait_for(file)
    with viewer(tmp_path) as served:
        page.open(address(served, "timeline", run="run.tick"))
        drawn(page, "detail")
        before = served.ask("run", run="run.tick")["standing"]
        assert tickwork_here("resume", file, "--ticks", 5).code == 0
        until(
            page, f"document.querySelector('#standing').innerText.includes('{before['end_tick'] + 5} ticks')"
        )
        after = served.ask("run", run="run.tick")["standing"]
        assert (after["generation"], after["status"]) == (before["generation"], "ticks")
        page.open("about:blank")


# A server whose answer begins and then does not go on.
_GIVEN_UP = """import("/static/api.js").then(async ({ Latest }) => {
  const fetched = window.fetch;
  window.fetch = async (_, { signal }) => ({
    ok: true,
    status: 200,
    json: () => new Promise((_, fail) => signal.addEventListener("abort", () => fail(signal.reason))),
  });
  const latest = new Latest();
  const asked = latest.ask("runs");
  await new Promise((done) => setTimeout(done, 20));
  latest.cancel();
  window.fetch = fetched;
  return asked.then((found) => found === null, (error) => error.message);
})"""


def test_an_answer_that_is_given_up_halfway_is_no_error(page: Browser, server: Server) -> None:
    page.open(server.origin)
    assert page.evaluate(_GIVEN_UP) is True
