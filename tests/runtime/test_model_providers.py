"""Where a project's models run is decided before the run, and what was preferred in vain is told."""

import dataclasses
from pathlib import Path

import msgspec
import onnxruntime as ort
import pytest

from tickwork.core.errors import HostError, InputError, ManifestError
from tickwork.inference.providers import PROVIDERS
from tickwork.journal.reader import RunReader
from tickwork.manifest.load import load_manifest
from tickwork.runtime.assemble import load_project
from tickwork.runtime.diagnosis import diagnose
from tickwork.runtime.model_cache import model_cache
from tickwork.runtime.model_resources import model_budgets, models_spin
from tickwork.runtime.model_rows import model_rows
from tickwork.runtime.models import resolve_model
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.resume import resume

MODELS = Path(__file__).parent.parent / "data" / "models"
ABSENT = [name for name, provider in PROVIDERS.items() if provider not in ort.get_available_providers()]


def project(folder: Path, model: Path, providers: list[str]) -> Path:
    (folder / "agent.py").write_text("from tickwork_agent import Agent\n\n\nclass Quiet(Agent):\n    pass\n")
    (folder / "tickwork.toml").write_text(
        '[run]\nname = "p"\nticks = 1\n\n[[agents]]\nid = "a"\nmodule = "agent.py"\ngrants = ["infer:m"]\n\n'
        f'[models.m]\npath = "{model}"\nproviders = {providers}\n'
    )
    return folder


@pytest.mark.parametrize("model", ["llama-int4", "plain/classifier"])
def test_a_fall_back_is_announced_with_the_reason_of_each_that_was_preferred(
    tmp_path: Path, model: str
) -> None:
    told: list[str] = []
    found = load_project(project(tmp_path, MODELS / model, [*ABSENT, "cpu"]), told.append)
    assert [line for line in told if line.startswith("the model m")] == [
        f"the model m runs on cpu and not on {name}: this build of onnxruntime does not have it"
        for name in ABSENT
    ]
    assert found.models["m"].providers == ("cpu",)


def test_a_model_that_runs_where_it_should_is_not_announced(tmp_path: Path) -> None:
    told: list[str] = []
    load_project(project(tmp_path, MODELS / "llama-int4", ["cpu"]), told.append)
    assert [line for line in told if line.startswith("the model m")] == []


def test_a_folder_that_holds_no_model_is_told_by_the_manifests_key(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match=r"^models\.m: .*empty has no model\.onnx"):
        load_project(project(tmp_path, tmp_path / "empty", ["cpu"]))


def recorded(tmp_path: Path, model: str) -> tuple[Path, list[str]]:
    told: list[str] = []
    found = load_project(project(tmp_path, MODELS / model, [*ABSENT, "cpu"]), told.append)
    file = tmp_path / "run.tick"
    with Run(found, file) as run:
        run.run_to_end()
    return file, told


@pytest.mark.parametrize(
    ("model", "served"),
    [
        (
            "llama-int4",
            "any number of requests together, prompts in chunks of any length, on any number of threads",
        ),
        (
            "llama-eager",
            "one request at a time, prompts in chunks of one fixed length, on one thread",
        ),
        ("plain/classifier", "any number of requests together, on any number of threads"),
        ("plain/dynamic-int8", "one request at a time, on one thread"),
    ],
)
def test_the_run_file_says_where_each_model_ran_and_how_it_was_served(
    tmp_path: Path, model: str, served: str
) -> None:
    file, _ = recorded(tmp_path, model)
    with RunReader.open(file) as reader:
        (row,) = model_rows(reader)
        assert row["hash"] == reader.spec.models[0].hash
    assert (row["name"], row["provider"], row["served"]) == ("m", "cpu", served)
    reason = "this build of onnxruntime does not have it"
    assert row["passed_over"] == [{"provider": name, "reason": reason} for name in ABSENT]


def test_how_a_model_is_served_is_announced_unless_that_is_freely(tmp_path: Path) -> None:
    for model, lines in (("llama-int4", 0), ("llama-eager", 1), ("plain/dynamic-int8", 1)):
        (tmp_path / model).mkdir(parents=True)
        told: list[str] = []
        load_project(project(tmp_path / model, MODELS / model, ["cpu"]), told.append)
        served = [line for line in told if line.startswith("the model m is served one request at a time")]
        assert len(served) == lines, told


