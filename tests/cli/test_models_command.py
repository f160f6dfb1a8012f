"""`tickwork models` as it is typed, offline and against a hub on this machine."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shell_projects import Done, tickwork, tickwork_here

MODELS = Path(__file__).parent.parent / "data" / "models"
LLAMA = MODELS / "llama-int4"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tickwork" / "models"


def models(*arguments: object) -> Done:
    return tickwork_here("models", *arguments)


def listed() -> list[dict[str, Any]]:
    done = models("list", "--json")
    assert (done.code, done.err) == (0, "")
    found = done.json["models"]
    assert isinstance(found, list)
    return found


def test_a_model_is_added_listed_checked_and_removed(cache: Path) -> None:
    assert (
        models("list").err == "there are no models in the cache; add one with: tickwork models add FOLDER\n"
    )
    added = models("add", LLAMA, "--name", "chat", "--json")
    assert (added.code, added.err) == (0, "")
    assert "not checked" in models("list").out
    (row,) = listed()
    assert row == {key: value for key, value in added.json.items() if key != "folder"}
    assert (row["names"], row["kind"], row["batching"]) == (["chat"], "language", None)
    assert Path(added.json["folder"]) == cache / row["hash"] / "model"

    checked = models("check", "chat", "--json").json
    assert checked["hash"] == row["hash"]
    assert checked["serving"] == {"batching": "free", "chunking": "free", "threads": "free"}
    assert all(finding["held"] for finding in checked["findings"])
    assert checked["basis"]["provider"] == "cpu"
    assert [one["batching"] for one in listed()] == ["free"]

    header, line = models("list").out.splitlines()
    assert header.split() == ["names", "kind", "variant", "bytes", "batching", "hash"]
    assert line.split() == ["chat", "language", str(row["bytes"]), "free", row["hash"][:12]]

    again = models("add", LLAMA, "--name", "talk")
    assert again.out == f"{row['hash']}  chat, talk  language, {row['bytes']} bytes\n"
    assert again.err == (
        'next: tickwork models check talk, and in a manifest: [models.NAME] with cached = "talk"\n'
    )
    assert models("rm", "chat").err == "removed chat; the model stays as talk\n"
    assert models("rm", row["hash"]).err == f"removed {row['hash']}; {row['bytes']} bytes are free\n"
    assert listed() == []


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("llama-fp32", "any number of requests together, prompts in chunks of any length, on any number"),
        ("llama-pad", "requests together, padded to at least two rows"),
        ("llama-even", "padded to an even number of rows, prompts in chunks of even length"),
        ("llama-eager", "one request at a time, prompts in chunks of one fixed length, on one thread"),
        ("plain/classifier", "any number of requests together, on any number of threads"),
    ],
)
def test_the_check_says_for_each_rule_whether_it_held_and_how_the_model_is_served(
    folder: str, words: str
) -> None:
    done = models("check", MODELS / folder, "--threads", "2")
    assert (done.code, done.err) == (0, "")
    rules = [line for line in done.out.splitlines() if line.split()[0] in {"held", "broken"}]
    served, *_, basis = done.out.splitlines()[len(rules) :]
    assert len(rules) >= 3
    assert served.startswith("served  ")
    assert words in served
    assert basis.startswith("on      cpu, onnxruntime ")


@pytest.mark.parametrize(
    ("folder", "lines"),
    [
        ("llama-fp32", ["takes   conversations of at most 512 tokens, the answer included"]),
        (
            "plain/classifier",
            ["takes   x float32 [rows, 4]", "gives   probabilities float32 [rows, 3], label int64 [rows]"],
        ),
        ("plain/fixed", ["takes   x float32 [2, 4]", "gives   y float32 [2, 4]"]),
    ],
)
def test_the_check_says_what_a_model_takes_and_gives(folder: str, lines: list[str]) -> None:
    told = models("check", MODELS / folder).out.splitlines()
    assert [line for line in told if line.startswith(("takes", "gives"))] == lines


def test_a_pooled_output_is_told_without_its_places(tmp_path: Path) -> None:
    folder = shutil.copytree(MODELS / "plain" / "embedding", tmp_path / "sentences")
    (folder / "modules.json").write_text('[{"type": "x.Pooling", "path": "1_Pooling"}]')
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    found = models("check", folder, "--json").json
    assert found["outputs"] == [{"name": "last_hidden_state", "dtype": "float32", "shape": ["rows", 24]}]
    assert [one["name"] for one in found["inputs"]] == ["input_ids", "attention_mask"]
    assert (found["context_tokens"], found["chat_template"]) == (None, False)


def test_a_model_without_a_chat_template_is_told_what_to_add(tmp_path: Path) -> None:
    folder = shutil.copytree(LLAMA, tmp_path / "mute")
    (folder / "chat_template.jinja").unlink()
    told = models("check", folder).out
    assert "takes   nothing: it has no chat template; add chat_template.jinja to its folder" in told
    assert models("check", LLAMA, "--json").json["chat_template"] is True


def test_a_variant_is_checked_where_it_is_asked_for() -> None:
    done = models("check", MODELS / "llama-eager", "--variant", "quantized")
    assert "broken  operators        DynamicQuantizeLinear: one scale for the whole batch" in done.out
    assert models("check", MODELS / "llama-eager", "--variant", "q9").error.endswith(
        "has no model_q9.onnx; it has model.onnx, model_quantized.onnx"
    )


def test_a_model_that_is_never_served_fails_its_check() -> None:
    done = models("check", MODELS / "plain" / "noisy")
    assert done.code == 1
    assert "is never served: the model draws its own randomness" in done.error


def test_a_provider_that_is_not_there_is_passed_over_aloud() -> None:
    done = models("check", LLAMA, "--provider", "coreml", "--provider", "cpu")
    assert done.code == 0
    assert done.err == "coreml is passed over: this build of onnxruntime does not have it\n"
    assert models("check", LLAMA, "--provider", "tpu").error.startswith('unknown provider "tpu"')


def test_a_damaged_model_in_the_cache_is_not_checked_but_told() -> None:
    folder = Path(models("add", LLAMA, "--json").json["folder"])
    with (folder / "model.onnx.data").open("r+b") as file:
        file.write(b"\1\2\3\4")
    done = models("check", "llama-int4")
    assert done.code == 2
    assert "are not those that were added; remove the model and add it again" in done.error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "nowhere"), "nowhere is neither a folder nor a Hugging Face id such as ORGANISATION/MODEL"),
        (("add", LLAMA, "--name", "../x"), "is no name for a model"),
        (("add", LLAMA, "--revision", "main"), "--revision is for Hugging Face ids"),
        (("add", LLAMA / "model.onnx"), "is not a folder"),
        (("add", MODELS), "has no model.onnx; it has no .onnx file"),
        (("check", "nothing"), 'no model "nothing" in the cache (there: none)'),
        (("check", "no/where"), "is not a folder"),
        (("rm", "nothing"), 'no model "nothing" in the cache'),
        (("build", LLAMA, "--out", MODELS), "exists; give another --out"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_fix(arguments: tuple[object, ...], words: str) -> None:
    done = models(*arguments)
    assert done.code == 2
    assert words in done.error


def test_building_says_what_is_missing() -> None:
    missing = "onnxruntime_genai, onnx, onnx_ir, torch, transformers"
    done = _without(missing.split(", "), "models", "build", LLAMA)
    assert done.code == 2
    assert done.error.startswith(f"building a model needs {missing}; install what it takes")
    assert done.error.endswith("pip install 'tickwork[build-models]'")
    assert models("build", LLAMA, "--precision", "int3").code == 2


@pytest.mark.parametrize(
    ("package", "arguments", "words"),
    [
        (
            "onnxruntime",
            ("list",),
            "models need onnxruntime; install it with: pip install 'tickwork[inference]'",
        ),
        (
            "huggingface_hub",
            ("add", "some/model"),
            "install huggingface_hub with: pip install 'tickwork[models]'",
        ),
    ],
)
def test_a_missing_extra_is_named(package: str, arguments: tuple[str, ...], words: str) -> None:
    done = _without([package], "models", *arguments)
    assert done.code == 2
    assert words in done.error


def _without(packages: list[str], *arguments: object) -> Done:
    """Run the command where some packages cannot be found."""
    hiding = (
        "import importlib.util, sys\n"
        f"hidden = {packages!r}\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name in hidden else found(name, *more)\n"
        "from tickwork.cli.main import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", hiding, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return Done(done.returncode, done.stdout, done.stderr)


# ---- Hugging Face


class _Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub's protocol as downloading a model takes; serves the folder `files`."""

    files: Path
    asked: list[str]
    commit = "0123456789abcdef0123456789abcdef01234567"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        names = sorted(p.relative_to(self.files).as_posix() for p in self.files.rglob("*") if p.is_file())
        if path.startswith("/api/models/some/model/tree/"):
            entries = [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in names]
            self._answer(json.dumps(entries).encode())
        elif path.startswith("/api/models/some/model"):
            siblings = [{"rfilename": name} for name in names]
            body = {"id": "some/model", "sha": self.commit, "siblings": siblings}
            self._answer(json.dumps(body).encode())
        elif path.startswith(f"/some/model/resolve/{self.commit}/"):
            self._answer((self.files / path.split("/", 5)[5]).read_bytes())
        else:
            self._answer(b'{"error":"Repository not found"}', 404)

    def _answer(self, content: bytes, status: int = 200) -> None:
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{len(content):040x}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Any]:
    """A hub with one model; `address`, `files` (to be changed) and `asked` (what was)."""
    files = Path(shutil.copytree(MODELS / "llama-eager", tmp_path / "hub"))
    (files / "README.md").write_text("not wanted")
    (files / "onnx" / "model_q4.onnx").write_bytes(b"another graph")
    handler = type("Handler", (_Hub,), {"files": files, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=functools.partial(server.serve_forever, 0.05))
    thread.start()
    handler.address = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def from_hub(address: str, *arguments: object, offline: str = "0") -> Done:
    settings = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": offline, "HF_HUB_DISABLE_XET": "1"}
    home = {"HF_HOME": str(Path(os.environ["XDG_CACHE_HOME"]) / "hf")}
    return tickwork("models", "add", *arguments, env=os.environ | settings | home)


def test_a_model_on_the_hub_is_the_same_as_its_folder_and_only_its_files_are_fetched(hub: Any) -> None:
    done = from_hub(hub.address, "some/model", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["names"] == ["model"]
    assert done.json["hash"] == models("add", MODELS / "llama-eager", "--json").json["hash"]
    assert not any("README" in line or "q4" in line or "quantized" in line for line in hub.asked)


def test_a_variant_on_the_hub_is_fetched_alone(hub: Any) -> None:
    done = from_hub(hub.address, "some/model", "--variant", "quantized", "--name", "small", "--json")
    assert done.json["variant"] == "quantized"
    assert not any("onnx/model.onnx" in line for line in hub.asked)
    missing = from_hub(hub.address, "some/model", "--variant", "q9")
    assert missing.code == 2
    assert "has no model_q9.onnx; it has onnx/model.onnx, onnx/model_q4.onnx" in missing.error


def test_a_model_that_is_not_on_the_hub_is_told(hub: Any) -> None:
    done = from_hub(hub.address, "other/model")
    assert done.code == 2
    assert "other/model is not on the hub, or not for everybody" in done.error


def test_without_a_connection_it_says_how_to_bring_the_folder(hub: Any) -> None:
    done = from_hub(hub.address, "some/model", offline="1")
    assert done.code == 1
    assert "could not be downloaded" in done.error
    assert done.error.endswith(
        "download it elsewhere (hf download some/model --local-dir FOLDER), bring the folder here, and run: "
        "tickwork models add FOLDER"
    )
    assert hub.asked == []
