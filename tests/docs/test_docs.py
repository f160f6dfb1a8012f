"""The documentation is complete, its links lead somewhere, and what it says happens, happens.

The manifest's keys and the limits are held by tests/manifest/test_reference_pages.py.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import typer
from page_runner import PageRunner, agrees, blocks, commands

import tickwork
import tickwork_agent
from tickwork.cli.main import app
from tickwork.core.effects import Effect
from tickwork.core.grants import Capability
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.refusals import Notice
from tickwork.guest import abi
from tickwork.guest.python_guest import python_guest
from tickwork.journal.reader import RunReader
from tickwork.runtime.views import VIEWS, Filter
from tickwork_agent.testing import AgentTest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
_NOT_OURS = {".venv", "node_modules", "target", "build", ".git"}
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not _NOT_OURS.intersection(part for part in page.relative_to(ROOT).parts)
    and not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
)
_PLAYED = ("test", "file", "run")
PLAYED = [page for page in PAGES if any(block.mark.partition(":")[0] in _PLAYED for block in blocks(page))]

# Pages for people who have a model: it is `my-model` in the current folder.
WITH_MODEL = {"docs/how-to/let-agents-ask-a-model.md"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def section(page: Path, title: str) -> str:
    """Return the text from the heading `title` to the next of its level or above."""
    text = page.read_text()
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert found, f"{name_of(page)} has no section {title!r}"
    return re.split(rf"^#{{1,{len(found[1])}}} ", text[found.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def code(text: str) -> set[str]:
    """Return everything between single backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def first_cells(text: str) -> list[str]:
    """Return the first cell of each table row, if it is code."""
    return re.findall(r"^\| `([^`\n]+)` \|", text, re.MULTILINE)


# ---- links


def prose(page: Path) -> str:
    """Return a page without its code, in which brackets are no links and `#` begins no heading."""
    text = re.sub(r"^(```+).*?^\1$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^(?: {4}|\t).*$", "", text, flags=re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        found[anchor] = found.get(anchor, 0) + 1
    repeated = {f"{anchor}-{n}" for anchor, count in found.items() for n in range(1, count)}
    return set(found) | repeated


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    yield from re.findall(r"\]\(([^)\s]+)\)", text)
    yield from re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_and_anchor_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and (target.suffix != ".md" or anchor not in anchors(target))):
            broken.append(link)
    assert broken == []


def test_the_map_names_every_page() -> None:
    mapped = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "README.md")}
    decisions = {page for page in PAGES if page.parent == DOCS / "decisions"}
    written = {page for page in PAGES if DOCS in page.parents and page != DOCS / "README.md"}
    assert [name_of(page) for page in sorted(written - decisions - mapped)] == []


def test_no_page_tells_of_one_machine() -> None:
    traces = re.compile(r"/(?:home|root|Users|work)/\w|localhost|127\.0\.0\.1|pypi\.org|npmjs")
    assert [
        f"{name_of(page)}: {found[0]}" for page in PAGES if (found := traces.search(page.read_text()))
    ] == []


# ---- what a page shows


@pytest.fixture(scope="session", autouse=True)
def guest() -> None:
    """Have the Python guest ready: building it is announced, and no page's output has that line."""
    python_guest()


