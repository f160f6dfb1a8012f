"""Makes the triage report readable: `render(records)` returns text, and as a script it reads a JSONL file.

python examples/triage/report.py examples/triage/report.jsonl
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
CELL_WIDTH = 30


def clip(text: str) -> str:
    """Return `text` on one line of at most CELL_WIDTH characters, without what a terminal would obey."""
    line = "".join(letter if letter.isprintable() else " " for letter in text).strip() or "(no title)"
    return line if len(line) <= CELL_WIDTH else line[: CELL_WIDTH - 1] + "…"


def clock(minutes: int) -> str:
    """Return minutes since the first ticket as +H:MM."""
    return f"+{minutes // 60}:{minutes % 60:02}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return lines with aligned columns, numbers to the right and text to the left."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    right = [all(isinstance(row[place], int) for row in rows) for place in range(len(head))]

    def line(row: Sequence[str]) -> str:
        fields = zip(row, widths, right, strict=True)
        return "  " + "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width) for cell, width, numeric in fields
        )

    return [line(row).rstrip() for row in (head, *cells)]


def summary_lines(summary: Record) -> list[str]:
    counts = summary["returned"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    return [
        f"Triage: {summary['tickets']} tickets, {summary['incidents']} incidents, {summary['majors']} major",
        "",
        f"  {summary['merged']} duplicates merged",
        f"  {summary['rerouted']} tickets sent to another team than they named",
        f"  {sum(counts.values())} tickets returned" + (f": {reasons}" if counts else ""),
        f"  {summary['escalated']} incidents escalated, {summary['managed']} of them to the duty manager",
        f"  {summary['median_wait']} minutes until work began, in the median",
        f"  last incident resolved at {clock(summary['last_resolved'])}, {summary['unresolved']} unresolved",
    ]


def team_rows(records: Iterable[Record]) -> list[list[object]]:
    return [
        [
            r["team"],
            r["incidents"],
            *r["severities"],
            r["merged"],
            r["escalated"],
            r["median_wait"],
            r["longest_wait"],
        ]
        for r in records
    ]


def render(records: Iterable[Record]) -> str:
    """Return the report as text of at most 110 columns; an empty text if there are no records."""
    by_kind: dict[str, list[Record]] = {}
    for record in records:
        by_kind.setdefault(record["record"], []).append(record)
    lines: list[str] = []
    for summary in by_kind.get("summary", ()):
        lines += summary_lines(summary)
    sections: list[tuple[str, str, list[str], list[list[object]]]] = [
        (
            "team",
            "Teams (waits in minutes)",
            ["team", "incidents", "sev1", "sev2", "sev3", "sev4", "merged", "escalated", "median", "longest"],
            team_rows(by_kind.get("team", ())),
        ),
        (
            "major",
            "Major incidents",
            ["incident", "team", "title", "customer", "reports", "declared", "resolved", "updates"],
            [
                [
                    *(r["incident"], r["team"], clip(r["title"]), clip(r["customer"]), r["reports"]),
                    *(clock(r["declared"]), clock(r["resolved"]), r["updates"]),
                ]
                for r in by_kind.get("major", ())
            ],
        ),
        (
            "busiest",
            "Most reported",
            ["incident", "team", "title", "severity", "reports"],
            [
                [r["incident"], r["team"], clip(r["title"]), r["severity"], r["reports"]]
                for r in by_kind.get("busiest", ())
            ],
        ),
        (
            "oldest",
            "Waited longest",
            ["incident", "team", "title", "severity", "escalated to", "minutes"],
            [
                [r["incident"], r["team"], clip(r["title"]), r["severity"], r["level"] or "-", r["wait"]]
                for r in by_kind.get("oldest", ())
            ],
        ),
    ]
    for kind, heading, head, rows in sections:
        if kind in by_kind:
            lines += ["", heading, "", *table(head, rows)]
    return "\n".join(lines) + "\n" if lines else ""


def main() -> None:
    with Path(sys.argv[1]).open(encoding="utf-8") as file:
        sys.stdout.write(render(json.loads(line) for line in file))


if __name__ == "__main__":
    main()
