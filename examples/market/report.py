"""Shows what was dealt: `python examples/market/report.py examples/market/deals.jsonl`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def render(deals: Sequence[dict[str, Any]]) -> str:
    """Return the deals by goods, and the longest talk in full, as text."""
    if not deals:
        return "nobody came to a deal"
    lines = [f"{len(deals)} deals", "", f"{'goods':<10}{'deals':>6}{'lowest':>8}{'mean':>7}{'highest':>9}"]
    for goods in sorted({deal["goods"] for deal in deals}):
        prices = [deal["price"] for deal in deals if deal["goods"] == goods]
        mean = sum(prices) / len(prices)
        lines.append(f"{goods:<10}{len(prices):>6}{min(prices):>8}{mean:>7.1f}{max(prices):>9}")
    longest = max(deals, key=lambda deal: len(deal["words"]))
    lines += ["", f"the longest talk, number {longest['talk']}, ended in tick {longest['tick']}:"]
    names = (longest["buyer"], longest["seller"])
    lines += [f"  {names[turn % 2] + ':':<11} {words}" for turn, words in enumerate(longest["words"])]
    return "\n".join(lines)


def main() -> None:
    """Show the deals in the files named on the command line, or those on standard input."""
    paths = sys.argv[1:]
    text = "".join(Path(path).read_text(encoding="utf-8") for path in paths) if paths else sys.stdin.read()
    print(render([json.loads(line) for line in text.splitlines()]))


if __name__ == "__main__":
    main()
