"""The model cache holds what was added, whoever else is at work on it, and nothing that leads out of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from model_folders import MODELS, verdict_of

from tickwork.inference.cache import ModelCache
from tickwork.inference.errors import ModelError
from tickwork.inference.hub import wanted_files
from tickwork.inference.language.load import load
from tickwork.inference.providers import Basis

WEIGHTS = b"model.onnx.data"


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a model, to be tampered with."""
    return Path(shutil.copytree(MODELS / "llama-int4", tmp_path / "llama"))


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("name", ["llama-int4", "llama-eager"])
def test_a_model_in_the_cache_is_the_one_that_was_added_under_the_hash_it_loads_with(
    cache: ModelCache, name: str
) -> None:
    stored = cache.add(MODELS / name)
    held, source = _files(stored.folder), _files(MODELS / name)
    assert held.items() <= source.items()
    assert stored.record.bytes == sum(map(len, held.values()))
    assert load(stored.folder, verdict=verdict_of(name)).hash == stored.hash
    assert cache.verify(name) == stored == cache.find(stored.hash)


def test_files_that_are_not_the_models_are_left_behind(cache: ModelCache, folder: Path) -> None:
    before = cache.add(folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "other.onnx").write_bytes(b"another graph")
    assert cache.add(folder).hash == before.hash
    assert not (before.folder / "notes.txt").exists()


def test_a_variant_is_another_model_and_is_remembered(cache: ModelCache) -> None:
    plain = cache.add(MODELS / "llama-eager")
    quantised = cache.add(MODELS / "llama-eager", "small", "quantized")
    assert quantised.hash != plain.hash
    assert (plain.record.variant, quantised.record.variant) == ("", "quantized")
    assert [model.names for model in cache.models()] == [("llama-eager",), ("small",)]


def test_two_names_share_one_copy_which_goes_with_the_last(cache: ModelCache, folder: Path) -> None:
    first = cache.add(folder, "a")
    assert cache.add(folder, "b").names == ("a", "b")
    cache.remove("a")
    assert cache.verify("b").hash == first.hash
    cache.remove("b")
    assert cache.models() == []
    assert not first.folder.exists()


def test_removing_by_hash_takes_every_name(cache: ModelCache, folder: Path) -> None:
    hashed = cache.add(folder, "a").hash
    cache.add(folder, "b")
    cache.add(MODELS / "qwen2-int4")
    cache.remove(hashed)
    assert [model.names for model in cache.models()] == [("qwen2-int4",)]


def test_a_name_moves_to_what_was_added_last(cache: ModelCache, folder: Path) -> None:
    old = cache.add(folder, "chat")
    new = cache.add(MODELS / "qwen2-int4", "chat")
    assert cache.find("chat").hash == new.hash
    assert cache.find(old.hash).names == ()


def test_an_unknown_name_is_told_with_those_that_are_there(cache: ModelCache, folder: Path) -> None:
    cache.add(folder)
    with pytest.raises(ModelError, match=r'no model "lama" in the cache \(there: llama\)'):
        cache.find("lama")
    with pytest.raises(ModelError, match="no model"):
        cache.remove("lama")
    with pytest.raises(ModelError, match="not in the cache any more"):
        cache.find("0" * 64)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_damage_is_found_before_a_model_is_served_and_adding_again_repairs_it(
    cache: ModelCache, folder: Path, damage: str
) -> None:
    stored = cache.add(folder)
    file = stored.folder / "model.onnx.data"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content if damage == "flip" else content[:-1])
    with pytest.raises(ModelError, match=r"not those that were added|cannot be read"):
        cache.verify("llama")
    assert cache.add(folder).hash == stored.hash
    cache.verify("llama")


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "../x", "a\\b", ".hidden", "a b", "é", "x" * 129, "f" * 64, "a\n", "-rf"]
)
def test_a_name_that_could_lead_elsewhere_is_refused(cache: ModelCache, folder: Path, name: str) -> None:
    odd = folder if name else Path(shutil.copytree(folder, folder.parent / ".odd"))
    with pytest.raises(ModelError, match="is no name for a model"):
        cache.add(odd, name)


def test_weights_outside_of_the_folder_are_refused(cache: ModelCache, folder: Path) -> None:
    (folder.parent / "secret.datax").write_bytes(b"secret")
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes().replace(WEIGHTS, b"../secret.datax"))
    with pytest.raises(ModelError, match="lies outside of"):
        cache.add(folder)


@pytest.mark.parametrize("file", ["model.onnx", "model.onnx.data", "tokenizer.json"])
def test_a_link_out_of_the_folder_is_refused(cache: ModelCache, folder: Path, file: str) -> None:
    (folder / file).rename(folder.parent / file)
    (folder / file).symlink_to(folder.parent / file)
    with pytest.raises(ModelError, match="lies outside of"):
        cache.add(folder)


def test_the_links_of_a_hugging_face_download_are_followed_and_become_files(
    cache: ModelCache, folder: Path, tmp_path: Path
) -> None:
    home = tmp_path / "models--some--model"
    snapshot = home / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(home / "blobs" / str(number))
        (snapshot / file.name).symlink_to(Path("../../blobs") / str(number))
    stored = cache.add(snapshot, "model")
    assert stored.hash == cache.add(MODELS / "llama-int4").hash
    assert not any(path.is_symlink() for path in stored.folder.rglob("*"))


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(cache: ModelCache, folder: Path) -> None:
    (folder / "model.onnx.data").unlink()
    os.mkfifo(folder / "model.onnx.data")
    with pytest.raises(ModelError, match=r"has no file model\.onnx\.data"):
        cache.add(folder)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 a zip", b"\x08\x07" * 99])