@pytest.mark.parametrize("page", PLAYED, ids=name_of)
def test_what_a_page_says_happens(page: Path, tmp_path: Path) -> None:
    if name_of(page) in WITH_MODEL:
        shutil.copytree(ROOT / "tests" / "data" / "models" / "llama-int4", tmp_path / "my-model")
    runner = PageRunner(tmp_path)
    faults = [
        f"{name_of(page)}:{block.line}\n{fault}"
        for block in blocks(page)
        if block.mark.partition(":")[0] in _PLAYED
        for fault in runner.play(block)
    ]
    assert not faults, "\n\n".join(faults)


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    shown = dict(item for block in blocks(ROOT / "README.md") for item in commands(block.text))["make demo"]
    done = subprocess.run(
        [sys.executable, "-m", "tickwork", "demo", "--out", tmp_path / "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    assert agrees(shown, done.stdout.splitlines()), done.stdout


def test_the_readme_and_the_tutorial_are_played() -> None:
    assert {ROOT / "README.md", DOCS / "tutorial" / "first-run.md"} <= set(PLAYED)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_snippet_is_well_formed_and_every_mark_known(page: Path) -> None:
    for block in blocks(page):
        place = f"{name_of(page)}:{block.line}"
        if block.language == "python":
            compile(block.text, place, "exec")
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language in {"json", "jsonl"}:
            for line in block.text.splitlines():
                json.loads(line)
        if block.mark:
            assert block.mark.partition(":")[0] in _PLAYED, f"{place} has the unknown mark {block.mark!r}"


# ---- whether the reference is complete

_TOP = typer.main.get_command(app).commands  # type: ignore[attr-defined]
COMMANDS = {name: command for name, command in _TOP.items() if not hasattr(command, "commands")} | {
    f"{group} {name}": command
    for group, commands in _TOP.items()
    for name, command in getattr(commands, "commands", {}).items()
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_has_a_row_and_every_row_an_option(command: str) -> None:
    text = section(REFERENCE / "cli.md", f"`tickwork {command}`")
    listed = {cell.split()[0] for cell in first_cells(text) if cell.startswith("--")}
    params = COMMANDS[command].params
    options = {name for param in params if param.param_type_name == "option" for name in param.opts}
    assert listed == options - {"--help"}
    usage = re.search(rf"^`(tickwork {command}[^`]*)`", text, re.MULTILINE)
    assert usage
    for param in params:
        if param.param_type_name == "argument":
            assert param.name.upper() in usage[1], param.name


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    headings = re.findall(r"^##+ `tickwork ([\w ]+)`$", (REFERENCE / "cli.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted({*_TOP, *COMMANDS})
    assert {"--version", "--help"} <= set(first_cells((REFERENCE / "cli.md").read_text()))


CHATTY = """
from tickwork_agent import Agent


class Chatty(Agent):
    def step(self, now, inbox):
        self.log.info("here")
        self.send("chatty", "hello")
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A run with a row in every view, and what `run --json` says of it."""
    folder = tmp_path_factory.mktemp("chatty")
    (folder / "chatty.py").write_text(CHATTY)
    (folder / "tickwork.toml").write_text(
        '[run]\nname = "chatty"\nticks = 4\n[faults]\npath = "faults.toml"\n'
        '[[agents]]\nid = "chatty"\nmodule = "chatty.py"\nevery_tick = true\ngrants = ["send:chatty"]\n'
        'on_failure = "restart"\n'
    )
    (folder / "faults.toml").write_text('[[faults]]\nkind = "crash-before"\ntick = 3\nagent = "chatty"\n')
    file = folder / "chatty.tick"
    return file, command_json("run", str(folder), "--out", str(file), "--json")


def command_json(*arguments: str) -> dict[str, Any]:
    """Return the JSON object that a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tickwork", *arguments], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def documented_fields(text: str) -> set[str]:
    """Return the fields that the first cells of a section's tables name, several to a cell if need be."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE)
    return {name for row in rows for name in code(row)}


def test_every_json_field_of_a_run_and_a_replay_is_documented(
    recorded: tuple[Path, dict[str, object]],
) -> None:
    file, result = recorded
    page = REFERENCE / "cli.md"
    status = section(page, "Status")
    assert documented_fields(section(page, "`tickwork run`").replace(status, "")) == set(result)
    assert documented_fields(section(page, "`tickwork replay`")) == set(
        command_json("replay", str(file), "--json")
    )
    assert result["status"] in documented_fields(status)


def test_every_json_field_of_inspect_and_doctor_is_documented(
    recorded: tuple[Path, dict[str, object]],
) -> None:
    file, _ = recorded
    text = section(REFERENCE / "cli.md", "`tickwork inspect`")
    parts = dict(re.findall(r"^\*\*`(\w+)`\*\*(.*?)(?=^\*\*`|\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(parts) == {"summary", *VIEWS}
    assert set(command_json("inspect", str(file), "--json")) <= code(parts["summary"])
    with RunReader.open(file) as reader:
        for view, rows in VIEWS.items():
            row = next(rows(reader, Filter(first=2)))
            assert set(row) <= code(parts[view]), view
    found = command_json("doctor", "--json")
    assert set(found) <= code(section(REFERENCE / "cli.md", "`tickwork doctor`"))


def test_every_json_field_of_the_commands_that_travel_is_documented(
    recorded: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    file, of_run = recorded
    page = REFERENCE / "cli.md"
    fork = command_json("fork", str(file), "--at", "2", "--out", str(tmp_path / "f.tick"), "--json")
    assert set(fork) == {*of_run, *documented_fields(section(page, "`tickwork fork`"))}
    resumed = command_json("resume", str(tmp_path / "f.tick"), "--ticks", "1", "--json")
    assert set(resumed) == {*of_run, *documented_fields(section(page, "`tickwork resume`"))}
    found = command_json("bisect", str(file), "--check", "tick > 2", "--json")
    names = {"tick", "agents", "world", "moment"}  # what a condition sees is in that section, too
    assert set(found) | names == documented_fields(section(page, "`tickwork bisect`"))
    (row,) = command_json("snapshots", str(tmp_path / "f.tick"), "--keep", "1", "--json")["snapshots"]
    assert set(row) == documented_fields(section(page, "`tickwork snapshots`"))


def test_every_json_field_of_a_moment_is_documented(recorded: tuple[Path, dict[str, object]]) -> None:
    file, _ = recorded
    text = section(REFERENCE / "cli.md", "A moment")
    look = ("inspect", str(file), "--agent", "chatty", "--json")
    more = ("--at", "3", "--state", "--memory", "--hexdump", "0:16")
    moments = [command_json("inspect", str(file), "--at", "3", "--json"), command_json(*look, *more)]
    changed = command_json(*look, "--memory-diff", "2", "3")
    named = {name for moment in [*moments, changed] for name in moment}
    listed = [row for moment in moments for key in ("messages", "memories") for row in moment.get(key, [])]
    listed += [*moments[0]["agents"], moments[1]["hexdump"], *changed["memories"]]
    listed += changed["memories"][0]["changes"]
    assert named | {name for row in listed for name in row} <= code(text)


def test_every_outcome_has_one_row() -> None:
    listed = first_cells((REFERENCE / "outcomes.md").read_text())
    assert sorted(listed) == sorted(OutcomeKind)


def test_every_effect_has_a_row_with_its_fields() -> None:
    text = section(REFERENCE / "effects-and-capabilities.md", "Effects")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, re.MULTILINE)
    assert {name: code(fields) for name, fields in rows} == {
        kind.__name__.lower(): {field.replace("_", "-") for field in kind.__struct_fields__}
        for kind in get_args(Effect)
    }


def test_every_capability_has_a_row() -> None:
    text = section(REFERENCE / "effects-and-capabilities.md", "Capabilities")
    assert sorted(first_cells(text)) == sorted(Capability)


def environment_variables(source: Path) -> set[str]:
    """Return the names of the environment variables that a module of ours reads."""
    tree = ast.parse(source.read_text())
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = set()
    for node in ast.walk(tree):
        key = None
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"os.environ.get", "os.getenv"}:
            key = node.args[0]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            key = node.slice
        if key is not None:
            found.add(key.value if isinstance(key, ast.Constant) else constants[ast.unparse(key)])
    return found


def test_every_environment_variable_is_documented() -> None:
    read = {name for source in (ROOT / "src").rglob("*.py") for name in environment_variables(source)}
    assert {"XDG_CACHE_HOME", "TICKWORK_PYTHON_GUEST"} <= read
    assert read <= code(section(REFERENCE / "environment.md", "Environment and cache"))


def test_the_abi_page_has_the_world_and_the_sizes() -> None:
    text = (REFERENCE / "abi.md").read_text()
    (world,) = (block for block in blocks(REFERENCE / "abi.md") if block.language == "wit")
    without_comments = re.sub(
        r"^ *//.*\n", "", (ROOT / "wit/tickwork-agent.wit").read_text(), flags=re.MULTILINE
    )
    assert world.text in without_comments
    sizes = dict(re.findall(r"^\| `(\w+)`[^|]*\| (\d+) \| \d+ \|", text, re.MULTILINE))
    assert sizes == {
        "message": str(abi.MESSAGE.size),
        "result": str(abi.RESULT.size),
        "effect": str(abi.EFFECT.size),
    }


def test_every_name_of_the_python_interfaces_is_documented() -> None:
    page = (REFERENCE / "python-agent.md").read_text()
    public = {name for name in vars(tickwork_agent.Agent) if not name.startswith("_")}
    public |= set(tickwork_agent.__all__) | {name for name in vars(AgentTest) if not name.startswith("_")}
    public |= {"text", "json", *tickwork_agent.Now._fields, *tickwork_agent.Message._fields}
    assert sorted(name for name in public if not re.search(rf"\b{name}\b", page)) == []
    embedding = (DOCS / "how-to/embed-in-python.md").read_text()
    assert sorted(name for name in tickwork.__all__ if not re.search(rf"\b{name}\b", embedding)) == []


def test_every_field_of_a_notice_is_documented() -> None:
    text = section(REFERENCE / "effects-and-capabilities.md", "Refusals")
    fields = {field.name for field in msgspec.structs.fields(Notice)}
    assert fields <= documented_fields(text)
