"""The layout of what the kernel's threads share: one table, of which the C header and the docs are views.

`kernel/arena.h` is `header()` and the tables of docs/reference/shared-memory.md are `tables()`; a test holds
both to it. After a change run `python -m tickwork.pool.arena`, which writes the header, and build again.
"""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Raised with every change of a record's meaning that its size does not show.
VERSION = 2
HEADER = Path(__file__).parent / "kernel" / "arena.h"

_C_TYPES: dict[str, type] = {
    "const uint8_t *": ctypes.c_void_p,
    "const void *": ctypes.c_void_p,
    "void *": ctypes.c_void_p,
    "uint8_t *": ctypes.c_void_p,
    "uint64_t ": ctypes.c_uint64,
    "uint32_t ": ctypes.c_uint32,
    "_Atomic uint32_t ": ctypes.c_uint32,
}
# How many pieces of text and bytes an effect has at most.
PIECES_MAX = 3


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its C type as it stands before the name, how many there are, and what it means."""

    type: str
    name: str
    meaning: str
    count: int = 1

    def layout(self) -> Any:
        """Return the field's type for ctypes."""
        one: Any = _C_TYPES[self.type]
        return one * self.count if self.count > 1 else one


@dataclass(frozen=True, slots=True)
class Record:
    """One kind of record. `owner` says who may write it, and when."""

    name: str
    meaning: str
    owner: str
    fields: tuple[Field, ...]

    def layout(self) -> type[ctypes.Structure]:
        """Return the record as the C compiler lays it out."""
        fields = [(item.name, item.layout()) for item in self.fields]
        return type(self.name, (ctypes.Structure,), {"_fields_": fields})


RECORDS = (
    Record(
        "tw_agent",
        "An agent that the kernel can run: the engine's handles, its memory, its limits.",
        "The orchestrator, between waves; the worker that claimed the agent's turn keeps `size` up to date.",
        (
            Field("void *", "context", "the store's context; null where the kernel holds no agent"),
            Field("const void *", "memory", "handle of the memory through which it is called"),
            Field("const void *", "step", "handle of the export `step`"),
            Field("const void *", "post", "handle of `cabi_post_step`, or null"),
            Field("const void *", "realloc", "handle of `cabi_realloc`"),
            Field("const void *", "arena", "handle of `tickwork_inbox`, or null"),
            Field("uint8_t *", "base", "the memory's first byte; it never moves"),
            Field("uint64_t ", "size", "bytes of memory when last asked; memories only grow"),
            Field("uint64_t ", "fuel", "limit: fuel per turn"),
            Field("uint64_t ", "effects_max", "limit: effects per turn"),
            Field("uint64_t ", "bytes_max", "limit: bytes per turn"),
        ),
    ),
    Record(
        "tw_letter",
        "One message of an inbox. The pointers lead into Python's strings, which the plan keeps alive, or "
        "into the ids and the outbox arenas of the wave before.",
        "The orchestrator, until it publishes the turn that the letter belongs to; then nobody.",
        (
            Field("const uint8_t *", "piece", "sender, topic, body", PIECES_MAX),
            Field("uint32_t ", "size", "their sizes in bytes", PIECES_MAX),
            Field("uint32_t ", "has_reply_to", "0 or 1"),
            Field("uint64_t ", "reply_to", "the number of the request that is answered"),
        ),
    ),
    Record(
        "tw_turn",
        "One turn: what goes in, and what came of it.",
        "The orchestrator, until it publishes the turn; the worker that claims it, until `done` is set; "
        "then nobody.",
        (
            Field("uint32_t ", "agent", "the agent's index"),
            Field("uint32_t ", "letters", "messages in the inbox"),
            Field("uint64_t ", "letter", "index of the first one in the inbox arena"),
            Field("uint64_t ", "seed", "the turn's entropy"),
            Field("uint64_t ", "fuel", "fuel used, if nothing went wrong"),
            Field("const uint8_t *", "effects", "the effects, in the worker's outbox arena"),
            Field("uint32_t ", "count", "how many effects there are"),
            Field("uint32_t ", "fault", "0, or which fault ended the turn (`tw_fault`)"),
            Field("uint64_t ", "first", "the fault's first number"),
            Field("uint64_t ", "second", "the fault's second number"),
            Field("_Atomic uint32_t ", "done", "1 once everything above is written"),
            Field("uint32_t ", "place", "the turn's place in the plan"),
            Field("const uint8_t *", "record", "the turn's bytes in the tick's entry, in the outbox arena"),
            Field("uint32_t ", "record_size", "their number"),
            Field("uint32_t ", "plain", "1 if the turn did nothing but what `plain.h` allows"),
        ),
    ),
    Record(
        "tw_effect",
        "One effect in an outbox arena. Its pieces follow at once, then up to seven bytes of padding.",
        "The worker that owns the outbox, until it sets the turn's `done`; then the orchestrator, for "
        "`permitted`. It lasts until the end of the next wave, whose letters lead into it.",
        (
            Field("uint32_t ", "tag", "the case of the WIT variant `effect`"),
            Field("uint32_t ", "option", "case of the option in `send` and `stop`; the level of a `log`"),
            Field("uint32_t ", "size", "sizes of the pieces, in the order of the fields", PIECES_MAX),
            Field("uint32_t ", "pieces", "how many pieces there are"),
            Field("uint64_t ", "number", "the effect's numbers: after-ticks, request, bits of a float", 2),
            Field("uint32_t ", "aim", "in a plain turn: the agent, output or topic that it names"),
            Field("uint32_t ", "permitted", "1 if that is known to be granted without a limit"),
        ),
    ),
    Record(
        "tw_box",
        "What the kernel knows of a receiver, with its mailbox in the making, or of an output or a topic.",
        "The orchestrator, between waves; workers read `id`.",
        (
            Field("const uint8_t *", "id", "its name"),
            Field("uint32_t ", "id_size", "its size in bytes"),
            Field("uint32_t ", "live", "1 if messages can reach it"),
            Field("uint64_t ", "room", "limit: messages that may wait"),
            Field("uint64_t ", "room_bytes", "limit: bytes of their bodies"),
            Field("uint64_t ", "count", "messages so far; 0 between ticks. Of a topic: its subscribers"),
            Field("uint64_t ", "bytes", "bytes of their bodies so far; 0 between ticks"),
            Field("uint64_t ", "next", "index of its next letter. Of a topic: of its first subscriber"),
        ),
    ),
)  # fmt: skip


