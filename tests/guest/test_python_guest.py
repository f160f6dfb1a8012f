"""The Python guest itself: its build, its pin, and agents inside it."""

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

from tickwork.core.digest import content_hash
from tickwork.core.effects import Log, Send
from tickwork.core.errors import HostError, ModuleError
from tickwork.core.limits import MIB, Limits
from tickwork.core.messages import Message
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.guest import python_pin
from tickwork.guest.cache import write_atomic
from tickwork.guest.engine import Engine
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program
from tickwork.guest.python_builder import COMPONENTIZE_PY, build, require_pinned_sources, sources
from tickwork.guest.python_guest import GUEST_VARIABLE, python_guest
from tickwork.guest.python_source import python_preamble

ROOT = Path(__file__).parents[2]
BUILDS = """
import sys
from tickwork.core.digest import content_hash
from tickwork.guest.python_guest import python_guest
said = []
print(content_hash(python_guest(said.append)), len(said))
"""
DESK = """
from tickwork_agent import Agent

class Desk(Agent):
    def setup(self, config):
        self.seen = config["seen"]

    def on_ticket(self, message):
        self.seen += 1
        self.reply(message, "answer", {"seen": self.seen, "ticket": message.json()})

    def on_odd(self, message):
        self.log([hash("abc"), sorted({"a", "b"}), list({"a", "bb", "ccc", "dddd"}), self.random.random()])
        print("printed")

    def on_fail(self, message):
        return {}["absent"]

    def on_import(self, message):
        for name in message.json():
            __import__(name)

    def on_file(self, message):
        open("/etc/passwd")

    def on_exit(self, message):
        raise SystemExit(3)

    def on_memory(self, message):
        self.kept = bytearray(10**9)

    def on_deep(self, message):
        self.on_deep(message)

    def on_number(self, message):
        self.reply(message, "number", [self.now.tick, self.now.now_ns, self.now.seed, self.now.fuel])
"""
# What docs and examples promise; one of each kind suffices of what is built alike.
LIBRARY = """
    argparse ast base64 bisect calendar collections.abc colorsys concurrent.futures configparser contextlib
    copy csv dataclasses datetime decimal difflib email.message enum fractions functools graphlib hashlib
    heapq hmac html.parser inspect io ipaddress itertools json logging math numbers operator pathlib pickle
    pprint queue random re secrets shlex sqlite3 statistics string struct textwrap threading time tokenize
    tomllib traceback typing unicodedata urllib.parse uuid xml.etree.ElementTree zipfile zlib asyncio
"""


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(Engine(), python_guest())


def start(program: Program, source: str = DESK, config: object = None, **limits: int) -> Instance:
    agent = Instance(program, Limits(**limits))
    envelope = (
        python_preamble("desk.py", source) + json.dumps({"seen": 0} if config is None else config).encode()
    )
    outcome = agent.setup("desk", envelope, now_ns=5, start_ns=5, seed=9)
    assert outcome.kind is OutcomeKind.OK, outcome.detail
    return agent


def turn(agent: Instance, topic: str, body: object = "") -> Outcome:
    message = Message(0, 0, 0, 0, "input:tickets", topic, json.dumps(body).encode(), 77)
    return agent.step(3, 1_000, 42, [message])


def test_processes_that_want_the_guest_at_once_build_it_once_and_get_the_pinned_bytes(tmp_path: Path) -> None:
    cache = tmp_path / "a cache: with odd characters"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONHASHSEED": "7"}
    environment.pop(GUEST_VARIABLE, None)
    command = [sys.executable, "-c", BUILDS]
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = sorted(process.communicate()[0] for process in started)
    assert said == [f"{python_pin.GUEST} 0\n", f"{python_pin.GUEST} 1\n"]
    kept = {path.name for path in (cache / "tickwork").iterdir()}
    assert kept == {"python-guest.wasm", "python-guest.lock"}


def test_a_build_in_another_place_gives_the_pinned_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another file system where there is one, since the order of directory entries is the file system's.
    memory = Path("/dev/shm")
    usable = os.access(memory, os.W_OK) and not os.statvfs(memory).f_flag & os.ST_NOEXEC
    place = memory / f"tickwork-{os.getpid()}" if usable else tmp_path / "other"
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setenv("PYTHONHASHSEED", "11")
    place.mkdir()
    try:
        assert content_hash(build(place)) == python_pin.GUEST
        assert list(place.iterdir()) == []
    finally:
        place.rmdir()


def test_the_pin_names_the_sources_that_are_here() -> None:
    require_pinned_sources()
    assert {"app.py", "steady.c", "agent.wit", "tickwork_agent/agent.py"} <= set(sources())


def test_the_builder_is_the_one_that_the_package_requires() -> None:
    assert f"componentize-py=={COMPONENTIZE_PY}" in (requires("tickwork") or [])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"componentize-py=={COMPONENTIZE_PY}" in project["dependencies"]


