"""Small run files for the journal's tests, made with the real writer."""

from pathlib import Path

from tickwork.core.digest import Digests, advance, content_hash
from tickwork.core.effects import Log, Send
from tickwork.core.entry import Entry, Fuel, TurnEntry, encode, encode_entry
from tickwork.core.messages import Arrivals, Input
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.journal.header import Header, header_of
from tickwork.journal.writer import RunWriter

CODE = b"\0asm\x01\0\0\0" + bytes(range(256)) * 40
MODULES = {content_hash(CODE): CODE}
SPEC = RunSpec(
    name="sample",
    seed=7,
    start_ns=0,
    tick_ns=1_000_000,
    floats="portable",
    agents=tuple(AgentSpec(f"a{n}", "agent", content_hash(CODE), b"{}") for n in range(3)),
    inputs=(InputSpec("lines", "line", ("a0",), 1),),
)


def header(spec: RunSpec = SPEC) -> Header:
    return header_of(
        spec, tickwork="0.1.0", engine="wasmtime 50.0.1", engine_config="00" * 32, isa="x86_64", os="linux"
    )


def tick_bytes(tick: int, turns: int = 3) -> tuple[bytes, bytes]:
    entry = Entry(
        tick,
        Arrivals((Input(0, b"line %d" % tick),)),
        tuple(
            TurnEntry(n, OutcomeKind.OK, (Send("a0", "t", b"%d:%d" % (tick, n) * 9), Log(1, f"tick {tick}")))
            for n in range(turns)
        ),
    )
    return encode_entry(entry), encode(Fuel(tuple(1000 + tick + n for n in range(turns))))


def chain(ticks: int) -> list[tuple[int, Digests, bytes, bytes]]:
    """The arguments of `append` for ticks 0 to ticks-1."""
    rows = []
    digests = header().genesis()
    for tick in range(ticks):
        entry, fuel = tick_bytes(tick)
        digests = advance(digests, entry, fuel)
        rows.append((tick, digests, entry, fuel))
    return rows


def write(path: Path, ticks: int, *, finish: bool = True, force: bool = False) -> None:
    with RunWriter.create(path, header(), MODULES, force=force) as writer:
        for row in chain(ticks):
            writer.append(*row)
        if finish:
            writer.finish("finished")