def test_what_is_no_model_is_refused_and_leaves_nothing(
    cache: ModelCache, folder: Path, content: bytes
) -> None:
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx cannot be read"):
        cache.add(folder)
    with pytest.raises(ModelError, match="is not a folder"):
        cache.add(folder / "model.onnx")
    assert cache.models() == []


def test_a_record_that_leads_out_of_the_cache_is_refused(cache: ModelCache, folder: Path) -> None:
    stored = cache.add(folder)
    record = stored.folder.parent / "record.json"
    record.write_text(record.read_text().replace("tokenizer.json", "../../../../../etc/hostname"))
    with pytest.raises(ModelError, match="is damaged: its record names"):
        cache.verify("llama")


@pytest.mark.parametrize(
    "content", ["{", '{"format":1,"models":{"../x":"' + "0" * 64 + '"}}', '{"format":9,"models":{}}']
)
def test_damaged_names_are_told_and_not_followed(cache: ModelCache, folder: Path, content: str) -> None:
    cache.add(folder)
    (folder.parent / "cache" / "names.json").write_text(content)
    with pytest.raises(ModelError, match=r"names\.json"):
        cache.find("llama")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tickwork.inference.cache import ModelCache
from tickwork.inference.errors import ModelError
from tickwork.inference.hub import wanted_files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    ModelCache(Path(sys.argv[1])).add(Path(sys.argv[2]), "llama")
except ModelError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.mark.parametrize("room", [0, 100, 20_000, 100_000])
def test_a_disk_that_fills_up_leaves_the_cache_as_it_was(
    cache: ModelCache, folder: Path, tmp_path: Path, room: int
) -> None:
    cache.add(MODELS / "qwen2-int4", "llama")
    before = _files(tmp_path / "cache")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / "cache", folder, str(room)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "refused: llama could not be added to the cache" in done.stderr
    assert _files(tmp_path / "cache") == before
    assert list((tmp_path / "cache" / "new").iterdir()) == []
    cache.verify("llama")


CHURN = """
import random, sys
from pathlib import Path
from tickwork.inference.cache import ModelCache
from tickwork.inference.errors import ModelError
from tickwork.inference.hub import wanted_files
drawn = random.Random(int(sys.argv[1]))
cache = ModelCache(Path(sys.argv[2]))
folders = [Path(path) for path in sys.argv[3:]]
for _ in range(25):
    name = drawn.choice(["a", "b", "c"])
    if drawn.random() < 0.7:
        cache.add(drawn.choice(folders), name)
    else:
        try:
            cache.remove(name)
        except ModelError as error:
            assert "no model" in str(error) or "not in the cache any more" in str(error), error
    cache.models()
"""


def test_processes_that_add_and_remove_at_once_leave_a_sound_cache(cache: ModelCache, tmp_path: Path) -> None:
    folders = [MODELS / "llama-int4", MODELS / "qwen2-int4", MODELS / "llama-pad"]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", CHURN, str(number), tmp_path / "cache", *folders],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    errors = [worker.communicate(timeout=100)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], errors
    for model in cache.models():
        cache.verify(model.hash)
    assert set(cache._names().values()) <= {model.hash for model in cache.models()}
    for number, folder in enumerate(folders):
        cache.add(folder, f"last-{number}")
        cache.verify(f"last-{number}")


def test_what_a_killed_addition_left_goes_with_the_next_and_one_under_way_stays(
    cache: ModelCache, folder: Path, tmp_path: Path
) -> None:
    cache.add(folder)
    left = tmp_path / "cache" / "new" / "left"
    (left / "model").mkdir(parents=True)
    with cache._fresh() as busy:
        cache.add(MODELS / "qwen2-int4")
        assert not left.exists()
        assert busy.is_dir()


def test_a_verdict_is_remembered_for_the_machine_it_was_found_on(
    cache: ModelCache, folder: Path, tmp_path: Path
) -> None:
    stored = cache.add(folder)
    verdict = verdict_of("llama-int4")
    assert cache.verdict(stored.hash, verdict.basis) is None
    cache.keep_verdict(stored.hash, verdict)
    assert cache.verdict(stored.hash, verdict.basis) == verdict
    assert cache.verdict(stored.hash, Basis("1.0.0", "another", "cpu")) is None
    (path,) = (tmp_path / "cache" / "verdicts").iterdir()
    path.write_text('{"serving": {"batching": "always"}}')
    assert cache.verdict(stored.hash, verdict.basis) is None


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "onnx/../../x", "a\\..\\b", "a\0b"])
def test_a_hub_whose_names_lead_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="leads out of its folder"):
        wanted_files("some/model", ["config.json", "onnx/model.onnx", name], "")


def test_of_a_hub_the_graph_its_weights_and_the_configuration_are_wanted() -> None:
    names = ["README.md", "config.json", "tokenizer.json", "onnx/model.onnx", "onnx/model.onnx_data"]
    names += ["onnx/model_q4.onnx", "onnx/model_q4.onnx_data", "onnx/model.onnx_data_1", "sub/other.json"]
    assert wanted_files("some/model", names, "") == sorted([*names[1:5], names[7]])
    assert wanted_files("some/model", names, "q4") == sorted([*names[1:3], *names[5:7]])
