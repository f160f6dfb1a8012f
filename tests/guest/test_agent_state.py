import json
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from tickwork_agent import Agent, Message
from tickwork_agent.state import RUNTIME, TOPIC, answer, is_asked


class Colour(Enum):
    RED = 1


@dataclass
class Point:
    x: int
    y: "Point | None" = None


def state_of(**attributes: Any) -> Any:
    agent = Agent()
    for name, value in attributes.items():
        setattr(agent, name, value)
    (effect,) = answer(agent)
    return json.loads(effect.body)  # type: ignore[union-attr]


def test_only_the_runtime_can_ask_and_only_alone() -> None:
    asked = Message(RUNTIME, TOPIC, b"", None)
    assert is_asked([asked])
    assert not is_asked([asked, asked])
    assert not is_asked([Message("somebody", TOPIC, b"", None)])
    assert not is_asked([Message(RUNTIME, "tickwork.denied", b"", None)])
    assert not is_asked([])


def test_plain_values_stay_what_they_are() -> None:
    plain = {"a": [1, -2.5, True, None, "ü"], "b": {"c": {}}}
    assert state_of(value=plain)["value"] == plain


def test_what_json_lacks_says_what_it_is() -> None:
    state = state_of(
        colour=Colour.RED,
        raw=b"\x00\xff",
        pairs={(1, 2): "x"},
        members={"b", "a"},
        point=Point(1, Point(2)),
        nan=float("nan"),
        queue=deque([1, 2]),
        amount=Decimal("1.5"),
        lone="\ud800",
    )
    assert state["colour"] == {"enum": "Colour.RED"}
    assert state["raw"] == {"bytes": "00ff"}
    assert state["pairs"] == {"map": [[[1, 2], "x"]]}
    assert state["members"] == {"set": ["a", "b"]}
    assert state["point"] == {"Point": {"x": 1, "y": {"Point": {"x": 2, "y": None}}}}
    assert state["nan"] == {"float": "nan"}
    assert state["queue"] == [1, 2]
    assert state["amount"] == {"object": "Decimal"}
    assert state["lone"] == "?"


def test_a_value_that_contains_itself_is_cut() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert state_of(loop=loop)["loop"] == [1, {"cut": "list"}]


def test_a_value_that_is_met_twice_is_shown_twice() -> None:
    shared = [1]
    assert state_of(both=[shared, shared])["both"] == [[1], [1]]


def test_depth_and_size_are_bounded() -> None:
    deep: Any = 0
    for _ in range(1000):
        deep = [deep]
    assert "cut" in json.dumps(state_of(deep=deep))
    assert json.dumps(state_of(wide=[[] for _ in range(20_000)])).count("cut") > 0


def test_the_base_class_keeps_its_own_attributes_to_itself() -> None:
    assert state_of(_mine=1) == {"id": "", "_mine": 1}
