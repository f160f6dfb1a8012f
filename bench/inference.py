"""Measures the engine for language models against its peers, and what its rules cost.

    python bench/inference.py MODELS [NAME ...] [--peers PYTHON] [--rounds N] [--callers N] [--json FILE]

MODELS is the folder for the model, which bench/peers/language_model.py makes there unless it already has;
PYTHON the interpreter that has what bench/peers/language.txt lists. llama.cpp is measured too where that
interpreter has llama-cpp-python and gguf. Nothing is fetched. Each engine lives in a process of its own and
waits while the others work; they take turns of a fraction of a second, in an order that is turned round each
time, and ratios are taken round by round: the machine drifts, ratios less so.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tickwork.bench.measurements import machine

WORKER = Path(__file__).parent / "peers" / "language.py"
BUILDER = Path(__file__).parent / "peers" / "language_model.py"
BATCHES = (1, 4, 16)
STEPS = {1: 32, 4: 20, 16: 10}
OURS = "tickwork"
VERSIONS = (
    "import json, importlib.metadata as m\n"
    "names = ('onnxruntime', 'onnxruntime-genai', 'torch', 'transformers', 'llama_cpp_python')\n"
    "found = {d.metadata['Name']: d.version for d in m.distributions()}\n"
    "print(json.dumps({n: found[n] for n in names if n in found}))"
)
Row = tuple[str, float, str]


class Worker:
    """One engine in its own process."""

    def __init__(self, python: str, name: str, models: Path) -> None:
        self.name = name
        command = [python, str(WORKER), name, str(models)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._answer()

    def ask(self, request: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended; run {' '.join(map(str, self._process.args))} to see why")
        return dict(json.loads(line))


class Bench:
    """What all measurements share."""

    def __init__(self, models: Path, peers: str, rounds: int, callers: int) -> None:
        self.models, self.peers, self.rounds, self.callers = models, peers, rounds, callers
        self.llama = "llama_cpp_python" in versions(peers)

    @contextmanager
    def workers(self, names: Sequence[str]) -> Iterator[list[Worker]]:
        found: list[Worker] = []
        try:
            for name in names:
                python = sys.executable if name.startswith(OURS) else self.peers
                found.append(Worker(python, name, self.models))
            yield found
        finally:
            for worker in found:
                worker.close()

    def alternate(self, workers: Sequence[Worker], batches: Sequence[int]) -> list[list[float]]:
        """Return each worker's tokens per second round by round; each has a batch size of its own."""
        for worker, batch in zip(workers, batches, strict=True):
            worker.ask(f"prepare {batch}")
            worker.ask(f"segment {STEPS[batch]}")
        rates: list[list[float]] = [[] for _ in workers]
        for turn in range(self.rounds):
            order = range(len(workers)) if turn % 2 == 0 else reversed(range(len(workers)))
            for index in order:
                found = workers[index].ask(f"segment {STEPS[batches[index]]}")
                rates[index].append(found["tokens_per_s"])
        return rates

    def decode(self) -> list[Row]:
        """Tokens per second of each engine."""
        names = ("tickwork-fp32", "tickwork-fp32-spin", "genai-fp32", "transformers-fp32")
        names += ("tickwork-int4", "tickwork-int4-spin", "genai-int4")
        names += ("llama-fp32", "llama-int4") if self.llama else ()
        rows: list[Row] = []
        with self.workers(names) as workers:
            for batch in BATCHES:
                rates = dict(zip(names, self.alternate(workers, [batch] * len(names)), strict=True))
                for name in names:
                    rows += [(f"batch {batch}, {name}", statistics.median(rates[name]), "tokens/s")]
                    precision = name.split("-")[1]
                    ours = (f"tickwork-{precision}", f"tickwork-{precision}-spin")
                    if not name.startswith(OURS):
                        rows += [(f"  {own} / {name}", ratio(rates[own], rates[name]), "x") for own in ours]
        return rows

    def batching(self) -> list[Row]:
        """Sixteen at once against one at a time."""
        rows: list[Row] = []
        for precision in ("fp32", "int4"):
            name = f"tickwork-{precision}"
            with self.workers((name, name)) as workers:
                many, one = self.alternate(workers, (16, 1))
            rows += [
                (f"{name}, 16 at once", statistics.median(many), "tokens/s"),
                (f"{name}, one at a time", statistics.median(one), "tokens/s"),
                ("  16 at once / one at a time", ratio(many, one), "x"),
            ]
        return rows

    def rules(self) -> list[Row]:
        """What the rules that make answers independent of company cost."""
        rows: list[Row] = []
        for precision in ("fp32", "int4"):
            names = (f"tickwork-{precision}", f"tickwork-{precision}-rules-off")
            with self.workers(names) as workers:
                for batch in BATCHES:
                    on, off = self.alternate(workers, (batch, batch))
                    rows += [(f"{precision}, batch {batch}: rules off / on", ratio(off, on), "x")]
        return rows

    def prefix(self) -> list[Row]:
        """Everybody asks at once under a shared prompt of 1,000 tokens."""
        rows: list[Row] = []
        names = ("tickwork-int4-prefix", "tickwork-int4-no-prefix")
        found: list[dict[str, Any]] = []
        for name in names:  # each in a fresh process: the cache starts empty
            with self.workers((name,)) as (worker,):
                found.append(worker.ask(f"first {self.callers}"))
        for name, figures in zip(names, found, strict=True):
            rows += [
                (f"{name}: time to first token, first of {self.callers}", figures["first_s"], "s"),
                ("  median", figures["median_s"], "s"),
                ("  last", figures["last_s"], "s"),
            ]
        rows.append(("  median without / with", found[1]["median_s"] / found[0]["median_s"], "x"))
        return rows


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


MEASUREMENTS = {
    "decode": Bench.decode,
    "batching": Bench.batching,
    "rules": Bench.rules,
    "prefix": Bench.prefix,
}


def versions(python: str) -> dict[str, str]:
    done = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Run the chosen measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, metavar="MODELS")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}; all if none")
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--callers", type=int, default=100, help="who share a prompt in `prefix`")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in MEASUREMENTS]
    if unknown or min(options.rounds, options.callers) < 1:
        parser.error(
            f"no measurement {unknown[0]!r}" if unknown else "--rounds and --callers take positive numbers"
        )
    started = time.monotonic()
    subprocess.run([options.peers, str(BUILDER), str(options.models)], check=True)
    bench = Bench(options.models.resolve(), options.peers, options.rounds, options.callers)
    about = machine() | {"peers": versions(options.peers), "rounds": options.rounds}
    results = {}
    for name in options.names or MEASUREMENTS:
        print(f"\n{name}")
        results[name] = MEASUREMENTS[name](bench)
        for label, value, unit in results[name]:
            print(f"  {label:<58} {value:>10,.{0 if value >= 1000 else 3}f} {unit}", flush=True)
    minutes = round((time.monotonic() - started) / 60, 1)
    print(f"\n{minutes} minutes")
    if options.json:
        date = datetime.now(UTC).date().isoformat()
        text = json.dumps({"date": date, "minutes": minutes, "machine": about, "results": results}, indent=1)
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
