"""The two digest chains of a run. BLAKE3 over canonical bytes; each link covers all that came before it."""

from typing import NamedTuple

from blake3 import blake3

DIGEST_BYTES = 32


class Digests(NamedTuple):
    """`digest` is what every engine must give; `exact` adds the fuel of every turn."""

    digest: bytes
    exact: bytes


def content_hash(data: bytes) -> str:
    """Return the hex BLAKE3 of `data`, which is how modules are named."""
    return blake3(data).hexdigest()


def genesis(spec: bytes) -> Digests:
    """Return the chain's start for a run whose canonical specification is `spec`."""
    first = blake3(spec, derive_key_context="tickwork 1 genesis").digest()
    return Digests(first, first)


def fork_digests(parent: Digests, edits: bytes) -> Digests:
    """Return the chain's start for a fork, from its parent's digests there and the edits' canonical bytes.

    Without edits a fork is its parent's own continuation, so its chain simply goes on.
    """
    if not edits:
        return parent
    digest = blake3(parent.digest + edits, derive_key_context="tickwork 1 fork").digest()
    return Digests(digest, blake3(parent.exact + digest, derive_key_context="tickwork 1 fork exact").digest())


def advance(before: Digests, entry: bytes, fuel: bytes) -> Digests:
    """Return the digests after an entry with these canonical bytes."""
    digest = blake3(before.digest + entry).digest()
    return Digests(digest, blake3(before.exact + digest + fuel).digest())
