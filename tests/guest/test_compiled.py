"""The cache of compiled code: whatever is wrong with it costs a compilation, and nothing else."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime
from blake3 import blake3
from wasmtime import wat2wasm

from guests import engine
from tickwork.guest.compiled import load_or_compile
from tickwork.guest.engine import Engine

TESTS = Path(__file__).parents[1]
CODES = [bytes(wat2wasm(f'(module (func (export "f") (result i32) (i32.const {n})))')) for n in (1, 2)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tickwork" / "compiled"


class Counting(Engine):
    """An engine that counts what it compiles."""

    def __init__(self) -> None:
        super().__init__()
        self.compiled = 0

    def compile(self, code: bytes) -> wasmtime.Module:
        self.compiled += 1
        return super().compile(code)


def answers(modules: tuple[wasmtime.Module, ...], of: Engine) -> list[int]:
    found = []
    for module in modules:
        store = wasmtime.Store(of.raw)
        store.set_fuel(1_000)
        function = wasmtime.Instance(store, module, []).exports(store)["f"]
        assert isinstance(function, wasmtime.Func)
        found.append(function(store))
    return found


def loaded(of: Counting) -> int:
    """Load both modules, check that they are right, and return how many were compiled for it."""
    of.compiled = 0
    assert answers(load_or_compile(of, CODES), of) == [1, 2]
    return of.compiled


def only_folder(cache: Path) -> Path:
    (folder,) = cache.iterdir()
    return folder


def test_what_was_compiled_once_is_loaded(cache: Path) -> None:
    counting = Counting()
    assert [loaded(counting), loaded(counting), loaded(Counting())] == [2, 0, 0]
    assert sorted(path.name for path in only_folder(cache).iterdir()) == ["0.cwasm", "1.cwasm", "hashes"]


def test_what_is_compiled_for_one_engine_is_not_loaded_into_another(cache: Path) -> None:
    engines = [Engine(), Engine().without_images, Engine(floats="fast"), Engine(reserved_bytes=1 << 26)]
    for _ in range(2):
        for chosen in engines:
            assert answers(load_or_compile(chosen, CODES), chosen) == [1, 2]
        assert len(list(cache.iterdir())) == len(engines)


def _overwrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _flip(folder: Path) -> None:
    path = folder / "1.cwasm"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _truncate(folder: Path) -> None:
    path = folder / "0.cwasm"
    path.write_bytes(path.read_bytes()[:-100])


def _swap(folder: Path) -> None:
    (folder / "0.cwasm").rename(folder / "x")
    (folder / "1.cwasm").rename(folder / "0.cwasm")
    (folder / "x").rename(folder / "1.cwasm")


def _foreign(folder: Path) -> None:
    """Leave what another engine compiled, with hashes that fit."""
    plain = wasmtime.Engine()
    hashes = []
    for place, code in enumerate(CODES):
        serialized = bytes(wasmtime.Module(plain, code).serialize())
        (folder / f"{place}.cwasm").write_bytes(serialized)
        hashes.append(blake3(serialized).hexdigest())
    (folder / "hashes").write_text("\n".join(hashes))


def _to_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"not a folder")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_flip, id="a flipped bit"),
        pytest.param(_truncate, id="a file cut short"),
        pytest.param(_swap, id="files exchanged"),
        pytest.param(_foreign, id="another engine's code"),
        pytest.param(_overwrite("hashes", b""), id="no hashes"),
        pytest.param(_overwrite("hashes", b"\xff\xfe"), id="hashes that are no text"),
        pytest.param(_overwrite("hashes", b"00\n" * 3), id="too many hashes"),
        pytest.param(_overwrite("0.cwasm", b""), id="an empty file"),
        pytest.param(lambda folder: (folder / "0.cwasm").unlink(), id="a file gone"),
        pytest.param(shutil.rmtree, id="the folder gone"),
    ],
)
def test_what_is_damaged_is_compiled_again_and_repaired(
    cache: Path, damage: Callable[[Path], object]
) -> None:
    counting = Counting()
    loaded(counting)
    damage(only_folder(cache))
    assert loaded(counting) == 2
    assert loaded(counting) == 0


def test_a_file_in_the_folders_place_costs_time_and_nothing_else(cache: Path) -> None:
    counting = Counting()
    loaded(counting)
    _to_a_file(only_folder(cache))
    assert [loaded(counting), loaded(counting)] == [2, 2]
    assert [path.is_file() for path in cache.iterdir()] == [True]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o500)
    counting = Counting()
    assert [loaded(counting), loaded(counting)] == [2, 2]


def test_a_place_where_no_folder_can_be_made_costs_time_and_nothing_else(cache: Path) -> None:
    cache.parent.mkdir(mode=0o700)
    cache.write_bytes(b"in the way")
    counting = Counting()
    assert [loaded(counting), loaded(counting)] == [2, 2]
    assert cache.read_bytes() == b"in the way"


def test_nothing_is_left_of_a_save_that_failed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", no_room)
    assert loaded(Counting()) == 2
    assert list(cache.iterdir()) == []


def test_the_key_is_of_the_code_and_of_what_compiles_it(cache: Path) -> None:
    ours = Counting()
    loaded(ours)
    for attribute in ("version", "config_hash"):
        other = Counting()
        setattr(other, attribute, "another")
        assert loaded(other) == 2
    assert answers(load_or_compile(ours, CODES[::-1]), ours) == [2, 1]
    assert answers(load_or_compile(ours, CODES[:1]), ours) == [1]
    assert len(list(cache.iterdir())) == 5
    assert loaded(ours) == 0


def test_processes_that_start_at_once_all_get_the_code(cache: Path) -> None:
    command = "import test_compiled as t; print(t.loaded(t.Counting()))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "guest"), *sys.path])}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for process in running:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert int(output) in (0, 2)
    assert loaded(Counting()) == 0
    assert [path.name for path in cache.iterdir()] == [only_folder(cache).name]


def test_no_modules_are_no_trouble(cache: Path) -> None:  # noqa: ARG001 - the fixture moves the cache
    assert load_or_compile(engine(), []) == ()
