"""Replay asks the models of a recording again, and says what came of it, or why it did not ask."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from asking import EVEN, MODELS, SLOW, STREAMED, Asking, agents, change_first_answer, make
from tamper import tamper
from tickwork import load, replay, resume
from tickwork.core.errors import ManifestError, RunFileError
from tickwork.core.messages import Completion
from tickwork.inference.makers import Makers, makers
from tickwork.runtime.seek import Recording

# Every way of serving, language models and others, and requests that fail.
KINDS = {
    "llama": ("llama-fp32", {}),
    "qwen": ("qwen2-int8", {"options": {"max_tokens": 9, "top_k": 7, "logprobs": True}}),
    "phi": ("phi3-int4", {"options": {"max_tokens": 12, "stop": ["e"], "repetition_penalty": 1.3}}),
    "form": ("llama-int4", {"options": {"max_tokens": 30, "response_format": {"type": "json_object"}}}),
    "alone": ("llama-eager", {}),
    "failing": ("llama-pad", {"options": {"max_tokens": 9, "temperature": -1}}),
    "plain": (
        "plain/classifier",
        {
            "body": {
                "inputs": {"x": {"dtype": "float32", "shape": [1, 4], "data": "AACAPwAAAEAAAEBAAACAQA=="}}
            }
        },
    ),
}


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    # Without snapshots, which would tell of a change before anything else does.
    return make(
        tmp_path_factory.mktemp("bare"), agents("quick", 2, every=2, times=2), EVEN, snapshots='"never"'
    )


@pytest.fixture(scope="module")
def bare(asking: Asking) -> Path:
    return asking.run()


@pytest.fixture
def copy(bare: Path, tmp_path: Path) -> Path:
    """A copy of a recording, to be changed."""
    made = tmp_path / "copy.tick"
    made.write_bytes(bare.read_bytes())
    return made


def test_every_answer_of_every_kind_of_model_comes_out_again(tmp_path: Path) -> None:
    models = "".join(
        f'[models.{name}]\npath = "MODELS/{folder}"\nlatency_ticks = 2\n'
        for name, (folder, _) in KINDS.items()
    )
    askers = "".join(agents(name, 2, model=name, times=2, **config) for name, (_, config) in KINDS.items())
    streaming = agents("streaming", 2, **STREAMED)
    asking = make(tmp_path / "p", askers + streaming, models + SLOW)
    path = asking.run()
    replies = asking.of("reply")
    assert len(replies) == 2 * 2 * len(KINDS) + 2 * 3
    failed = {each.agent[:-2] for each in replies if each.code}
    assert failed == {"failing"}
    for recompute in (False, True):
        found = replay(path, recompute=recompute)
        assert found.identical
        assert found.recomputed == len(replies) + len(asking.of("piece")) > len(replies)
        assert found.warnings == found.differences == ()


def test_a_forged_answer_is_found_by_asking_again(copy: Path) -> None:
    change_first_answer(copy, lambda first: msgspec.structs.replace(first, body=first.body + b" "))
    found = replay(copy)
    assert found.first_divergence is not None
    assert found.first_divergence.agent == "quick-0"
    assert "model even gives another answer to the request of tick" in found.first_divergence.reason


def test_an_answer_of_another_provider_is_used_and_its_difference_reported_on_demand(copy: Path) -> None:
    # White space after the JSON: another answer, of which the agent makes the same.
    change_first_answer(
        copy, lambda first: msgspec.structs.replace(first, provider="cuda", body=first.body + b" ")
    )
    found = replay(copy)
    again = replay(copy, recompute=True)
    assert again.recomputed == found.recomputed + 1
    assert found.differences == ()
    assert found.warnings == ("answers of models are used as they were recorded: 1 of provider cuda",)
    assert again.warnings == ()
    (difference,) = again.differences
    assert "agent quick-0: model even gives another answer" in difference
    assert difference.endswith("when asked again (cuda, now cpu)")
    for each in (found, again):
        # The agent's inbox is longer by a byte, and so is its fuel.
        assert each.first_divergence is None or "fuel" in each.first_divergence.reason


def test_an_entry_with_an_answer_that_nobody_asked_for_is_refused(copy: Path) -> None:
    change_first_answer(copy, lambda first: Completion(0, 0, 0, first.body))
    found = replay(copy)
    assert found.first_divergence is not None
    assert found.first_divergence.reason == "the entry does not belong to this run"


OTHERS = {
    "runtime": (
        msgspec.structs.replace(makers(), libraries=makers().libraries | {"onnxruntime": "1.0.0"}),
        f"onnxruntime 1.0.0 and here {makers().libraries['onnxruntime']}",
    ),
    "processor": (
        msgspec.structs.replace(makers(), isa="riscv64 v"),
        f"riscv64 v and here {makers().isa}",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_answers_of_another_runtime_or_processor_are_used_as_recorded_and_it_is_said(
    copy: Path, other: str
) -> None:
    recorded, words = OTHERS[other]
    tamper(copy, lambda tampering: tampering.put_makers(recorded.encode()))
    found = replay(copy)
    assert found.identical
    assert found.recomputed == 0
    assert found.warnings == (f"the answers of models are used as they were recorded: recorded with {words}",)
    again = replay(copy, recompute=True)
    assert again.identical
    assert again.recomputed == 4
    assert again.warnings == (f"models may answer otherwise here: recorded with {words}",)
    with pytest.raises(RunFileError, match="only what computed its models' answers can go on with it"):
        resume(copy, ticks=1)


def test_what_another_runtime_answers_otherwise_is_reported_and_no_divergence(copy: Path) -> None:
    recorded, _ = OTHERS["runtime"]
    change_first_answer(copy, lambda first: msgspec.structs.replace(first, body=first.body + b" "))
    tamper(copy, lambda tampering: tampering.put_makers(recorded.encode()))
    again = replay(copy, recompute=True)
    assert len(again.differences) == 1
    assert again.first_divergence is None or "fuel" in again.first_divergence.reason


@pytest.mark.parametrize("recorded", ["", "[]", '{"libraries":{}}', "[" * 5000])
def test_a_recording_that_does_not_say_what_answered_is_used_as_it_is(copy: Path, recorded: str) -> None:
    tamper(copy, lambda tampering: tampering.put_makers(recorded))
    found = replay(copy)
    assert found.identical
    assert "the recording does not say what computed its answers" in found.warnings[0]


def test_the_run_file_says_what_its_answers_rest_on(asking: Asking, bare: Path) -> None:
    with Recording.open(bare) as found:
        said = msgspec.json.decode(found.reader.header.inference, type=Makers)
        (model,) = found.reader.spec.models
        providers = {
            each.provider
            for stored in found.reader.entries()
            for each in stored.decode()[0].arrivals.completions
        }
    assert said == makers()
    assert {"onnxruntime", "tokenizers", "llguidance"} <= said.libraries.keys()
    assert said.isa
    assert model.hash == load(asking.root).spec.models[0].hash
    assert providers == {"cpu"}


def test_answers_are_used_as_recorded_where_the_model_is_gone(tmp_path: Path) -> None:
    asking = make(tmp_path / "p", agents("a", 1), '[models.even]\npath = "model"\n')
    (tmp_path / "p" / "model").mkdir()
    for file in (MODELS / "llama-fp32").iterdir():
        (tmp_path / "p" / "model" / file.name).write_bytes(file.read_bytes())
    path = asking.run()
    (tmp_path / "p" / "model" / "model.onnx").unlink()
    found = replay(path)
    assert found.identical
    assert found.recomputed == 0
    assert "the answers of models are used as they were recorded: the model even" in found.warnings[0]
    with pytest.raises(RunFileError, match=r"the model even .* is not at .* any more, nor in the cache"):
        resume(path, ticks=2)
    with pytest.raises(ManifestError, match=r"models\.even"):
        load(asking.root)


_BARE = """
import sys
sys.modules["onnxruntime"] = None  # as if it was not installed
from tickwork import load, replay
from tickwork.core.errors import TickworkError
found = replay(sys.argv[2])
print(found.identical, found.recomputed, *found.warnings, sep="; ")
try:
    load(sys.argv[1])
except TickworkError as error:
    print(error)
"""


def test_without_onnxruntime_the_error_names_what_to_install(asking: Asking, bare: Path) -> None:
    command = [sys.executable, "-c", _BARE, str(asking.root), str(bare)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    replayed, refused = done.stdout.splitlines()
    assert replayed.startswith("True; 0; the answers of models are used as they were recorded: ")
    for line in (replayed, refused):
        assert "pip install 'tickwork[inference]'" in line
