from blake3 import blake3

from tickwork.core.digest import DIGEST_BYTES, advance, content_hash, genesis


def test_both_chains_start_at_the_specification():
    first = genesis(b"spec")
    assert first.digest == first.exact
    assert len(first.digest) == DIGEST_BYTES
    assert genesis(b"spec2") != first
    # Not the plain hash of the same bytes: a module cannot be passed off as a run.
    assert first.digest.hex() != content_hash(b"spec")


def test_the_digest_is_as_documented():
    first = genesis(b"spec")
    second = advance(first, b"entry", b"fuel")
    assert second.digest == blake3(first.digest + b"entry").digest()
    assert second.exact == blake3(first.exact + second.digest + b"fuel").digest()


def test_fuel_changes_only_the_exact_digest_and_stays_in_its_chain():
    one, two = (advance(genesis(b"spec"), b"entry", fuel) for fuel in (b"1", b"2"))
    assert one.digest == two.digest
    assert one.exact != two.exact
    later = [advance(link, b"more", b"same") for link in (one, two)]
    assert later[0].digest == later[1].digest
    assert later[0].exact != later[1].exact


def test_entries_cannot_change_places():
    start = genesis(b"spec")
    forth = advance(advance(start, b"a", b""), b"b", b"")
    back = advance(advance(start, b"b", b""), b"a", b"")
    assert forth != back


def test_a_modules_name_is_its_blake3():
    assert content_hash(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
