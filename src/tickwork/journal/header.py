"""What a run file says about its run: the specification, and what the exactness of its digests rests on."""

import msgspec
from blake3 import blake3

from tickwork.core.digest import Digests, genesis
from tickwork.core.names import ABI_VERSION
from tickwork.core.spec import RunSpec
from tickwork.journal.schema import FORMAT

Value = str | int | bytes
# The rows of the table `run` that are not the header's own.
KEY_CHECK = "check"
KEY_END = "end"


class Header(msgspec.Struct, frozen=True):
    """The run's identity, and the makers that its exact digests depend on.

    `spec` is the canonical MessagePack of the run's `RunSpec`; `run` is the hex of the genesis digest of
    those bytes. `engine` is a name and a version (`wasmtime 50.0.1`), `engine_config` the hex hash of its
    settings, `isa` and `os` are as the platform names them.
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

    def genesis(self) -> Digests:
        """Return the digests before tick 0."""
        return genesis(self.spec)


class End(msgspec.Struct, frozen=True, array_like=True):
    """How a run ended: a status for people, the number of ticks in the file, and the last digests."""

    status: str
    ticks: int
    digest: bytes
    exact: bytes


encode_spec = msgspec.msgpack.Encoder().encode
decode_spec = msgspec.msgpack.Decoder(RunSpec).decode
encode_end = msgspec.msgpack.Encoder().encode
decode_end = msgspec.msgpack.Decoder(End).decode


def header_of(spec: RunSpec, *, tickwork: str, engine: str, engine_config: str, isa: str, os: str) -> Header:
    """Return the header of a new run of `spec`, in this version's format and ABI."""
    canonical = encode_spec(spec)
    return Header(
        format=FORMAT,
        tickwork=tickwork,
        abi=ABI_VERSION,
        engine=engine,
        engine_config=engine_config,
        isa=isa,
        os=os,
        run=genesis(canonical).digest.hex(),
        spec=canonical,
    )


def check_value(rows: dict[str, Value]) -> bytes:
    """Return the checksum of all rows of the table `run` but the checksum itself."""
    covered = sorted((key, value) for key, value in rows.items() if key != KEY_CHECK)
    return blake3(msgspec.msgpack.encode(covered), derive_key_context="tickwork 1 run rows").digest()
