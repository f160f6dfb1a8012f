"""Sessions open on the first provider that works, and each one passed over is told."""

import os
from pathlib import Path
from typing import Any

import msgspec
import onnxruntime as ort
import pytest
from model_folders import MODELS, answers, mixed_requests, opened, verdict_of

from tickwork.inference.errors import ModelError
from tickwork.inference.language.engine import EngineSettings
from tickwork.inference.language.load import LoadSettings, load
from tickwork.inference.providers import (
    PROVIDERS,
    PassedOver,
    SessionSettings,
    basis,
    basis_key,
    choose_provider,
    isa,
    likely_provider,
    open_session,
    thread_count,
)
from tickwork.inference.residency import Residency
from tickwork.inference.sources import source_at
from tickwork.inference.verdicts import GivenVerdict

GRAPH = MODELS / "llama-fp32" / "model.onnx"
ABSENT = tuple(name for name, provider in PROVIDERS.items() if provider not in ort.get_available_providers())


def test_every_provider_that_is_not_there_is_passed_over_in_order_with_its_reason() -> None:
    found = open_session(GRAPH, (*ABSENT, *ABSENT, "cpu"))
    assert found.provider == "cpu"
    assert [one.provider for one in found.passed_over] == list(ABSENT)
    assert {one.reason for one in found.passed_over} == {"this build of onnxruntime does not have it"}


def test_what_stands_behind_the_cpu_is_not_tried() -> None:
    assert open_session(GRAPH, ("cpu", *ABSENT)).passed_over == ()
    assert likely_provider(("cpu", *ABSENT)) == "cpu"


def test_no_preference_means_the_cpu() -> None:
    assert open_session(GRAPH, ()).provider == "cpu"
    assert choose_provider(GRAPH, (), SessionSettings()).provider == "cpu"


def test_an_unknown_provider_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ModelError, match=r'unknown provider "tpu"; the known ones are cpu, cuda, webgpu'):
        open_session(GRAPH, ("cpu", "tpu"))


def test_a_model_that_falls_back_answers_as_on_the_cpu_and_says_so() -> None:
    engine = EngineSettings(digest_logits=True)
    settings = LoadSettings(providers=ABSENT, context_tokens=400, engine=engine)
    fallen = load(MODELS / "llama-fp32", settings, verdict_of("llama-fp32"))
    assert (fallen.provider, len(fallen.passed_over)) == ("cpu", len(ABSENT))
    requests = mixed_requests(6, seed=1)
    assert answers(fallen, requests, None) == answers(opened("llama-fp32"), requests, None)


def test_a_verdict_of_another_machine_is_not_believed() -> None:
    verdict = verdict_of("llama-pad")
    other = msgspec.structs.replace(verdict, basis=msgspec.structs.replace(verdict.basis, isa="other"))
    assert load(MODELS / "llama-fp32", verdict=other).verdict == verdict_of("llama-fp32")
    assert basis_key(other.basis) != basis_key(verdict.basis) == basis_key(basis("cpu"))


def test_flash_attention_is_off_before_any_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_GQA_DISABLE_FLASH_ATTENTION", "0")
    open_session(GRAPH)
    assert os.environ["ORT_GQA_DISABLE_FLASH_ATTENTION"] == "1"


@pytest.mark.parametrize("threads", [-1, 257])
def test_a_number_of_threads_out_of_bounds_is_refused(threads: int) -> None:
    with pytest.raises(ModelError, match="it must be between 0"):
        open_session(GRAPH, ("cpu",), SessionSettings(threads=threads))


def test_zero_threads_are_all_that_this_process_may_use() -> None:
    assert thread_count(SessionSettings()) == len(os.sched_getaffinity(0))
    assert thread_count(SessionSettings(threads=3)) == 3


def test_the_isa_names_the_machine_and_no_path() -> None:
    assert isa().split("+")[0] == os.uname().machine
    assert "/" not in isa()


def test_a_broken_graph_is_told_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07")
    with pytest.raises(ModelError, match=r"^model\.onnx cannot be loaded: ") as error:
        open_session(tmp_path / "model.onnx", ABSENT)
    assert len(str(error.value).splitlines()) == 1


class _NoDeviceError(Exception):
    """Thrown in place of a session that this machine cannot make."""


def test_cuda_is_asked_for_exact_products_and_an_arena_within_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What happens on such a machine is not tried here: only what ONNX Runtime is asked for."""
    seen = []
    made = ort.InferenceSession

    def session(graph: str, options: ort.SessionOptions, **more: Any) -> ort.InferenceSession:
        if more["providers"] == ["CPUExecutionProvider"]:
            return made(graph, options, **more)
        seen.append(more)
        raise _NoDeviceError("no such device")

    monkeypatch.setattr(ort, "get_available_providers", lambda: [PROVIDERS["cuda"], PROVIDERS["cpu"]])
    monkeypatch.setattr(ort, "InferenceSession", session)
    source = source_at(GRAPH.parent)
    residency = Residency({"cuda": 123_456_789}, GivenVerdict(verdict_of("llama-fp32")))
    residency.warm(source, LoadSettings(providers=("cuda", "cpu"), context_tokens=64))
    details = {"use_tf32": "0", "gpu_mem_limit": "123456789"}
    assert [more["providers"] for more in seen] == [[(PROVIDERS["cuda"], details), PROVIDERS["cpu"]]]
    assert all(more["enable_fallback"] == 0 for more in seen)
    assert (residency.held("cuda"), residency.held("cpu") > 0) == (0, True)
    found = open_session(GRAPH, ("cuda", "cpu"))
    assert (found.provider, found.passed_over) == ("cpu", (PassedOver("cuda", "no such device"),))


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_the_runtime_leaves_out_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: list(PROVIDERS.values()))
    found = open_session(GRAPH, ABSENT)
    assert (found.provider, [one.provider for one in found.passed_over]) == ("cpu", list(ABSENT))
    assert {one.reason for one in found.passed_over} == {"onnxruntime left it out of the session"}
