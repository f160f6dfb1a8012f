"""Takes typed values out of parsed TOML; whatever is not exactly what was asked for is a Fault."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from tickwork.manifest.faults import Fault, KeyPath, did_you_mean, listed, quoted

_TYPE_WORDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (str, "a string"),
    (int, "a whole number"),
    (float, "a number with a fraction"),
    (list, "an array"),
    (dict, "a table"),
    (dt.date, "a date"),
    (dt.time, "a time"),
)


def type_words(value: object) -> str:
    """Return what a TOML author calls this value's type."""
    return next(words for kind, words in _TYPE_WORDS if isinstance(value, kind))


class Section:
    """One table of the manifest, known to hold no key but the `known` ones."""

    def __init__(self, value: object, at: KeyPath, known: Sequence[str], whose: str = "") -> None:
        self.at = at
        self.whose = whose
        if not isinstance(value, dict):
            raise Fault(at, f"must be a table, not {type_words(value)}", whose)
        for key in value:
            if key not in known:
                hint = did_you_mean(key, known)
                raise Fault((*at, key), f"unknown key{hint}; allowed here: {', '.join(known)}", whose)
        self._value: dict[str, Any] = value

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def fault(self, key: str, reason: str, *more: str | int) -> Fault:
        """Return a Fault at one of this table's keys, or at a part of its value."""
        return Fault((*self.at, key, *more), reason, self.whose)

    def require(self, key: str, example: str) -> None:
        """Raise a Fault unless the table has the key."""
        if key not in self._value:
            raise self.fault(key, f"is missing; add {example}")

    def value(self, key: str) -> object:
        """Return the value as parsed, or None."""
        return self._value.get(key)

    def text(self, key: str, default: str) -> str:
        """Return a string."""
        value = self._value.get(key, default)
        if not isinstance(value, str):
            raise self.fault(key, f'must be a string such as {key} = "...", not {type_words(value)}')
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._value.get(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, f"must be true or false, not {type_words(value)}")
        return value

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """Return a whole number between `low` and `high`; true and 1.0 are none."""
        value = self._value.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.fault(key, f"must be a whole number, not {type_words(value)}")
        if not low <= value <= high:
            raise self.fault(key, f"is {quoted(value)}; it must be between {low} and {high}")
        return value

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """Return a number between `low` and `high`, whole or not."""
        value = self._value.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.fault(key, f"must be a number, not {type_words(value)}")
        # Also refuses nan, which is not in any range.
        if not low <= value <= high:
            raise self.fault(key, f"is {value}; it must be between {low:g} and {high:g}")
        return float(value)

    def integer_or(self, key: str, default: str, low: int, high: int, choices: Sequence[str]) -> int | str:
        """Return a whole number between `low` and `high`, or one of the strings in `choices`."""
        value = self._value.get(key, default)
        if isinstance(value, str):
            if value in choices:
                return value
            hint = did_you_mean(value, choices)
            words = f"{listed(map(quoted, choices))} or a whole number"
            raise self.fault(key, f"is {quoted(value)}{hint}; it can be: {words}")
        return self.integer(key, 0, low, high)

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        """Return one of the strings in `choices`."""
        value = self.text(key, default)
        if value not in choices:
            hint = did_you_mean(value, choices)
            raise self.fault(key, f"is {quoted(value)}{hint}; it can be: {listed(map(quoted, choices))}")
        return value

    def array(self, key: str) -> list[object]:
        """Return an array's items, none if the key is absent."""
        value = self._value.get(key, [])
        if not isinstance(value, list):
            raise self.fault(key, f"must be an array such as {key} = [...], not {type_words(value)}")
        return value

    def strings(self, key: str) -> list[str]:
        """Return an array of strings, none of them twice."""
        found: list[str] = []
        for index, item in enumerate(self.array(key)):
            if not isinstance(item, str):
                raise self.fault(key, f"must be a string, not {type_words(item)}", index)
            if item in found:
                raise self.fault(key, f"{quoted(item)} is there twice; remove one", index)
            found.append(item)
        return found

    def table(self, key: str) -> dict[str, object]:
        """Return a table's items, none if the key is absent."""
        value = self._value.get(key, {})
        if not isinstance(value, dict):
            raise self.fault(key, f"must be a table, not {type_words(value)}")
        return value
