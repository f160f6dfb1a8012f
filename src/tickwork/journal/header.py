"""What a run file says about its run: the specification, and what the exactness of its digests rests on."""

import msgspec
from blake3 import blake3

from tickwork.core.digest import DIGEST_BYTES, Digests, fork_digests, genesis
from tickwork.core.names import ABI_VERSION
from tickwork.core.spec import RunSpec
from tickwork.journal.schema import FORMAT

Value = str | int | bytes
# The rows of the table `run` that are not the header's own.
KEY_CHECK = "check"
KEY_END = "end"


class Parent(msgspec.Struct, frozen=True, array_like=True):
    """Where a fork comes from: the parent's id, the tick before which it was forked, and its digests there.

    `edits` are the canonical bytes of what was changed at that moment; empty if nothing was.
    """

    run: str
    tick: int
    digest: bytes
    exact: bytes
    edits: bytes = b""

    def start(self) -> Digests:
        """Return the digests before the fork's first tick."""
        return fork_digests(Digests(self.digest, self.exact), self.edits)


class Header(msgspec.Struct, frozen=True):
    """The run's identity, and the makers that its exact digests depend on.

    `spec` is the canonical MessagePack of the run's `RunSpec`; `run` is the hex of the genesis digest of
    those bytes. `engine` is a name and a version (`wasmtime 50.0.1`), `engine_config` the hex hash of its
    settings, `isa` and `os` are as the platform names them. `start_tick` is the first tick in the file and
    `start` are the digests before it; only a fork, which has a `parent`, begins elsewhere than at genesis.
    `launch` is how the run was started, in the runtime's own bytes; no digest depends on it. `inference` says
    what computes the answers of its models (`inference.makers`); it is empty for a run without any.
    """

    format: int
    tickwork: str
    abi: str
    engine: str
    engine_config: str
    isa: str
    os: str
    run: str
    spec: bytes
    start: Digests
    start_tick: int = 0
    parent: Parent | None = None
    launch: bytes = b""
    inference: str = ""

    def genesis(self) -> Digests:
        """Return the digests before tick 0 of a run of this specification that is no fork."""
        return genesis(self.spec)


class End(msgspec.Struct, frozen=True, array_like=True):
    """How a run ended: a status for people, the tick that would be next, and the last digests."""

    status: str
    ticks: int
    digest: bytes
    exact: bytes


encode_spec = msgspec.msgpack.Encoder().encode
decode_spec = msgspec.msgpack.Decoder(RunSpec).decode
encode_end = msgspec.msgpack.Encoder().encode
decode_end = msgspec.msgpack.Decoder(End).decode
_encode_parent = msgspec.msgpack.Encoder().encode
_decode_parent = msgspec.msgpack.Decoder(Parent).decode


def header_of(  # noqa: PLR0913 - a header has as many parts
    spec: RunSpec,
    *,
    tickwork: str,
    engine: str,
    engine_config: str,
    isa: str,
    os: str,
    parent: Parent | None = None,
    launch: bytes = b"",
    inference: str = "",
) -> Header:
    """Return the header of a new run of `spec`, in this version's format and ABI.

    With `parent` the run is a fork: it begins at the parent's tick and digests, with the edits folded in.
    """
    canonical = encode_spec(spec)
    first = genesis(canonical)
    return Header(
        format=FORMAT,
        tickwork=tickwork,
        abi=ABI_VERSION,
        engine=engine,
        engine_config=engine_config,
        isa=isa,
        os=os,
        run=first.digest.hex(),
        spec=canonical,
        start=first if parent is None else parent.start(),
        start_tick=0 if parent is None else parent.tick,
        parent=parent,
        launch=launch,
        inference=inference,
    )


def header_rows(header: Header) -> dict[str, Value]:
    """Return the rows of the table `run` that hold the header."""
    rows: dict[str, Value] = msgspec.structs.asdict(header)
    rows["start"] = header.start.digest + header.start.exact
    del rows["parent"]
    if not header.inference:
        del rows["inference"]
    if header.parent is not None:
        rows["parent"] = _encode_parent(header.parent)
    return rows


def header_from(rows: dict[str, Value]) -> Header:
    """Return the header that the rows hold; raise ValueError or msgspec.MsgspecError if they hold none."""
    fields: dict[str, object] = {name: rows[name] for name in Header.__struct_fields__ if name in rows}
    if rows.get("format") == 1:
        # Before there were forks, every run began at the beginning.
        spec = rows.get("spec")
        first = genesis(spec if isinstance(spec, bytes) else b"")
        fields |= {"start_tick": 0, "start": first, "parent": None, "launch": b""}
    else:
        fields["start"] = _start(rows.get("start"))
        fields["parent"] = _parent(rows.get("parent"))
    header = msgspec.convert(fields, Header, builtin_types=(bytes,))
    if header.genesis().digest.hex() != header.run:
        raise ValueError("the run's id is not that of its specification")
    parent = header.parent
    if parent is None and (header.start_tick, header.start) != (0, header.genesis()):
        raise ValueError("the run does not begin at its genesis, and has no parent")
    if parent is not None and (header.start_tick, header.start) != (parent.tick, parent.start()):
        raise ValueError("the run does not begin where it left its parent")
    return header


def _start(stored: object) -> Digests:
    if not isinstance(stored, bytes) or len(stored) != 2 * DIGEST_BYTES:
        raise ValueError("the digests at its start are not two digests")
    return Digests(stored[:DIGEST_BYTES], stored[DIGEST_BYTES:])


def _parent(stored: object) -> Parent | None:
    if stored is None:
        return None
    if not isinstance(stored, bytes):
        raise TypeError("the parent is not a blob")
    parent = _decode_parent(stored)
    if not 0 <= parent.tick < 2**63 or {len(parent.digest), len(parent.exact)} != {DIGEST_BYTES}:
        raise ValueError("the parent is not a possible one")
    return parent


def check_value(rows: dict[str, Value]) -> bytes:
    """Return the checksum of all rows of the table `run` but the checksum itself."""
    covered = sorted((key, value) for key, value in rows.items() if key != KEY_CHECK)
    return blake3(msgspec.msgpack.encode(covered), derive_key_context="tickwork 1 run rows").digest()
