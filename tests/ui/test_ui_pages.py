"""Every page in real browsers: a finished run, a live one, a thousand agents, files that cannot be read."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from browser import HIGH, WIDE, Browser, until
from page_steps import PAGES, address, click, drawn, text
from test_ui_follow import recording, wait_for
from viewer_server import Server, viewer

from shell_projects import SLOW, project

pytestmark = pytest.mark.usefixtures("no_complaints")


def inked(page: Browser) -> int:
    """Return how many of the lanes' pixels are not the ground's."""
    return int(
        page.evaluate(
            """(() => {
              const canvas = document.querySelector("canvas.lanes");
              const [wide, high] = [canvas.width - 180, canvas.height - 50];
              const { data } = canvas.getContext("2d").getImageData(160, 40, wide, high);
              let count = 0;
              for (let at = 0; at < data.length; at += 4) count += Math.abs(data[at] - data[at + 2]) > 40;
              return count;
            })()"""
        )
    )


def test_the_list_shows_every_run_and_why_some_cannot_be_read(page: Browser, server: Server) -> None:
    page.open(server.origin)
    until(page, "document.querySelectorAll('#runs tbody tr').length === 9")
    shown = text(page)
    assert "usual.tick" in shown
    assert "before tick 4" in shown
    assert "truncated" in shown
    assert "not an SQLite database" in shown
    click(page, "#runs a", "usual.tick")
    drawn(page, "detail")


def test_the_timeline_draws_turns_and_tells_of_the_one_that_is_chosen(page: Browser, server: Server) -> None:
    page.open(address(server, "timeline", run="usual.tick", tick=2, agent="echo"))
    drawn(page, "detail")
    until(page, "document.querySelector('aside h2')?.textContent === 'echo'")
    assert inked(page) > 500
    page.press("ArrowRight")
    until(page, "location.hash.includes('tick=3') && location.hash.includes('agent=echo')")
    page.press("ArrowDown")
    until(page, "location.hash.includes('agent=memo')")
    page.press("Home")
    until(page, "location.hash.includes('tick=0')")
    page.press("End")
    until(page, "location.hash.includes('tick=12')")
    until(page, "document.querySelector('input[type=range]').value === '12'")
    page.press("Enter")
    until(page, "location.hash.startsWith('#/tick') && document.querySelector('h1')?.textContent === 'Tick'")


def test_a_narrow_window_has_all_of_the_timeline_in_it(page: Browser, server: Server) -> None:
    page.resize(600, 900)
    try:
        page.open(address(server, "timeline", run="crowd.tick", tick=3, agent="n1"))
        drawn(page, "detail")
        until(page, "document.querySelector('aside h2')?.textContent === 'n1'")
        assert inked(page) > 500
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    finally:
        page.resize(WIDE, HIGH)


def test_what_is_played_is_drawn_while_it_plays(page: Browser, server: Server) -> None:
    page.open(address(server, "timeline", run="long.tick", tick=0, agent="a1"))
    drawn(page, "detail")
    page.evaluate("document.querySelector('.transport select').value = '50'")
    page.press(" ")
    until(page, "document.querySelector('input[type=range]').value > 90")
    assert inked(page) > 500
    page.press(" ")


def test_what_went_wrong_is_found_by_a_key(page: Browser, server: Server) -> None:
    page.open(address(server, "timeline", run="usual.tick"))
    drawn(page, "detail")
    page.press("n")
    until(page, "location.hash.includes('agent=frail') && location.hash.includes('tick=1')")
    until(page, "document.querySelector('aside .chip.fail')?.textContent === 'guest-error'")


def test_a_thousand_agents_are_drawn_from_afar_and_from_near(page: Browser, server: Server) -> None:
    page.open(address(server, "timeline", run="crowd.tick"))
    until(page, "document.querySelector('#standing')?.innerText.includes('1,000 agents')")
    until(page, "document.querySelector('.timeline')?.dataset.drawn")
    click(page, "button", "All agents")
    until(page, "document.querySelector('.timeline')?.dataset.drawn")
    until(page, "!document.querySelector('.stage .spinner')")
    assert inked(page) > 5_000
    page.open(address(server, "timeline", run="crowd.tick", tick=20, agent="n777"))
    until(page, "document.querySelector('aside h2')?.textContent === 'n777'")
    drawn(page, "detail")


def test_a_turn_is_shown_with_its_causes(page: Browser, server: Server) -> None:
    page.open(address(server, "tick", run="usual.tick", tick=2, agent="echo"))
    until(page, "document.querySelectorAll('.graph .node').length >= 2")
    shown = text(page)
    for part in ("Inbox", "Effects", "Causes and consequences", "Over time", "Grants", "Limits", "output"):
        assert part in shown
    click(page, ".stack .where a", "sink")
    until(page, "location.hash.includes('agent=sink') && location.hash.includes('tick=3')")
    page.press("ArrowLeft")
    until(page, "location.hash.includes('tick=2')")


def test_the_state_of_a_python_agent_is_shown_on_demand(page: Browser, server: Server) -> None:
    page.open(address(server, "tick", run="usual.tick", tick=5, agent="memo"))
    click(page, "button", "Show its attributes before this tick")
    until(page, "document.body.innerText.includes('\"seen\": [')")


def test_a_link_leads_to_one_message(page: Browser, server: Server) -> None:
    page.open(address(server, "tick", run="usual.tick", tick=2, agent="echo", at="effect-1"))
    assert until(page, "document.querySelector('.stack .item.pointed')?.dataset.at") == "effect-1"
    page.open(address(server, "timeline", run="usual.tick", tick=2, agent="echo", at="inbox-0"))
    assert until(page, "document.querySelector('aside .item.pointed')?.dataset.at") == "inbox-0"
    page.open(address(server, "search", run="usual.tick", text="seen"))
    until(page, "document.querySelectorAll('tbody tr').length > 5")
    page.evaluate("document.querySelector('tbody tr a').click()")
    until(page, "document.querySelector('.stack .item.pointed') !== null")


def test_search_finds_as_one_types(page: Browser, server: Server) -> None:
    page.open(address(server, "search", run="usual.tick"))
    until(page, "document.activeElement?.type === 'search'")
    for key in "seen":
        page.press(key)
    until(page, "document.querySelectorAll('tbody tr').length > 5")
    assert page.evaluate("document.querySelector('mark').textContent").lower() == "seen"
    until(page, "location.hash.includes('text=seen')")


def test_a_request_is_shown_with_its_answer_and_its_batch(page: Browser, server: Server) -> None:
    page.open(address(server, "inference", run="asked.tick"))
    until(page, "document.querySelectorAll('tbody tr').length === 4")
    shown = text(page)
    for part in ("Who is there?", "It is me, <b>the model</b>.", "one two", "5 → 7", "failed", "waiting"):
        assert part in shown
    page.evaluate("document.querySelector('tbody tr').click()")
    shown = until(page, "document.querySelector('section.panel')?.innerText")
    for part in ("with asker, other", "prompt tokens 5", "in tick 3", "cpu", "abababababababab", "stop"):
        assert part in shown
    page.evaluate("document.querySelectorAll('tbody tr')[2].click()")
    until(page, "document.querySelector('.said.failed')?.innerText.includes('too long')")
    page.open(address(server, "inference", run="asked.tick", of="other"))
    until(page, "document.querySelectorAll('tbody tr').length === 1")
    page.open(address(server, "inference", run="asked.tick", model="tiny"))
    until(page, "document.querySelectorAll('tbody tr').length === 4")
    assert page.evaluate("document.querySelector('select').value") == "tiny"


def test_faults_are_marked_and_told(page: Browser, server: Server) -> None:
    page.open(address(server, "timeline", run="asked.tick", tick=2, agent="other"))
    until(page, "document.querySelectorAll('aside .chip.fault').length === 3")
    for kind in ("delay", "drop", "duplicate"):
        assert kind in text(page)
    page.press("n")
    until(page, "location.hash.includes('tick=4') && location.hash.includes('agent=frail')")
    until(page, "document.querySelector('aside .chip.fault')?.textContent === 'crash-before'")


def test_who_failed_and_goes_on_is_shown_with_its_dead_letters(page: Browser, server: Server) -> None:
    page.open(address(server, "timeline", run="shaky.tick", tick=2, agent="back"))
    drawn(page, "detail")
    until(page, "document.querySelector('aside .chip.ok')?.textContent === 'rolled back'")
    page.open(address(server, "tick", run="shaky.tick", tick=2, agent="again"))
    until(page, "document.querySelectorAll('.item.refused').length === 6")
    shown = text(page)
    for part in (
        "Undelivered",
        "restarted",
        "restart, at most 2 times in 10 ticks, then it ends",
        "from sender",
    ):
        assert part in shown


def test_comparing_shows_where_two_runs_part(page: Browser, server: Server) -> None:
    page.open(address(server, "compare", a="usual.tick", b="fork.tick"))
    assert until(page, "document.querySelector('[data-verdict]')?.dataset.verdict") != "identical"
    page.open(address(server, "compare", a="usual.tick", b="usual.tick"))
    until(page, "document.querySelector('[data-verdict]')?.dataset.verdict === 'identical'")


def test_a_fork_is_written_as_edits_and_a_command(page: Browser, server: Server) -> None:
    page.open(address(server, "fork", run="usual.tick", tick=4, agent="sink"))
    click(page, "button", "Replace")
    edits = until(page, "document.querySelector('textarea[rows=\"16\"]').value")
    assert '[[replace]]\nto = "sink"\n' in edits
    command = str(page.evaluate("document.getElementById('command').textContent"))
    assert command == "tickwork fork usual.tick --at 4 --edit usual-fork.edits.toml --out usual-fork.tick"
    assert "Make the fork" not in text(page)
    assert "--allow-fork" in text(page)


def test_a_fork_is_made_where_that_is_allowed(page: Browser, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "usual.tick").write_bytes((runs / "usual.tick").read_bytes())
    with viewer(tmp_path, "--allow-fork") as served:
        page.open(served.address)
        until(page, "document.querySelectorAll('#runs tbody tr').length === 1")
        assert "token" not in page.evaluate("location.href")
        page.evaluate("location.hash = '#/fork?run=usual.tick&tick=4'")
        until(page, "document.getElementById('command')?.textContent.includes('--at 4')")
        click(page, "button", "Make the fork")
        until(page, "document.body.innerText.includes('compare with its parent')")
        page.open("about:blank")
    assert (tmp_path / "usual-fork.tick").exists()


def test_nothing_that_agents_say_is_executed(page: Browser, server: Server) -> None:
    """Every page of a run whose every word is an attack."""
    for name in PAGES:
        asked: dict[str, Any] = {"run": "hostile.tick", "tick": 1, "agent": "echo", "text": "script"}
        if name == "compare":
            asked = {"a": "hostile.tick", "b": "hostile.tick"}
        page.open(address(server, name, **asked))
        until(page, "document.querySelector('h1, .timeline') !== null && !document.querySelector('.spinner')")
        assert page.evaluate("window.evil ?? null") is None
        assert page.evaluate("document.querySelectorAll('main img, main script, main iframe').length") == 0
        links = page.evaluate("[...document.querySelectorAll('main a')].map((a) => a.getAttribute('href'))")
        assert all(link.startswith("#/") for link in links)
    page.open(address(server, "tick", run="hostile.tick", tick=1, agent="echo"))
    until(page, "document.body.innerText.includes('<script>window.evil')")
    page.open(address(server, "tick", run="hostile.tick", tick=3, agent="echo"))
    # What would turn the text around is shown as its code.
    until(page, "document.body.innerText.includes('\\\\u202edesrever')")


def test_a_saved_view_holds_no_formula(page: Browser, server: Server) -> None:
    page.open(server.origin)
    saved = page.evaluate(
        "import('/static/save.js').then(({ csv }) => "
        "csv([{ a: '=1+1', b: 'x,\"y\"', c: -3 }, { a: '@x', d: null }]))"
    )
    assert saved == 'a,b,c,d\r\n\'=1+1,"x,""y""",-3,\r\n\'@x,,,'


