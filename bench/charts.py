"""Draws the charts of bench/RESULTS.md from what `bench/run.py --json` printed.

    python bench/charts.py results.json [FOLDER]

Needs matplotlib: pip install 'tickwork[plot]'.
"""

import json
import re
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
# Equal figures shall give equal files.
mpl.rcParams["svg.hashsalt"] = "tickwork"
from matplotlib import pyplot as plt  # noqa: E402 - after the choice of what draws

Rows = list[tuple[str, float, str]]


def _points(rows: Rows, pattern: str) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each line: `pattern` has groups `x` and `line`."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for label, value, _ in rows:
        found = re.match(pattern, label)
        if found:
            lines.setdefault(found["line"], []).append((float(found["x"].replace(",", "")), value))
    return lines


def _draw(lines: dict[str, list[tuple[float, float]]], x: str, y: str, title: str, to: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, points in lines.items():
        points.sort()
        axes.plot([point[0] for point in points], [point[1] for point in points], marker="o", label=name)
    axes.set(xlabel=x, ylabel=y, title=title, xscale="log")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(to, metadata={"Date": None})


def main(results: Path, folder: Path) -> None:
    """Draw what the results hold."""
    found = json.loads(results.read_text(encoding="utf-8"))["results"]
    folder.mkdir(parents=True, exist_ok=True)
    if "sizes" in found:
        _draw(
            _points(found["sizes"], r"(?P<x>\d+) agents, (?P<line>.*)"),
            "agents",
            "turns per second",
            "Tiny C agents, one message a turn",
            folder / "turns-by-agents.svg",
        )
    if "speedup" in found:
        _draw(
            _points(found["speedup"], r"turns of (?P<x>[\d.,]+) us on average, (?P<line>\w+ load)"),
            "microseconds per turn on average",
            "2 workers / 1",
            "What a second core gains",
            folder / "speedup-by-turn.svg",
        )


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "charts")
