"""Draw the curve of an epidemic: python plot.py [curve.jsonl] [curve.png]"""

import json
import sys
from pathlib import Path

try:
    import matplotlib as mpl
except ImportError:
    sys.exit("drawing needs matplotlib; install it with: pip install 'tickwork[plot]'")

mpl.use("Agg")
from matplotlib import pyplot as plt

STATES = {"susceptible": "#4477aa", "sick": "#cc3311", "recovered": "#228833"}


def draw(curve: Path, picture: Path) -> None:
    """Draw the census in `curve`, one JSON object a line, into `picture`, whose suffix says its format."""
    days = [json.loads(line) for line in curve.read_text(encoding="utf-8").splitlines()]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for state, color in STATES.items():
        axes.plot([day["tick"] for day in days], [day[state] for day in days], color=color, label=state)
    axes.set(xlabel="day", ylabel="people", title="An epidemic among people on a small-world network")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    given = [Path(text) for text in sys.argv[1:]]
    curve, picture, *more = [*given, *map(Path, ("curve.jsonl", "curve.png")[len(given) :])]
    if more:
        sys.exit(__doc__)
    if not curve.exists():
        sys.exit(f"{curve}: there is no such file; `tickwork run` writes it")
    draw(curve, picture)
    print(picture)
