"""`[engine] floats`: each way to compute them is recorded, replayed as it was recorded, and kept apart."""

import platform
from pathlib import Path

import msgspec
import pytest

from guests import chatter, wat
from tamper import tamper
from tickwork.core.digest import content_hash
from tickwork.core.errors import RunFileError
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import RunLimits
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.guest import engine as engines
from tickwork.journal.reader import RunReader
from tickwork.runtime.assemble import load_project
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.replay import Replay, replay
from tickwork.runtime.resume import resume
from tickwork.runtime.seek import Recording

TICKS = 5
# Sends a NaN of its own making, as it lies in memory.
NAN = wat(
    step="(f64.store (i32.const 256) (f64.div (f64.const 0) (f64.const 0))) (i32.const 48)",
    extra="""
      (data (i32.const 48) "\\00\\00\\00\\00\\40\\00\\00\\00\\01")
      (data (i32.const 80) "\\00\\00\\00\\00\\00\\00\\00\\00\\00\\01\\00\\00\\08\\00\\00\\00")""",
)


def project(floats: str, code: bytes, agents: int = 3, most: int = 30_000) -> Project:
    module = content_hash(code)
    ring = tuple(
        AgentSpec(
            f"a{place}",
            "a",
            module,
            f"a{(place + 1) % agents}".encode(),
            (Grant(Capability.SEND, "*"),),
            every_tick=place == 0,
        )
        for place in range(agents)
    )
    spec = RunSpec("floats", 7, 0, 1, floats, ring, limits=RunLimits(agents=most))
    return Project(spec, {module: code}, ticks=TICKS)


def recorded(path: Path, what: Project) -> Path:
    with Run(what, path) as run:
        run.run_to_end()
    return path


def entries(path: Path) -> list[tuple[bytes, bytes]]:
    with RunReader.open(path) as reader:
        return [(stored.entry, stored.fuel) for stored in reader.entries()]


def same(found: Replay) -> None:
    assert found.identical, found.first_divergence
    assert found.ticks == TICKS


def test_the_manifest_chooses_and_the_run_file_tells(tmp_path: Path) -> None:
    (tmp_path / "a.wasm").write_bytes(chatter())
    text = '[run]\nname = "r"\nticks = 3\n[[agents]]\nid = "a"\nmodule = "a.wasm"\n'
    told = {}
    for floats in ("portable", "fast"):
        (tmp_path / "tickwork.toml").write_text(f'{text}[engine]\nfloats = "{floats}"\n')
        path = recorded(tmp_path / f"{floats}.tick", load_project(tmp_path))
        with RunReader.open(path) as reader:
            assert reader.spec.floats == floats
            told[floats] = reader.header.engine_config
    assert told["portable"] != told["fast"]


def test_without_a_nan_both_ways_record_the_same(tmp_path: Path) -> None:
    portable = recorded(tmp_path / "p.tick", project("portable", chatter()))
    fast = recorded(tmp_path / "f.tick", project("fast", chatter()))
    assert entries(portable) == entries(fast)


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="other processors, other NaNs")
def test_a_run_is_replayed_resumed_and_looked_at_as_it_was_recorded(tmp_path: Path) -> None:
    """With a NaN in every message, which the other way to compute would change."""
    portable = recorded(tmp_path / "p.tick", project("portable", NAN))
    fast = recorded(tmp_path / "f.tick", project("fast", NAN))
    assert entries(portable) != entries(fast)
    for path in (portable, fast):
        found = replay(path)
        same(found)
        assert found.warnings == ()
        with Recording.open(path) as recording:
            nan = recording.at(TICKS).agent("a0").memory()[256:264]
            assert (nan[7] >> 7 == 0) == (recording.spec.floats == "portable")
        with resume(path, ticks=2) as run:
            run.run_to_end()
        assert replay(path).identical


@pytest.mark.parametrize(("floats", "told"), [("portable", 1), ("fast", 2)])
def test_a_replay_of_fast_floats_elsewhere_says_what_it_is_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, floats: str, told: int
) -> None:
    path = recorded(tmp_path / "r.tick", project(floats, chatter()))
    here = platform.machine()
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    found = replay(path)
    same(found)
    assert found.warnings[0] == f"recorded on {here}, replayed on riscv64"
    assert len(found.warnings) == told
    if told == 2:
        assert 'floats = "fast"' in found.warnings[1]
        assert "only promised on the same processor architecture and engine version" in found.warnings[1]


def test_floats_that_nothing_computes_are_found_in_a_run_file(tmp_path: Path) -> None:
    path = recorded(tmp_path / "r.tick", project("portable", chatter()))
    tamper(
        path,
        lambda file: file.put_spec(lambda spec: msgspec.structs.replace(spec, floats="quick")),
        rechain=True,
    )
    for use in (replay, Recording.open):
        with pytest.raises(RunFileError, match="nothing computes floats 'quick'"):
            use(path)


@pytest.mark.parametrize(("most", "elsewhere"), [(30_000, 29_999), (30_001, 30_001)])
def test_a_run_replays_where_memories_are_laid_out_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, elsewhere: int
) -> None:
    path = recorded(tmp_path / "r.tick", project("portable", chatter(), most=most))
    assert replay(path).warnings == ()
    monkeypatch.setattr(engines, "WHOLE_AGENTS_MAX", elsewhere)
    found = replay(path)
    same(found)
    assert "only `digest` is compared" in found.warnings[0]
    with pytest.raises(RunFileError, match="in another configuration"):
        resume(path)
