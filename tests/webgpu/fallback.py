"""With the WebGPU build of onnxruntime: what works runs there, and what does not falls back cleanly.

Run by `make test-webgpu` in an environment of its own; not part of `make test`. Where there is no adapter
every model falls back to the CPU, which needs no GPU to be tried.
"""

import importlib.metadata
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort
import pytest

from tickwork.inference.errors import ModelError
from tickwork.inference.examination import examine_folder
from tickwork.inference.language.engine import EngineSettings
from tickwork.inference.language.load import Loaded, LoadSettings, load
from tickwork.inference.language.request import ChatRequest, Message
from tickwork.inference.plain.encoding import Tensor, TensorRequest
from tickwork.inference.plain.load import PlainSettings, load_plain
from tickwork.inference.providers import SessionSettings, open_session
from tickwork.inference.residency import Residency
from tickwork.inference.sources import source_at

MODELS = Path(__file__).parent.parent / "data" / "models"
PREFERRED = ("webgpu", "cpu")
NAMES = ("llama-fp32", "qwen2-int4", "phi3-int8", "llama-eager")


def adapter() -> bool:
    """Return whether this machine has an adapter."""
    return open_session(MODELS / "plain/classifier/model.onnx", PREFERRED).provider == "webgpu"


needs_no_adapter = pytest.mark.skipif(adapter(), reason="there is an adapter, so nothing falls back")


def settings(*preferred: str) -> LoadSettings:
    engine = EngineSettings(slots=4, digest_logits=True)
    return LoadSettings(
        providers=preferred, context_tokens=200, session=SessionSettings(threads=2), engine=engine
    )


def answers(loaded: Loaded) -> dict[str, bytes]:
    for number in range(8):
        asked = ChatRequest(messages=[Message("user", f"{number} crates of apples")], max_tokens=12)
        loaded.engine.submit(f"{number}", asked, seed=number)
    return {key: msgspec.json.encode(result) for key, result in loaded.engine.run().items()}


def test_this_is_the_build_with_webgpu() -> None:
    assert importlib.metadata.version("onnxruntime-webgpu")
    assert "WebGpuExecutionProvider" in ort.get_available_providers()


@needs_no_adapter
def test_without_an_adapter_the_reason_is_told() -> None:
    opened = open_session(MODELS / "llama-fp32/model.onnx", PREFERRED)
    assert opened.provider == "cpu"
    ((provider, reason),) = opened.passed_over
    assert provider == "webgpu"
    assert reason == "Failed to get a WebGPU adapter: No supported adapters"
    assert opened.session.get_providers() == ["CPUExecutionProvider"]


@needs_no_adapter
@pytest.mark.parametrize("name", NAMES)
def test_what_falls_back_answers_as_on_the_cpu(name: str) -> None:
    fallen = load(MODELS / name, settings(*PREFERRED))
    assert (fallen.provider, [one.provider for one in fallen.passed_over]) == ("cpu", ["webgpu"])
    assert fallen.verdict.basis.provider == "cpu"
    assert answers(fallen) == answers(load(MODELS / name, settings("cpu")))


@needs_no_adapter
def test_a_plain_model_falls_back_and_answers_as_on_the_cpu() -> None:
    request = TensorRequest({"x": Tensor.of(np.ones((2, 4), np.float32))})
    found = []
    for preferred in (PREFERRED, ("cpu",)):
        loaded = load_plain(MODELS / "plain/classifier", PlainSettings(providers=preferred))
        loaded.engine.submit("a", request)
        found.append(loaded.engine.run()["a"])
        assert loaded.provider == "cpu"
    assert found[0] == found[1]


@needs_no_adapter
def test_what_falls_back_is_counted_where_it_is() -> None:
    source = source_at(MODELS / "llama-fp32")
    residency = Residency({"webgpu": 1 << 30})
    residency.warm(source, settings(*PREFERRED))
    assert residency.held("webgpu") == 0
    assert residency.held("cpu") > 0


@needs_no_adapter
def test_nothing_is_printed_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    open_session(MODELS / "llama-fp32/model.onnx", PREFERRED)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", ["llama-fp32", "plain/classifier"])
def test_the_check_says_where_it_ran(name: str) -> None:
    found = examine_folder(MODELS / name, "", 2, PREFERRED)
    assert found.verdict.basis.provider == ("webgpu" if adapter() else "cpu")
    assert bool(found.passed_over) is not adapter()


def test_a_broken_model_is_the_models_fault_and_not_the_providers(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07")
    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded"):
        open_session(tmp_path / "model.onnx", PREFERRED)
