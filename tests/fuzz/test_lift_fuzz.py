"""libFuzzer over the kernel's decoding, for a few seconds; `make fuzz` goes on for longer."""

import random  # noqa: TID251 - seeded
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz.sh")
SECONDS = 8
# Nearly every mutant is decoded to its end in well under a millisecond.
RUNS_MIN = 2000
EDGES_MIN = 200


def effect(tag: int, *pieces: bytes, text_at: int, option: int = 0) -> tuple[bytes, bytes]:
    """Return an effect's 48 bytes, whose pieces lie from `text_at` on, and the pieces."""
    head = bytearray(48)
    head[0] = tag
    first = {6: 12, 9: 20}.get(tag, 8)
    at = text_at
    for place, piece in enumerate(pieces):
        struct.pack_into("<II", head, first + 8 * place, at, len(piece))
        at += len(piece)
    if tag == 0:
        struct.pack_into("<B7xQ", head, 32, option, 7)
    return bytes(head), b"".join(pieces)


def seed_input(effects: list[tuple[int, tuple[bytes, ...]]]) -> bytes:
    """Return an input whose memory holds these effects, the result first."""
    list_at = 16
    text_at = list_at + 48 * len(effects)
    heads, texts = b"", b""
    for tag, pieces in effects:
        head, text = effect(tag, *pieces, text_at=text_at + len(texts), option=len(texts) & 1)
        heads += head
        texts += text
    memory = struct.pack("<B3xII4x", 0, list_at, len(effects)) + heads + texts
    return struct.pack("<IHH", 0, 100, 4000) + memory


SEEDS = {
    "send": [(0, (b"a", b"topic", b"body"))],
    "sends": [(0, (b"bb", b"t", b"1")), (0, (b"\xc3\xa9", b"", b"x" * 300)), (0, (b"nobody", b"t", b""))],
    "publish": [(1, (b"news", b"all")), (4, (b"out", b"line")), (6, (b"text",)), (7, (b"metric",))],
    "others": [(2, (b"model", b"{}")), (5, (b"timer", b"")), (8, (b"w/1", b"w", b"")), (9, (b"done",))],
    "none": [],
}


@pytest.mark.skipif(
    shutil.which("clang") is None, reason="clang is missing; on Debian: apt-get install clang"
)
def test_the_fuzzer_finds_no_byte_out_of_bounds(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, effects in SEEDS.items():
        (corpus / name).write_bytes(seed_input(effects))
    draw = random.Random(11)
    for number in range(20):
        chosen = draw.choices([one for many in SEEDS.values() for one in many], k=draw.randint(1, 8))
        (corpus / f"mixed-{number}").write_bytes(seed_input(chosen))
    done = subprocess.run(
        [FUZZ, str(SECONDS), corpus], capture_output=True, text=True, timeout=180, check=False
    )
    if "libclang_rt.fuzzer" in done.stderr and done.returncode != 0:
        pytest.skip("clang has no libFuzzer; on Debian: apt-get install libclang-rt-dev")
    assert done.returncode == 0, done.stderr[-3000:]
    runs = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    assert runs is not None
    assert int(runs[1]) >= RUNS_MIN, done.stderr[-500:]
    # Coverage that stays at what the seeds reach would mean that mutants are not decoded at all.
    covered = [int(edges) for edges in re.findall(r"cov: (\d+)", done.stderr)]
    assert max(covered) > EDGES_MIN, done.stderr[-500:]
