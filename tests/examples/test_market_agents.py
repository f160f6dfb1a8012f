"""The market's agents one by one, as plain Python objects."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tickwork_agent import Effect, Infer, Message, Output, Send
from tickwork_agent.testing import AgentTest

AGENTS = Path(__file__).parents[2] / "examples" / "market" / "agents"
APPLES = {"trader": "buyer-0", "side": "buy", "quantity": 3, "goods": "apples", "limit": 14, "manner": "firm"}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, AGENTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Import the example's modules under their own names, and forget them afterwards."""
    for name in ("words", "trader", "crier", "ledger"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    return {name: load(name) for name in ("words", "trader", "crier", "ledger")}


def trader(market: dict[str, ModuleType], role: str, **config: Any) -> AgentTest[Any]:
    settings = {"role": role, "patience": 3, "coins": 100, "temperature": 0.0, **config}
    test = AgentTest(market["trader"].Trader, settings, id=f"{role}-0")
    test.receive("order", {**APPLES, "order": 5})
    return test


def meet(test: AgentTest[Any], partner: str) -> list[Effect]:
    return test.receive("meet", {"talk": 1, "order": 5, "partner": partner}, sender="crier")


def asked(effects: list[Effect]) -> Infer:
    (found,) = [effect for effect in effects if isinstance(effect, Infer)]
    return found


def sent(effects: list[Effect], topic: str) -> list[str]:
    return [effect.body.decode() for effect in effects if isinstance(effect, Send) and effect.topic == topic]


def answer(test: AgentTest[Any], request: Infer, text: str) -> list[Effect]:
    return test.answer(request.request, text, model="haggler")


def test_a_buyer_opens_with_its_situation_and_says_what_the_model_says(market: dict[str, ModuleType]) -> None:
    test = trader(market, "buyer")
    request = asked(meet(test, "seller-4"))
    assert json.loads(request.body)["messages"] == [
        {
            "role": "system",
            "content": "You buy 3 crates of apples. You can pay at most 14 coins. You are firm.",
        },
        {"role": "user", "content": "Make the first offer."},
    ]
    assert sent(answer(test, request, "I can pay 8 coins."), "words") == ["I can pay 8 coins."]


@pytest.mark.parametrize(
    "words",
    [
        "I can pay 15 coins.",
        "I offer 9 coins for 4 crates of apples.",
        "I offer 9 coins for 3 crates of pears.",
        "Deal at 20 coins.",
        "Agreed, I pay 9 coins.",
        "I can pay 9 coins or 10 coins.",
        "Lovely weather.",
        "",
    ],
)
def test_what_may_not_be_said_is_thought_over_and_never_said(
    market: dict[str, ModuleType], words: str
) -> None:
    test = trader(market, "buyer")
    request = asked(meet(test, "seller-4"))
    for _ in range(market["trader"].SECOND_THOUGHTS):
        effects = answer(test, request, words)
        assert not sent(effects, "words")
        again = asked(effects)
        assert again.body == request.body
        request = again
    effects = answer(test, request, words)
    assert sent(effects, "words") == ["No deal, I will look elsewhere."]
    assert [json.loads(body) for body in sent(effects, "over")] == [{"talk": 1, "dealt": False}]


def test_a_seller_never_goes_below_its_limit(market: dict[str, ModuleType]) -> None:
    test = trader(market, "seller")
    meet(test, "buyer-2")
    request = asked(test.receive("words", "I can pay 13 coins.", sender="buyer-2"))
    assert not sent(answer(test, request, "Deal at 13 coins."), "words")
    assert test.agent.coins == 100


def test_a_deal_moves_coins_and_goods_on_both_sides_and_is_signed(market: dict[str, ModuleType]) -> None:
    buyer = trader(market, "buyer")
    request = asked(meet(buyer, "seller-4"))
    answer(buyer, request, "I can pay 12 coins.")
    effects = buyer.receive("words", "Sold for 12 coins.", sender="seller-4")
    (signed,) = sent(effects, "signed")
    assert json.loads(signed)["price"] == 12
    assert (buyer.agent.coins, buyer.agent.goods) == (88, {"apples": 3})
    seller = trader(market, "seller")
    meet(seller, "buyer-2")
    request = asked(seller.receive("words", "I can pay 16 coins.", sender="buyer-2"))
    effects = answer(seller, request, "Deal at 16 coins.")
    assert sent(effects, "words") == ["Deal at 16 coins."]
    assert (seller.agent.coins, seller.agent.goods) == (116, {"apples": 0})


def test_a_deal_at_a_price_that_was_never_offered_is_no_deal(market: dict[str, ModuleType]) -> None:
    buyer = trader(market, "buyer")
    request = asked(meet(buyer, "seller-4"))
    answer(buyer, request, "I can pay 10 coins.")
    effects = buyer.receive("words", "Sold for 12 coins.", sender="seller-4")
    assert not sent(effects, "signed")
    assert buyer.agent.coins == 100


def test_on_the_last_word_another_offer_is_not_an_answer(market: dict[str, ModuleType]) -> None:
    seller = trader(market, "seller", patience=1)
    meet(seller, "buyer-2")
    request = asked(seller.receive("words", "I can pay 9 coins.", sender="buyer-2"))
    last = json.loads(request.body)["messages"][-1]["content"]
    assert last == "I can pay 9 coins. This is your last word."
    assert not sent(answer(seller, request, "I stay at 14 coins."), "words")


def test_words_from_outside_a_talk_are_not_heard(market: dict[str, ModuleType]) -> None:
    buyer = trader(market, "buyer")
    meet(buyer, "seller-4")
    effects = buyer.receive("words", "Sold for 1 coins.", sender="seller-9")
    assert not [effect for effect in effects if isinstance(effect, Send | Infer)]


def test_the_crier_never_brings_the_same_two_orders_together_twice(market: dict[str, ModuleType]) -> None:
    crier = AgentTest(market["crier"].Crier, {}, id="crier")
    sell = {**APPLES, "trader": "seller-0", "side": "sell"}
    crier.receive("order", sell, sender="input:orders")
    effects = crier.receive("order", APPLES, sender="input:orders")
    assert len(sent(effects, "meet")) == 2
    for _ in range(2):
        effects = crier.receive("over", {"talk": 1, "dealt": False})
    assert not sent(effects, "meet")
    crier.receive("order", {**sell, "trader": "seller-1"}, sender="input:orders")
    assert crier.agent.begun == 2


def test_the_ledger_writes_what_both_have_signed(market: dict[str, ModuleType]) -> None:
    ledger = AgentTest(market["ledger"].Ledger, {}, id="ledger")
    signed = {"talk": 1, "role": "buyer", "order": {**APPLES, "order": 5}, "price": 12, "words": ["..."]}
    assert not ledger.step(Message("buyer-0", "signed", json.dumps(signed).encode()))
    signed |= {"role": "seller", "order": {**APPLES, "order": 6}}
    (written,) = ledger.step(Message("seller-4", "signed", json.dumps(signed).encode()))
    assert isinstance(written, Output)
    deal = json.loads(written.body)
    assert (deal["buyer"], deal["seller"], deal["signed"]) == ("buyer-0", "seller-4", [12, 12])
