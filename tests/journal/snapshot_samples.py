"""Agents' images and snapshots for the journal's tests."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from hypothesis import strategies as st
from journal_samples import MODULES, chain, header

from tickwork.core.image import PAGE_BYTES, AgentImage, MemoryImage
from tickwork.journal.snapshots import Snapshot
from tickwork.journal.writer import RunWriter

WASM_PAGE_BYTES = 65536


def page(*seed: int) -> bytes:
    """A page that is its own, and compresses about as well as real ones."""
    return bytes((number * 7 + n) % 251 for n in range(64) for number in seed).ljust(PAGE_BYTES, b"\5")


def image(pages: Sequence[bytes], *, drawn: int = 0, first: int = 3) -> AgentImage:
    """An agent with one memory, some of whose pages are these; every other page number is used."""
    numbers = tuple(first + 2 * n for n in range(len(pages)))
    size = ((numbers[-1] if numbers else 0) * PAGE_BYTES // WASM_PAGE_BYTES + 1) * WASM_PAGE_BYTES
    return AgentImage((MemoryImage(size, numbers, tuple(pages)),), ((0, 17),), b"s" * 32, 5, drawn)


def world(tick: int) -> bytes:
    return b"the world before tick %d " % tick * 50


def images_at(tick: int, agents: int = 4, pages: int = 6) -> list[tuple[int, AgentImage]]:
    """Agents that share a page with each other, keep one for ever, and change the others now and then."""
    return [
        (
            agent,
            image([page(1), page(2, agent), *(page(3, agent, n, tick // (n + 1)) for n in range(pages - 2))]),
        )
        for agent in range(agents)
    ]


def write_with_snapshots(path: Path, ticks: int, at: Iterable[int], *, finish: bool = True) -> None:
    """Write a run of `ticks` ticks with snapshots before the ticks `at`."""
    rows = chain(ticks)
    with RunWriter.create(path, header(), MODULES) as writer:
        digests = header().start
        wanted = set(at)
        for tick in range(ticks + 1):
            if tick in wanted:
                writer.append_snapshot(tick, digests, world(tick), images_at(tick))
            if tick < ticks:
                writer.append(*rows[tick])
                digests = rows[tick][1]
        if finish:
            writer.finish("finished")


def assert_is_snapshot_at(found: Snapshot, tick: int) -> None:
    """Fail unless `found` is what `write_with_snapshots` wrote before `tick`."""
    assert found.tick == tick
    assert found.digests == (chain(tick)[-1][1] if tick else header().start)
    assert found.world == world(tick)
    assert found.images == dict(images_at(tick))


# A small choice of pages, so that images share some.
pages = st.integers(0, 5).map(page) | st.binary(min_size=1, max_size=50).map(
    lambda some: (some * PAGE_BYTES)[:PAGE_BYTES]
)
u64 = st.integers(0, 2**64 - 1)


@st.composite
def memories(draw: st.DrawFn) -> MemoryImage:
    wasm_pages = draw(st.integers(0, 40) | st.just(65536))
    highest = max(wasm_pages * 16 - 1, 0)
    numbers = draw(
        st.lists(st.integers(0, highest), max_size=6 if wasm_pages else 0, unique=True).map(sorted)
    )
    return MemoryImage(wasm_pages * WASM_PAGE_BYTES, tuple(numbers), tuple(draw(pages) for _ in numbers))


agent_images = st.builds(
    AgentImage,
    memories=st.lists(memories(), max_size=3).map(tuple),
    globals=st.lists(st.tuples(u64, u64), max_size=3).map(tuple),
    seed=st.binary(max_size=40),
    start_ns=u64,
    drawn=u64,
)