def _declaration(item: Field) -> str:
    count = f"[{item.count}]" if item.count > 1 else ""
    return f"    {item.type}{item.name}{count};"


def header() -> str:
    """Return `kernel/arena.h`."""
    lines = [
        "/* Written by tickwork/pool/arena.py, which holds the table; do not edit. */",
        "#ifndef TICKWORK_ARENA_H",
        "#define TICKWORK_ARENA_H",
        "",
        "#include <stdatomic.h>",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        f"#define TW_ARENA_VERSION {VERSION}",
        f"#define TW_PIECES_MAX {PIECES_MAX}",
    ]
    for record in RECORDS:
        lines += ["", f"/* {record.meaning} */", f"typedef struct {record.name} {{"]
        width = max(len(_declaration(item)) for item in record.fields)
        lines += [f"{_declaration(item):<{width}} /* {item.meaning} */" for item in record.fields]
        lines += [f"}} {record.name};", ""]
        layout = record.layout()
        for item in record.fields:
            offset = getattr(layout, item.name).offset
            lines.append(f'_Static_assert(offsetof({record.name}, {item.name}) == {offset}, "{item.name}");')
        lines.append(f'_Static_assert(sizeof({record.name}) == {ctypes.sizeof(layout)}, "{record.name}");')
    return "\n".join([*lines, "", "#endif", ""])


def tables() -> str:
    """Return the tables of docs/reference/shared-memory.md."""
    parts = []
    for record in RECORDS:
        layout = record.layout()
        parts += [
            f"### `{record.name}`, {ctypes.sizeof(layout)} bytes",
            "",
            f"{record.meaning}",
            "",
            f"Written by: {record.owner}",
            "",
            "| offset | field | type | meaning |",
            "|---:|---|---|---|",
        ]
        for item in record.fields:
            count = f"[{item.count}]" if item.count > 1 else ""
            parts.append(
                f"| {getattr(layout, item.name).offset} | `{item.name}{count}` | `{item.type.strip()}` "
                f"| {item.meaning} |"
            )
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    HEADER.write_text(header())
