"""What a run file tells of the models that its agents ask."""

from tickwork.journal.reader import RunReader
from tickwork.runtime.launch import project_of
from tickwork.runtime.model_place import ModelPlace

Row = dict[str, object]
_HASH_CHARS = 12


def model_rows(reader: RunReader) -> list[Row]:
    """Return a row for each model: which it is, where it ran when the run began, and how it was served.

    What ran is None for a run file of a version that did not say.
    """
    places = project_of(reader.spec, reader.header.launch).models
    return [
        _row({"name": model.name, "hash": model.hash, "kind": model.kind}, places.get(model.name))
        for model in reader.spec.models
    ]


def in_words(row: Row) -> str:
    """Return a model's row as a phrase."""
    parts = [f"{row['name']} {str(row['hash'])[:_HASH_CHARS]}"]
    if row["provider"] is not None:
        parts.append(f"on {row['provider']}")
    passed = row["passed_over"]
    if isinstance(passed, list):
        parts += [f"not on {one['provider']} ({one['reason']})" for one in passed]
    if row["served"] is not None:
        parts.append(f"served {row['served']}")
    return ", ".join(parts)


def _row(row: Row, place: ModelPlace | None) -> Row:
    if place is None:
        return {**row, "provider": None, "passed_over": [], "served": None}
    return {
        **row,
        "provider": place.providers[0] if place.providers else None,
        "passed_over": [{"provider": name, "reason": reason} for name, reason in place.passed_over],
        "served": place.served or None,
    }
