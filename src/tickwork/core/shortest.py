"""Canonical bytes that do not change when a kind of record gets another field.

An `array_like` record is written field by field. Fields that were added later come last, and those of them
that have their defaults are left out from the end, so that a record without them has the bytes it always had.
"""

import msgspec


def shortest(record: msgspec.Struct, always: int) -> tuple[object, ...]:
    """Return the fields of an `array_like` record, of which the first `always` are written in any case."""
    fields = msgspec.structs.astuple(record)
    defaults = record.__struct_defaults__
    count = len(fields)
    # The defaults are those of the last fields.
    while count > always and fields[count - 1] == defaults[count - 1 - len(fields)]:
        count -= 1
    return fields[:count]
