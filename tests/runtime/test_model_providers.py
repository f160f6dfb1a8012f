"""Where a project's models run is decided before the run, and what was preferred in vain is told."""

from pathlib import Path

import onnxruntime as ort
import pytest

from tickwork.core.errors import ManifestError
from tickwork.inference.providers import PROVIDERS
from tickwork.runtime.assemble import load_project

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