def test_edits_that_are_typed_are_text_in_toml(page: Browser, server: Server) -> None:
    page.open(server.origin)
    body = 'a "quote" \\ \n\t end\x7f\x00 \u00e9 [[drop]]'
    item = {"to": "x", "topic": '"]\n[[drop]]', "body": body}
    edits = {
        "seed": "7",
        "inject": [item],
        "drop": [],
        "replace": [],
        "agents": [{"id": "a/1", "fuel": "", "restart": True}],
    }
    made = page.evaluate(
        f"import('/static/edits.js').then(({{ editsText }}) => editsText({json.dumps(edits)}))"
    )
    assert tomllib.loads(made) == {"seed": 7, "inject": [item], "agents": {"a/1": {"restart": True}}}


@pytest.mark.parametrize("name", ["torn.tick", "text.tick", "nothing.tick"])
def test_a_file_that_cannot_be_read_says_why_on_every_page(page: Browser, server: Server, name: str) -> None:
    for each in ("timeline", "tick", "search", "inference", "fork"):
        page.open(address(server, each, run=name, tick=1, agent="a", text="x"))
        until(page, "document.querySelector('.state.failed, #banner:not([hidden])') !== null")
        assert "undefined" not in text(page)


def test_a_live_run_is_followed_within_a_second(page: Browser, tmp_path: Path) -> None:
    made = project(tmp_path / "p", *SLOW)
    file = tmp_path / "live.tick"
    with recording(made, file, "--ticks", 20_000), viewer(tmp_path) as served:
        wait_for(file)
        page.open(address(served, "timeline", run="live.tick"))
        until(page, "document.querySelector('#standing .live') !== null")
        first = page.evaluate("Number(new URLSearchParams(location.hash.split('?')[1]).get('tick'))")
        until(page, f"Number(new URLSearchParams(location.hash.split('?')[1]).get('tick')) > {first + 3}")
        newest = served.ask("run", run="live.tick")["standing"]["end_tick"]
        until(page, f"Number(new URLSearchParams(location.hash.split('?')[1]).get('tick')) >= {newest - 1}")
        page.open(served.origin)
        until(page, "document.querySelector('#runs .live') !== null")
        page.open("about:blank")