def test_changed_sources_are_told_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_pin, "SOURCES", "0" * 64)
    with pytest.raises(HostError, match=r"sdk/python/pin\.py"):
        require_pinned_sources()


def test_a_damaged_or_foreign_cached_guest_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(GUEST_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # Sources that cannot be built stop it where it would build; a cached file that were used would not.
    monkeypatch.setattr(python_pin, "SOURCES", "0" * 64)
    cached = tmp_path / "tickwork" / "python-guest.wasm"
    write_atomic(cached, b"another guest")
    with pytest.raises(HostError, match="not those that"):
        python_guest()
    write_atomic(cached, b"the guest")
    monkeypatch.setattr(python_pin, "GUEST", content_hash(b"the guest"))
    assert python_guest() == b"the guest"
    cached.write_bytes(cached.read_bytes()[:-1])
    with pytest.raises(HostError, match="not those that"):
        python_guest()


def test_a_named_guest_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GUEST_VARIABLE, str(tmp_path / "guest.wasm"))
    with pytest.raises(ModuleError, match="No such file"):
        python_guest()
    (tmp_path / "guest.wasm").write_bytes(b"another guest")
    with pytest.raises(ModuleError, match=python_pin.GUEST):
        python_guest()
    monkeypatch.setattr(python_pin, "GUEST", content_hash(b"another guest"))
    assert python_guest() == b"another guest"


def test_an_agent_answers_and_remembers(program: Program) -> None:
    agent = start(program, config={"seen": 4})
    for seen in (5, 6):
        body = b'{"seen":%d,"ticket":{"text":"\xc3\xa9"}}' % seen
        assert turn(agent, "ticket", {"text": "é"}).effects == (Send("input:tickets", "answer", body, 77),)


def test_an_agent_sees_its_turn(program: Program) -> None:
    asked = turn(start(program, fuel_per_turn=50_000_000), "number").effects[0]
    assert isinstance(asked, Send)
    assert json.loads(asked.body) == [3, 1_000, 42, 50_000_000]


def test_two_agents_alike_stay_alike_to_the_last_unit_of_fuel(program: Program) -> None:
    agents = [start(program) for _ in range(2)]
    for topic in ("odd", "ticket", "odd"):
        first, second = (turn(agent, topic) for agent in agents)
        assert first == second
        assert first.kind is OutcomeKind.OK


def test_what_an_agent_prints_becomes_a_log(program: Program) -> None:
    assert turn(start(program), "odd").effects[-1] == Log(1, "printed")


def test_a_failure_is_told_as_a_traceback_of_the_authors_file(program: Program) -> None:
    outcome = turn(start(program), "fail")
    assert outcome.kind is OutcomeKind.GUEST_ERROR
    assert outcome.detail == (
        "Traceback (most recent call last):\n"
        '  File "desk.py", line 17, in on_fail\n'
        '    return {}["absent"]\n'
        "           ~~^^^^^^^^^^\n"
        "KeyError: 'absent'"
    )


@pytest.mark.parametrize(
    ("topic", "last"),
    [
        ("exit", "SystemExit: 3"),
        ("memory", "MemoryError"),
        ("deep", "(957 frames in the middle of the traceback are left out)"),
        ("file", "FileNotFoundError: [Errno 44] No such file or directory: '/etc/passwd'"),
    ],
)
def test_other_failures_are_exceptions_too(program: Program, topic: str, last: str) -> None:
    outcome = turn(start(program), topic)
    assert (outcome.kind, outcome.detail.splitlines()[-1]) == (OutcomeKind.GUEST_ERROR, last)


def test_a_syntax_error_ends_setup(program: Program) -> None:
    agent = Instance(program, Limits())
    outcome = agent.setup("desk", python_preamble("desk.py", "def f(:"), now_ns=0, start_ns=0, seed=0)
    assert outcome.kind is OutcomeKind.GUEST_ERROR
    assert 'File "desk.py", line 1' in outcome.detail


def test_the_promised_library_can_be_imported(program: Program) -> None:
    outcome = turn(start(program, fuel_per_turn=2_000_000_000), "import", LIBRARY.split())
    assert outcome.detail == ""
    assert outcome.kind is OutcomeKind.OK


@pytest.mark.parametrize("name", ["ssl", "ctypes", "multiprocessing", "numpy"])
def test_what_cannot_be_imported_says_why(program: Program, name: str) -> None:
    outcome = turn(start(program), "import", [name])
    assert outcome.kind is OutcomeKind.GUEST_ERROR
    assert (
        f"ModuleNotFoundError: {'no' if name == 'numpy' else 'the standard library'} module "
        in outcome.detail
    )


def test_an_agent_starts_within_32_mib(program: Program) -> None:
    agent = start(program, memory_bytes=32 * MIB)
    assert turn(agent, "ticket", {}).kind is OutcomeKind.OK