def test_a_model_is_checked_once_on_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (model,) = load_manifest(project(tmp_path, MODELS / "plain/classifier", ["cpu"])).models
    told: list[str] = []
    first, again = (resolve_model(model, told.append) for _ in range(2))
    assert told == ["checking the model m, once on this machine"]
    assert first == again


def test_a_model_in_the_cache_is_the_one_that_its_name_led_to_when_the_run_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    manifest = project(tmp_path, MODELS / "llama-int4", ["cpu"])
    text = (manifest / "tickwork.toml").read_text()
    path = f'path = "{MODELS / "llama-int4"}"'
    assert path in text
    (by_path,) = load_manifest(manifest).models
    (manifest / "tickwork.toml").write_text(text.replace(path, 'cached = "chat"'))
    (by_name,) = load_manifest(manifest).models
    with pytest.raises(ManifestError, match=r'no model "chat" in the cache \(there: none\)'):
        resolve_model(by_name, lambda _: None)
    stored = model_cache().add(MODELS / "llama-int4", "chat")
    spec, place = resolve_model(by_name, lambda _: None)
    assert spec == resolve_model(by_path, lambda _: None)[0]
    assert (spec.hash, place.folder) == (stored.hash, str(stored.folder))
    model_cache().add(MODELS / "qwen2-int8", "chat")
    assert resolve_model(by_name, lambda _: None)[0].hash != spec.hash


def test_a_model_that_cannot_be_served_is_announced_and_fails_its_requests_later(tmp_path: Path) -> None:
    told: list[str] = []
    found = load_project(project(tmp_path, MODELS / "plain/noisy", ["cpu"]), told.append)
    assert found.models["m"].served == ""
    (line,) = [line for line in told if "cannot be served" in line]
    assert "draws its own randomness" in line


def test_a_runs_record_is_the_same_wherever_its_models_ran(tmp_path: Path) -> None:
    """What is announced and kept for people reaches no digest."""
    ends = []
    for number, providers in enumerate((["cpu"], [*ABSENT, "cpu"])):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        found = load_project(project(folder, MODELS / "llama-int4", providers))
        with Run(found, folder / "run.tick") as run:
            run.run_to_end()
        with RunReader.open(folder / "run.tick") as reader:
            assert reader.end is not None
            ends.append((reader.header.run, reader.end.digest, reader.end.exact))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("text", ["8000", "cpu=", "cpu=0", "cpu=8G", "cpu=1,cpu=2", "cpu=1,", "cpu=1;cuda=2"])
