"""A failing run told for people, from its run file: which faults, which messages, which check, which tick."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tickwork.core.effects import Effect
from tickwork.core.entry import Entry
from tickwork.core.faults import AppliedFault, Fault, kind_of
from tickwork.core.spec import RunSpec
from tickwork.exploration.checks import Check, Failure, first_line
from tickwork.exploration.shrink import Shrunk
from tickwork.journal.reader import RunReader
from tickwork.runtime.views import Filter, agent_rows, effect_rows, log_rows, message_rows

_LINES_MAX = 60
_BODY_CHARS = 100
# How much of the run before the first fault is told.
_BEFORE_TICKS = 2


def fault_text(fault: Fault) -> str:
    """Return a fault in one line: its kind and its fields as in a file of faults."""
    fields = msgspec.structs.asdict(fault)
    told = [f"{name} {_value(value)}" for name, value in fields.items() if value is not None]
    return f"{kind_of(fault)}: {', '.join(told)}"


def _value(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def story(path: Path, shrunk: Shrunk, number: int, checks: tuple[Check, ...], checks_file: str | None) -> str:
    """Return the story of a shrunk case that is recorded in a run file, as Markdown."""
    failure = shrunk.failure
    case, spec = shrunk.case, shrunk.project.spec
    file = shlex.quote(str(path))
    asked = f" --check {shlex.quote(checks_file)}" if checks_file else ""
    lines = [
        f"# {spec.name}: {failure.check} fails in tick {failure.tick}",
        "",
        f"> {failure.message}",
        "",
        *_claim(failure, checks),
        f"Case {number}: seed {case.seed}, {counted(len(case.faults), 'fault')}, "
        f"{counted(len(spec.agents), 'agent')}, {counted(shrunk.explored.ticks, 'tick')}.",
        "",
        "## What was broken",
        "",
        *_broken(path, case.faults),
        "",
        "## What happened",
        "",
        "```",
        *_happened(path, failure, case.faults),
        "```",
        "",
        "## How the agents stood",
        "",
        *_standing(path),
        "",
        "## See for yourself",
        "",
        "```console",
        f"$ tickwork replay {file}{asked}",
        f"$ tickwork inspect {file} messages --from {max(failure.tick - 3, 0)} --to {failure.tick}",
        f"$ tickwork ui {file}",
        "```",
        "",
    ]
    return "\n".join(lines)


def counted(number: int, what: str) -> str:
    """Return a number of things in words, as `1 fault` or `2 faults`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _claim(failure: Failure, checks: tuple[Check, ...]) -> Iterator[str]:
    for check in checks:
        if check.name == failure.check and first_line(check.judge) not in {"", failure.message}:
            yield f"What should hold: {first_line(check.judge)}"
            yield ""


def _broken(path: Path, faults: tuple[Fault, ...]) -> Iterator[str]:
    if not faults:
        yield "Nothing: the run fails by itself with this seed."
        return
    hits: dict[Fault, list[str]] = {fault: [] for fault in faults}
    with RunReader.open(path) as reader:
        for stored in reader.entries():
            entry, _ = stored.decode()
            for applied in entry.faults:
                if applied.fault in hits:
                    hits[applied.fault].append(f"tick {entry.tick}: {_hit(entry, applied, reader.spec)}")
    for number, (fault, hit) in enumerate(hits.items(), 1):
        yield f"{number}. {fault_text(fault)}"
        for what in hit[:5]:
            yield f"   - {what}"
        if len(hit) > 5:
            yield f"   - and {len(hit) - 5} more"
        if not hit:
            yield "   - hit nothing that is recorded"


def _hit(entry: Entry, applied: AppliedFault, spec: RunSpec) -> str:
    name = _name(spec, applied.agent)
    turn = next((turn for turn in entry.turns if turn.agent == applied.agent), None)
    if turn is None or not 0 <= applied.effect < len(turn.effects):
        return f"agent `{name}`"
    effect: Effect = turn.effects[applied.effect]
    topic = getattr(effect, "topic", type(effect).__name__.lower())
    to = f" to `{_name(spec, applied.to)}`" if applied.to >= 0 else ""
    body = getattr(effect, "body", b"")
    return f"`{topic}` from `{name}`{to}: `{_short(body)}`"


def _name(spec: RunSpec, agent: int) -> str:
    return spec.agents[agent].id if 0 <= agent < len(spec.agents) else f"agent {agent}"


def _short(body: bytes) -> str:
    text = "".join(char if char.isprintable() else "." for char in body.decode("utf-8", "replace"))
    return text if len(text) <= _BODY_CHARS else text[: _BODY_CHARS - 3] + "..."


def _happened(path: Path, failure: Failure, faults: tuple[Fault, ...]) -> Iterator[str]:
    """Yield lines for messages, outputs, logs and hits from shortly before the first fault to the failure."""
    first = min((fault.tick for fault in faults), default=failure.tick)
    wanted = Filter(first=max(min(first, failure.tick) - _BEFORE_TICKS, 0), last=failure.tick)
    told: list[tuple[int, int, str]] = []
    with RunReader.open(path) as reader:
        for row in message_rows(reader, wanted):
            text = f"{row['sender']} -> {row['to']}: {row['topic']} {_json(row['body'])}"
            told.append((_int(row["tick"]), 0, text))
        for row in effect_rows(reader, wanted):
            if row["kind"] == "output":
                fields = row["fields"]
                body = fields.get("body") if isinstance(fields, dict) else None
                told.append((_int(row["tick"]), 1, f"{row['agent']} puts out {row['target']}: {_json(body)}"))
        told += [
            (_int(row["tick"]), 2, f"{row['agent']} ({row['level']}): {row['text']}")
            for row in log_rows(reader, wanted)
        ]
        told += _hits_until(reader, wanted.first, failure.tick)
    told.sort(key=lambda line: line[:2])
    shown = told if len(told) <= _LINES_MAX else told[: _LINES_MAX // 2] + told[-_LINES_MAX // 2 :]
    for place, (tick, _, text) in enumerate(shown):
        if len(shown) < len(told) and place == _LINES_MAX // 2:
            yield f"... {len(told) - len(shown)} lines are left out"
        yield f"tick {tick:>4}  {_short(text.encode())}"


def _hits_until(reader: RunReader, first: int, last: int) -> Iterator[tuple[int, int, str]]:
    """Yield a line for each hit of a fault from tick `first` to tick `last`."""
    for stored in reader.entries(first):
        if stored.tick > last:
            return
        entry, _ = stored.decode()
        for one in entry.faults:
            what = _hit(entry, one, reader.spec).replace("`", "")
            yield entry.tick, 3, f"broken: {kind_of(one.fault)}: {what}"


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _standing(path: Path) -> Iterator[str]:
    yield "| agent | status | turns | received | waiting |"
    yield "|---|---|---|---|---|"
    with RunReader.open(path) as reader:
        for place, row in enumerate(agent_rows(reader, Filter())):
            if place == _LINES_MAX:
                yield "| ... | | | | |"
                break
            reason = f": {row['reason']}".replace("|", "/") if row["reason"] else ""
            yield (
                f"| {row['id']} | {row['status']}{_short(str(reason).encode())} | {row['turns']} | "
                f"{row['received']} | {row['waiting']} |"
            )
