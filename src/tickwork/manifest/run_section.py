"""The tables [run], [engine] and [snapshots]: the run's name, seed, clock and end, and how it is kept."""

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path

from tickwork.core.names import name_fault
from tickwork.core.spec import FLOATS, FLOATS_PORTABLE
from tickwork.manifest.faults import quoted
from tickwork.manifest.fields import Section, type_words
from tickwork.manifest.schema import Snapshots

RUN_KEYS = ("name", "seed", "start", "tick", "ticks", "until", "schedule", "on_bad_input", "durability")
ENGINE_KEYS = ("floats",)
FAULTS_KEYS = ("path",)
SNAPSHOT_KEYS = ("every", "share", "keep")

SEED_MAX = 2**64 - 1
TICKS_MAX = 2**53
TICK_NS_MAX = 86_400 * 10**9
DEFAULT_START = "2000-01-01T00:00:00Z"
DEFAULT_TICK = "100ms"
UNTIL = ("idle", "ticks")
LOCKSTEP, DAG = "lockstep", "dag"
SCHEDULES = (LOCKSTEP, DAG)
ON_BAD_INPUT = ("report", "stop")
DURABILITY = ("group", "tick", "off")
EVERY = ("auto", "never")
DEFAULT_SHARE = Snapshots().share
# Below the least, a run would have to last for hours to have a snapshot.
SHARE_MIN, SHARE_MAX = 0.001, 1.0
KEEP = ("all", "thin")
KEEP_MAX = 1_000_000

_UNIT_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_DURATION = re.compile(r"([0-9]{1,18})(ns|us|ms|s)")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# The last instant whose nanoseconds fit a signed 64-bit number, which is what guests' clocks use.
_LAST_YEAR = 2261


@dataclass(frozen=True, slots=True)
class RunFields:
    """What [run] says; see `schema.Manifest`."""

    name: str
    seed: int
    start_ns: int
    tick_ns: int
    ticks: int | None
    until_idle: bool
    schedule: str
    stop_at_bad_input: bool
    durability: str


def parse_run(top: Section) -> RunFields:
    """Return [run]'s fields; raise Fault."""
    section = Section(top.table("run"), ("run",), RUN_KEYS)
    section.require("name", 'name = "my-run"')
    name = section.text("name", "")
    fault = name_fault(name)
    if fault:
        raise section.fault("name", f"{quoted(name)} {fault}")
    seed = section.integer("seed", 0, 0, SEED_MAX)
    start_ns = _start_ns(section)
    tick_ns = _tick_ns(section)
    ticks = section.integer("ticks", 1, 1, TICKS_MAX) if "ticks" in section else None
    until = section.choice("until", "idle", UNTIL)
    if until == "ticks" and ticks is None:
        raise section.fault("until", 'is "ticks", but the number is missing; add ticks = 1000')
    on_bad_input = section.choice("on_bad_input", "report", ON_BAD_INPUT)
    durability = section.choice("durability", "group", DURABILITY)
    return RunFields(
        name,
        seed,
        start_ns,
        tick_ns,
        ticks,
        until_idle=until == "idle",
        schedule=section.choice("schedule", LOCKSTEP, SCHEDULES),
        stop_at_bad_input=on_bad_input == "stop",
        durability=durability,
    )


def parse_engine(top: Section) -> str:
    """Return how floats are computed; raise Fault."""
    section = Section(top.table("engine"), ("engine",), ENGINE_KEYS)
    return section.choice("floats", FLOATS_PORTABLE, FLOATS)


def parse_faults(top: Section, directory: Path) -> Path | None:
    """Return the absolute path of the file of faults that [faults] names, or None; raise Fault."""
    section = Section(top.table("faults"), ("faults",), FAULTS_KEYS)
    if "path" not in section:
        return None
    text = section.text("path", "")
    if not text:
        raise section.fault("path", 'is empty; name a file such as path = "faults.toml", or remove it')
    return directory / text


def parse_snapshots(top: Section) -> Snapshots:
    """Return how snapshots are taken and kept; raise Fault."""
    section = Section(top.table("snapshots"), ("snapshots",), SNAPSHOT_KEYS)
    every = section.integer_or("every", "auto", 1, TICKS_MAX, EVERY)
    if "share" in section and every != "auto":
        raise section.fault("share", 'only counts with every = "auto"; remove one of the two')
    return Snapshots(
        every={"auto": None, "never": 0}[every] if isinstance(every, str) else every,
        share=section.number("share", DEFAULT_SHARE, SHARE_MIN, SHARE_MAX),
        keep=section.integer_or("keep", "all", 1, KEEP_MAX, KEEP),
    )


def _start_ns(section: Section) -> int:
    value = section.value("start") if "start" in section else DEFAULT_START
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise section.fault(
                "start", f'{quoted(value)} is not a time; write it as "{DEFAULT_START}"'
            ) from None
    if not isinstance(value, dt.datetime):
        raise section.fault("start", f'must be a time such as "{DEFAULT_START}", not {type_words(value)}')
    if value.tzinfo is None:
        raise section.fault("start", f'has no time zone; write it as "{DEFAULT_START}", Z being UTC')
    if not _EPOCH.year <= value.year <= _LAST_YEAR or value < _EPOCH:
        raise section.fault("start", f"must lie between the years {_EPOCH.year} and {_LAST_YEAR}")
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


def _tick_ns(section: Section) -> int:
    text = section.text("tick", DEFAULT_TICK)
    match = _DURATION.fullmatch(text)
    if match is None:
        raise section.fault(
            "tick",
            f'{quoted(text)} is not a duration; write a whole number and ns, us, ms or s: "{DEFAULT_TICK}"',
        )
    tick_ns = int(match[1]) * _UNIT_NS[match[2]]
    if not 1 <= tick_ns <= TICK_NS_MAX:
        raise section.fault("tick", f"is {quoted(text)}; it must be between 1ns and {TICK_NS_MAX // 10**9}s")
    return tick_ns