def test_a_budget_of_another_form_is_told_with_the_form(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKWORK_MODEL_BYTES", text)
    with pytest.raises(InputError, match="it has the form cpu=8000000000,cuda=20000000000"):
        model_budgets()


def test_spinning_is_said_with_1_or_0(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not models_spin()
    monkeypatch.setenv("TICKWORK_MODEL_SPIN", "1")
    assert models_spin()
    monkeypatch.setenv("TICKWORK_MODEL_SPIN", "yes")
    with pytest.raises(InputError, match="TICKWORK_MODEL_SPIN is 'yes'"):
        models_spin()


def test_a_budget_is_of_a_provider_and_doctor_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKWORK_MODEL_BYTES", f"cpu={100 << 20}, cuda=5")
    (found,) = [finding for finding in diagnose() if finding.what == "models"]
    assert found.level == "ok"
    assert found.text.startswith(f"onnxruntime {ort.__version__} on cpu")
    assert "room for models: 100 MiB on cpu" in found.text
    monkeypatch.setenv("TICKWORK_MODEL_BYTES", "tpu=5")
    (found,) = [finding for finding in diagnose() if finding.what == "models"]
    assert (found.level, found.text.split(";")[0]) == (
        "failed",
        "a budget of 5 bytes for 'tpu' cannot be kept",
    )


def asking(folder: Path) -> Project:
    """Return a project of two agents that ask two models, each of which has to leave for the other."""
    (folder / "agent.py").write_text(
        "from tickwork_agent import Agent\n\n\nclass Asks(Agent):\n    def step(self, now, inbox):\n"
        "        for message in inbox:\n            self.log(message.text())\n"
        "        self.chat(self.id, f'tick {now.tick}', max_tokens=4, temperature=1)\n"
    )
    text = '[run]\nname = "p"\nticks = 4\n'
    for name, model in (("one", "llama-int4"), ("two", "qwen2-int8")):
        text += f'\n[models.{name}]\npath = "{MODELS / model}"\n'
        text += f'\n[[agents]]\nid = "{name}"\nmodule = "agent.py"\n'
        text += f'grants = ["infer:{name}"]\nevery_tick = true\n'
    (folder / "tickwork.toml").write_text(text)
    return load_project(folder)


def test_no_budget_or_spinning_changes_a_run_and_a_budget_that_holds_no_model_ends_it_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asking(tmp_path)
    ends = set()
    for number, budget in enumerate((1 << 40, 1_400_000)):
        monkeypatch.setenv("TICKWORK_MODEL_BYTES", f"cpu={budget}")
        with Run(found, tmp_path / f"{number}.tick") as run:
            run.run_to_end()
        with RunReader.open(tmp_path / f"{number}.tick") as reader:
            assert reader.end is not None
            ends.add((reader.end.digest, reader.end.exact))
        monkeypatch.setenv("TICKWORK_MODEL_SPIN", "1")
    assert len(ends) == 1
    monkeypatch.setenv("TICKWORK_MODEL_BYTES", "cpu=1000")
    with (
        pytest.raises(HostError, match="raise it with TICKWORK_MODEL_BYTES"),
        Run(found, tmp_path / "none.tick") as run,
    ):
        run.run_to_end()


def told_to_the_first(folder: Path, model: str, variant: str, count: int) -> bytes:
    """Return what the first of `count` agents is answered over a few ticks, all of them asking at once."""
    folder.mkdir()
    (folder / "agent.py").write_text(
        "from tickwork_agent import Agent\n\n\nclass Asks(Agent):\n    def step(self, now, inbox):\n"
        "        for message in inbox:\n"
        "            self.output(f'told-{self.id}', message.json()['choices'])\n"
        "        text = f'{self.id} in tick {now.tick} ' + 'apples ' * now.tick\n"
        "        self.chat('m', text, max_tokens=6, seed=now.tick, logprobs=True)\n"
    )
    text = '[run]\nname = "p"\nticks = 5\n'
    text += f'\n[models.m]\npath = "{MODELS / model}"\nvariant = "{variant}"\n'
    for number in range(count):
        text += f'\n[outputs.told-a{number}]\npath = "{folder}/{number}.jsonl"\n'
        text += f'\n[[agents]]\nid = "a{number}"\nmodule = "agent.py"\nevery_tick = true\n'
        text += f'grants = ["infer:m", "output:told-a{number}"]\n'
    (folder / "tickwork.toml").write_text(text)
    with Run(load_project(folder), folder / "run.tick") as run:
        run.run_to_end()
    assert not run.tally.failed
    return (folder / "0.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("model", "variant"), [("llama-int4", ""), ("llama-eager", ""), ("llama-eager", "quantized")]
)
def test_an_agent_is_answered_alike_alone_and_among_many_whatever_the_model(
    tmp_path: Path, model: str, variant: str
) -> None:
    alone = told_to_the_first(tmp_path / "alone", model, variant, 1)
    assert len(alone.splitlines()) == 3
    assert b"logprob" in alone
    assert told_to_the_first(tmp_path / "many", model, variant, 9) == alone


def test_a_run_that_goes_on_without_its_provider_says_so(tmp_path: Path) -> None:
    found = load_project(project(tmp_path, MODELS / "llama-int4", ["cpu"]))
    elsewhere = msgspec.structs.replace(found.models["m"], providers=(ABSENT[0],))
    file = tmp_path / "run.tick"
    for places, lines in ((found.models, 0), ({"m": elsewhere}, 1)):
        with Run(dataclasses.replace(found, models=places), file, force=True) as run:
            run.run_to_end()
        told: list[str] = []
        with resume(file, ticks=1, warn=told.append) as run:
            run.run_to_end()
        assert len(told) == lines
    assert told[0].startswith(
        f"the model m ran on {ABSENT[0]}, which this build of onnxruntime does not have"
    )
