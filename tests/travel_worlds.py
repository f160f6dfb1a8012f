"""The runs that time travel is tried on: one for each guest language, with a bit of everything in each.

A teller reads an input and puts lines out, sets timers and feeds a keeper, whose memory grows; the keeper's
news makes a nanny spawn workers, which stop of themselves; one agent fails half-way. All are `shell_agents/
rover.c`, but in each language's run one agent is of that language.
"""

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from guests import chatter
from tickwork.core.digest import content_hash
from tickwork.core.grants import Capability, Grant
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.guest.c_source import build_c
from tickwork.guest.python_guest import python_guest
from tickwork.guest.python_source import python_preamble
from tickwork.runtime.project import Project
from tickwork.runtime.schedule import SnapshotSettings

HERE = Path(__file__).parent
ROVER = HERE / "shell_agents" / "rover.c"
DEDUP = HERE.parent / "examples" / "triage" / "dedup" / "dedup.wasm"
LANGUAGES = ("c", "python", "rust", "js", "wat")
# The run in C, in waves.
WAVES = "waves"
EDGES = (("teller", "keeper"), ("keeper", "nanny"), ("nanny", "frail"), ("keeper", "worker/*"))
OUTPUTS = ("told", "late")
NEVER = SnapshotSettings(every=0)

_WORDS = ("vpn", "mail", "printer", "wine", "casino")


def js_component() -> bytes:
    """Return the JavaScript SDK's example; skips the test where it cannot be built."""
    # Its tests have it built, and are not always collected.
    folder = str(HERE / "guest")
    if folder not in sys.path:
        sys.path.append(folder)
    from agent_files import js_component as built  # noqa: PLC0415 - found by the line before

    return built()


@functools.cache
def rover() -> bytes:
    return build_c(ROVER)


def changed_rover(folder: Path, old: str, new: str) -> bytes:
    """Return the rover built from its source with `old` replaced."""
    source = ROVER.read_text(encoding="utf-8")
    assert old in source
    changed = folder / "changed.c"
    changed.write_text(source.replace(old, new), encoding="utf-8")
    return build_c(changed)


def line(number: int) -> bytes:
    """Return an input line that every language's agent can read: what a deduplicator calls a ticket."""
    word = _WORDS[number * number % len(_WORDS)]
    return json.dumps(
        {
            "id": f"T-{number}",
            "team": "net",
            "accepted": number,
            "word": word,
            "title": f"the {word} is down",
            "text": "again " * (number % 4),
        }
    ).encode()


def write_lines(path: Path, count: int) -> None:
    """Write `count` good lines, with empty and bad ones between."""
    rows: list[bytes] = []
    for number in range(count):
        rows.append(line(number))
        if number % 13 == 5:
            rows.append(b"")
        if number % 17 == 3:
            rows.append(b'{"torn": ')
    path.write_bytes(b"\n".join(rows))


def _rover_agent(name: str, part: str, *grants: Grant, **fields: object) -> AgentSpec:
    spec = AgentSpec(name, part, content_hash(rover()), part.encode(), grants)
    return msgspec.structs.replace(spec, **fields)


def _told() -> tuple[Grant, ...]:
    return tuple(Grant(Capability.OUTPUT, name) for name in OUTPUTS)


def _teller(language: str) -> AgentSpec:
    grants = (
        *_told(),
        Grant(Capability.SEND, "keeper"),
        Grant(Capability.SEND, "frail"),
        Grant(Capability.TIMER),
    )
    if language != "python":
        return _rover_agent("teller", "teller", *grants)
    source = (HERE / "shell_agents" / "rover.py").read_text(encoding="utf-8")
    return AgentSpec(
        "teller",
        "teller",
        content_hash(python_guest()),
        b'{"to": "keeper"}',
        grants,
        python_preamble("rover.py", source),
    )


def _extra(language: str) -> tuple[AgentSpec, ...]:
    if language == "rust":
        config = b'{"window": 6, "likeness": 60}'
        grants = (Grant(Capability.SEND, "keeper"),)
        return (AgentSpec("extra", "extra", content_hash(DEDUP.read_bytes()), config, grants),)
    if language == "wat":
        # Its allocator is a mutable global, and all that it is given stays in its memory.
        grants = (Grant(Capability.SEND, "keeper"),)
        return (AgentSpec("extra", "extra", content_hash(chatter()), b"keeper", grants),)
    if language == "js":
        grants = (Grant(Capability.SEND, "teller"),)
        return (AgentSpec("extra", "extra", content_hash(js_component()), b"7", grants),)
    return ()


def modules(language: str) -> dict[str, bytes]:
    """Return the modules of a language's run by hash; skips the test where one cannot be had."""
    made: dict[str, Callable[[], bytes]] = {
        "python": python_guest,
        "rust": DEDUP.read_bytes,
        "js": js_component,
        "wat": chatter,
    }
    codes = [rover(), *([made[language]()] if language in made else [])]
    return {content_hash(code): code for code in codes}


def subject(language: str) -> str:
    """Return the id of the agent that is written in the language."""
    return "teller" if language in {"c", "python", WAVES} else "extra"


def spec(language: str, *, seed: int = 7, rate: int = 2) -> RunSpec:
    extra = _extra(language)
    readers = ("teller", *(agent.id for agent in extra))
    nanny_grants = (Grant(Capability.SPAWN, "worker"),)
    worker = _rover_agent("worker", "worker", *_told(), subscribe=("news",))
    return RunSpec(
        name="travels",
        seed=seed,
        start_ns=1_700_000_000_000_000_000,
        tick_ns=1_000_000,
        floats="portable",
        agents=(
            _teller(language),
            *extra,
            _rover_agent("keeper", "keeper", Grant(Capability.PUBLISH, "news", per_run=9)),
            _rover_agent("nanny", "nanny", *nanny_grants, subscribe=("news",)),
            _rover_agent("frail", "frail", subscribe=("news",)),
        ),
        kinds=(worker,),
        inputs=(InputSpec("lines", "ticket" if language == "rust" else "line", readers, rate),),
        outputs=OUTPUTS,
        edges=EDGES if language == WAVES else (),
    )


def project(
    folder: Path,
    language: str = "c",
    *,
    lines: int = 60,
    seed: int = 7,
    rate: int = 2,
    snapshots: SnapshotSettings = NEVER,
) -> Project:
    """Return a project that ends when idle, its input written into `folder`, its outputs to go there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "lines.jsonl", lines)
    made = Project(
        spec(language, seed=seed, rate=rate),
        modules(language),
        {"lines": str(folder / "lines.jsonl")},
        {name: str(folder / f"{name}.jsonl") for name in OUTPUTS},
        # What the JavaScript agent is sent it sends back, for ever.
        ticks=lines // rate + 12 if language == "js" else None,
    )
    return replace(made, snapshots=snapshots)


def outputs(folder: Path) -> dict[str, bytes]:
    """Return what the run's outputs have in `folder`."""
    return {name: (folder / f"{name}.jsonl").read_bytes() for name in OUTPUTS}