def test_a_page_says_that_its_server_is_gone_and_goes_on_when_it_is_back(
    page: Browser, runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "usual.tick").write_bytes((runs / "usual.tick").read_bytes())
    with viewer(tmp_path) as served:
        port = served.port
        page.open(address(served, "timeline", run="usual.tick", tick=2))
        drawn(page, "detail")
    until(page, "document.getElementById('banner').innerText.includes('does not answer')")
    page.press("n")
    until(page, "document.querySelector('.tip').innerText.includes('does not answer')")
    with viewer(tmp_path, "--port", port):
        until(page, "document.getElementById('banner').hidden")
        page.press("ArrowRight")
        until(page, "document.querySelector('aside')?.innerText.includes('Tick 3')")
        page.open("about:blank")
    page.complaints.clear()


def test_the_theme_is_kept(page: Browser, server: Server) -> None:
    page.open(server.origin)
    until(page, "document.querySelectorAll('#runs tbody tr').length === 9")
    before = page.evaluate("document.documentElement.dataset.theme")
    page.press("d")
    other = until(page, "document.documentElement.dataset.theme")
    assert {before, other} == {"light", "dark"}
    page.open(server.origin)
    until(page, f"document.documentElement.dataset.theme === '{other}'")
    page.press("d")


def test_every_control_has_a_name_for_screen_readers(page: Browser, server: Server) -> None:
    for name in PAGES:
        asked = (
            {"a": "usual.tick", "b": "fork.tick"}
            if name == "compare"
            else {"run": "usual.tick", "tick": 4, "agent": "sink"}
        )
        page.open(address(server, name, **asked))
        until(page, "document.querySelector('h1, .timeline') !== null && !document.querySelector('.spinner')")
        nameless = page.evaluate(
            """[...document.querySelectorAll(
                "button, input, select, textarea, canvas, a, [role=img]"
            )].filter((node) => ![
                node.getAttribute("aria-label"), node.textContent.trim(),
                node.closest("label")?.textContent.trim(), node.title
            ].some(Boolean)).map((node) => node.outerHTML.slice(0, 120))"""
        )
        assert nameless == []
        assert page.evaluate("document.querySelectorAll('main').length") == 1
