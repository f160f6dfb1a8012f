"""Measures the haggling model on held-out cases: `python models/haggle/evaluate.py [FOLDER] [--cases N]`.

Runs on tickwork's own engine (`pip install 'tickwork[inference]'`) and needs nothing else. The model is asked
as the market's traders ask it: within their grammar, which says what may be said, and not what is right. The
cases are of pairs of sides that training never saw, by `haggling.held_out`. Exits with 1 if the model misses
a target.
"""

import argparse
import random
import runpy
import sys
from collections import Counter
from pathlib import Path

from haggling import Case, conversation, held_out, judge, pair, right

from tickwork.inference.language.load import load
from tickwork.inference.language.request import ChatRequest, Message, PlainText, Regex
from tickwork.inference.language.response import Completion

MARKET = Path(__file__).parents[2] / "examples" / "market"
FOLDER = MARKET / "haggler"
WORDS = runpy.run_path(str(MARKET / "agents" / "words.py"))
VALID, RIGHT = 0.95, 0.90
SEED = 2
TOKENS_MAX = 40


def cases(count: int) -> list[Case]:
    """Return that many held-out cases."""
    draw = random.Random(SEED)
    found: list[Case] = []
    while len(found) < count:
        sides = pair(draw)
        if held_out(*sides):
            found += conversation(*sides, draw).cases
    return found[:count]


def bounds(case: Case) -> str:
    """Return the traders' grammar in this case."""
    side = case.side
    moment = WORDS["Moment"](
        side.role, side.quantity, side.goods, side.limit, case.own, case.theirs, last=case.last
    )
    return str(WORDS["grammar"](moment))


def answers(folder: Path, asked: list[Case], temperature: float, *, free: bool = False) -> list[str]:
    """Return what the model says in each case: as the traders ask it, or `free` of the grammar."""
    loaded = load(folder)
    print(f"served: {loaded.verdict.serving}; {loaded.weights_bytes / 1e6:.2f} MB of weights")
    for index, case in enumerate(asked):
        messages = [Message(role=one["role"], content=one["content"]) for one in case.messages]
        form = PlainText() if free else Regex(bounds(case))
        request = ChatRequest(
            messages=messages, temperature=temperature, max_tokens=TOKENS_MAX, response_format=form
        )
        loaded.engine.submit(str(index), request, seed=index)
    results = loaded.engine.run()
    said = []
    for index in range(len(asked)):
        result = results[str(index)]
        said.append(result.text if isinstance(result, Completion) else f"failed: {result.message}")
    return said


def report(asked: list[Case], said: list[str], wrong_max: int) -> bool:
    """Print the shares of valid and right answers; return whether both reach their targets."""
    judged = [judge(case, text) for case, text in zip(asked, said, strict=True)]
    valid = sum(ok for ok, _ in judged) / len(judged)
    fits = sum(ok for _, ok in judged) / len(judged)
    print(
        f"{len(judged)} cases: {valid:.1%} valid (target {VALID:.0%}), {fits:.1%} right (target {RIGHT:.0%})"
    )
    total = Counter((case.side.role, right(case).kind) for case in asked)
    good = Counter(
        (case.side.role, right(case).kind) for case, (_, ok) in zip(asked, judged, strict=True) if ok
    )
    for key in sorted(total):
        print(f"  {key[0]:<6} {key[1]:<5} {good[key]:>5} of {total[key]:>5} right")
    wrong = [(case, text) for case, text, (_, ok) in zip(asked, said, judged, strict=True) if not ok]
    for case, text in wrong[:wrong_max]:
        print(f"wrong: {case.side.system()} own {case.own}, theirs {case.theirs}, last {case.last}")
        print(f"       heard {case.messages[-1]['content']!r}, said {text!r}, right {right(case)}")
    return valid >= VALID and fits >= RIGHT


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--free", action="store_true", help="ask without the traders' grammar")
    parser.add_argument("--wrong", type=int, default=0, help="show so many wrong answers")
    options = parser.parse_args()
    asked = cases(options.cases)
    if not report(
        asked, answers(options.folder, asked, options.temperature, free=options.free), options.wrong
    ):
        sys.exit(1)


if __name__ == "__main__":
    main()
