"""The market as a user runs it: every deal is checked against the orders, without the agents' own code."""

import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time  # noqa: TID251 - a run is killed in its middle
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tickwork.inference.providers import CPU, basis

EXAMPLE = Path(__file__).parents[2] / "examples" / "market"
PRICE = re.compile(r"([0-9]+) coins")
COINS = 500
DIGEST = "2c251c3a413c93345ae70381087b5cc9fc5a082e7a25906d5940190752303c84"
PINNED_ON = ("1.31.1", "x86_64+avx2+fma+avx_vnni+avx512f+avx512bw+avx512_vnni+avx512_bf16")
PATIENCE_S = 120


@dataclass
class Done:
    """One finished run."""

    result: dict[str, Any]
    deals: list[dict[str, Any]]
    accounts: list[dict[str, Any]]
    file: Path


def tickwork(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tickwork", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Paths:
    """Where a run in a folder writes."""

    def __init__(self, folder: Path) -> None:
        self.file, self.deals, self.accounts = (
            folder / name for name in ("market.tick", "deals.jsonl", "accounts.jsonl")
        )
        self.options = ["--out", str(self.file)]
        self.options += ["--output", f"deals={self.deals}", "--output", f"accounts={self.accounts}"]


def run(folder: Path, *options: str) -> Done:
    folder.mkdir()
    paths = Paths(folder)
    done = tickwork("run", str(EXAMPLE), *paths.options, "--json", *options)
    assert done.returncode == 0, done.stderr
    return Done(json.loads(done.stdout), lines(paths.deals), lines(paths.accounts), paths.file)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(tmp_path_factory.mktemp("market") / "first")


@pytest.fixture(scope="module")
def orders() -> dict[int, dict[str, Any]]:
    """The orders by number, as the crier counts them."""
    found = [order for order in lines(EXAMPLE / "orders.jsonl") if "trader" in order]
    return dict(enumerate(found, 1))


def test_dozens_of_agents_reach_dozens_of_deals_over_hundreds_of_ticks(market: Done) -> None:
    assert market.result["agents"] >= 30
    assert market.result["ticks"] >= 200
    assert len(market.deals) >= 30
    assert len({deal["buyer"] for deal in market.deals} | {deal["seller"] for deal in market.deals}) >= 24


def test_every_deal_is_within_both_limits_and_about_what_both_ordered(
    market: Done, orders: dict[int, dict[str, Any]]
) -> None:
    for deal in market.deals:
        buy, sell = (orders[number] for number in deal["orders"])
        assert (buy["trader"], buy["side"]) == (deal["buyer"], "buy")
        assert (sell["trader"], sell["side"]) == (deal["seller"], "sell")
        for order in (buy, sell):
            assert (order["quantity"], order["goods"]) == (deal["quantity"], deal["goods"])
        assert sell["limit"] <= deal["price"] <= buy["limit"], deal
    filled = Counter(number for deal in market.deals for number in deal["orders"])
    assert set(filled.values()) == {1}


def test_both_sides_of_every_deal_said_its_price(market: Done) -> None:
    """The last sentence makes the deal; the price in it is the one that the other side had named last."""
    for deal in market.deals:
        assert deal["signed"] == [deal["price"], deal["price"]]
        *_, offer, agreed = deal["words"]
        assert re.match(r"Deal|Agreed|Sold", agreed), deal
        assert PRICE.findall(agreed) == PRICE.findall(offer) == [str(deal["price"])], deal


def test_offers_only_come_closer_and_nobody_goes_back(market: Done) -> None:
    steps = 0
    for deal in market.deals:
        prices = [int(PRICE.findall(words)[0]) for words in deal["words"]]
        for side, direction in ((prices[0::2], 1), (prices[1::2], -1)):
            found = [direction * (after - before) for before, after in itertools.pairwise(side)]
            assert all(step >= 0 for step in found), deal
            steps += len(found)
    assert steps >= 100


def test_a_firm_trader_gives_way_less_than_a_keen_one(
    market: Done, orders: dict[int, dict[str, Any]]
) -> None:
    """What only the model knows: the grammar says nothing of manners."""
    given: dict[str, list[int]] = {"firm": [], "fair": [], "keen": []}
    for deal in market.deals:
        prices = [int(PRICE.findall(words)[0]) for words in deal["words"][:-1]]
        for side, number in zip((prices[0::2], prices[1::2]), deal["orders"], strict=True):
            given[orders[number]["manner"]] += [abs(b - a) for a, b in itertools.pairwise(side) if a != b]
    firm, fair, keen = (statistics.mean(given[manner]) for manner in ("firm", "fair", "keen"))
    assert firm + 0.5 < fair < keen - 0.5


def test_coins_and_goods_are_conserved(market: Done, orders: dict[int, dict[str, Any]]) -> None:
    coins: Counter[str] = Counter()
    goods: Counter[tuple[str, str]] = Counter()
    for order in orders.values():
        coins[order["trader"]] += 0
        if order["side"] == "sell":
            goods[order["trader"], order["goods"]] += order["quantity"]
    for deal in market.deals:
        coins[deal["buyer"]] -= deal["price"]
        coins[deal["seller"]] += deal["price"]
        goods[deal["buyer"], deal["goods"]] += deal["quantity"]
        goods[deal["seller"], deal["goods"]] -= deal["quantity"]
    accounts = {account["trader"]: account for account in market.accounts}
    assert accounts.keys() == coins.keys()
    for name, account in accounts.items():
        assert account["coins"] == coins[name] + (COINS if account["role"] == "buyer" else 0)
        expected = {kind: count for (trader, kind), count in goods.items() if trader == name and count}
        assert account["goods"] == expected
    assert sum(account["coins"] for account in accounts.values()) == COINS * 16


def test_the_run_has_the_digest_that_every_machine_of_this_kind_gives_it(market: Done) -> None:
    """The answers are the CPU's own, so another instruction set may word them differently."""
    here = basis(CPU)
    if (here.onnxruntime, here.isa) != PINNED_ON:
        pytest.skip(
            f"the digest is pinned for {PINNED_ON}; this is onnxruntime {here.onnxruntime} on {here.isa}"
        )
    assert market.result["digest"] == DIGEST


def test_a_replay_asks_the_model_for_every_sentence_again(market: Done) -> None:
    done = tickwork("replay", str(market.file), "--recompute", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    replayed = json.loads(done.stdout)
    assert replayed["identical"]
    assert replayed["digest"] == market.result["digest"]
    assert replayed["warnings"] == replayed["differences"] == []
    assert replayed["recomputed"] >= sum(len(deal["words"]) for deal in market.deals)


def test_one_processor_and_one_worker_give_the_same_market(market: Done, tmp_path: Path) -> None:
    """Agents and model each have one thread then, and wherever possible two or more by default."""
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(here)})
    try:
        again = run(tmp_path / "again", "--workers", "1")
    finally:
        os.sched_setaffinity(0, here)
    assert (again.result["digest"], again.result["exact"]) == (
        market.result["digest"],
        market.result["exact"],
    )
    assert (again.deals, again.accounts) == (market.deals, market.accounts)


def test_a_market_killed_in_the_middle_of_talks_comes_to_the_same_deals(market: Done, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    arguments = ["run", str(EXAMPLE), *paths.options, "--workers", "2"]
    for enough in (8, 24):
        killed(arguments, paths.deals, enough)
        arguments = ["resume", str(paths.file), "--workers", "2"]
    done = tickwork(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == market.result["digest"]
    assert (lines(paths.deals), lines(paths.accounts)) == (market.deals, market.accounts)


def killed(arguments: list[str], deals: Path, enough: int) -> None:
    """Start tickwork, and kill it as soon as there are so many deals."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tickwork", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        if deals.exists() and deals.read_bytes().count(b"\n") >= enough:
            break
        time.sleep(0.01)
    process.kill()
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()
    assert enough <= deals.read_bytes().count(b"\n") < 40
