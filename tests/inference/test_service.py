"""The service answers in the background, and tells the faults of the machine from those of a request."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from model_folders import CONTEXT, MODELS, verdict_of

from tickwork.core.errors import HostError
from tickwork.inference.language.load import LoadSettings
from tickwork.inference.memo import Memo
from tickwork.inference.residency import Residency
from tickwork.inference.service import Answer, Served, Service
from tickwork.inference.sources import source_at
from tickwork.inference.verdicts import GivenVerdict

# Nothing here waits as long unless it fails.
LONG_S = 60.0


def served(folder: Path = MODELS / "llama-fp32") -> Served:
    return Served(source_at(folder, ""), LoadSettings(context_tokens=CONTEXT))


def service(folder: Path = MODELS / "llama-fp32", memo: Memo | None = None) -> Service:
    residency = Residency(verdicts=GivenVerdict(verdict_of("llama-fp32")))
    return Service({"m": served(folder)}, residency, memo)


def body(text: str = "hello", **fields: object) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text}], **fields}).encode()


def answer(from_: Service, key: str) -> Answer:
    found = from_.answer(key, LONG_S)
    assert found is not None
    return found


def test_an_answer_is_given_once_and_to_nobody_after_it_was_cancelled() -> None:
    with service() as one:
        for key in ("a", "b", "c"):
            one.submit(key, "m", body(max_tokens=8), seed=1)
        one.cancel("b")
        first = answer(one, "a")
        assert json.loads(first.body)["id"] == "chatcmpl-a"
        assert "".join(first.pieces) == json.loads(first.body)["choices"][0]["message"]["content"]
        answer(one, "c")
        assert one.answer("a", 0.01) is one.answer("b", 0.01) is None
        one.cancel("nobody")


def test_stray_bytes_in_a_text_fail_their_request_and_nothing_else() -> None:
    with service() as one:
        one.submit("bad", "m", body("?").replace(b"?", b"\xff"), seed=1)
        one.submit("good", "m", body(max_tokens=2), seed=1)
        assert json.loads(answer(one, "bad").body)["error"]["code"] == "invalid_request"
        assert json.loads(answer(one, "good").body)["id"] == "chatcmpl-good"


def test_what_a_stream_was_told_is_the_same_after_its_request_failed() -> None:
    """Hot enough that some generate a token at which the model throws, or gives NaN."""
    with service(MODELS / "llama-faulty") as one:
        failed = 0
        for n in range(12):
            one.submit(f"{n}", "m", body(f"{n}", max_tokens=100, temperature=100), seed=n, stream=True)
        for n in range(12):
            early = one.texts(f"{n}", 3, LONG_S)
            late = one.texts(f"{n}", 1000, LONG_S)  # there are no more; so it is finished
            assert early is not None
            assert late is not None
            assert late[0][:3] == early[0]
            found = answer(one, f"{n}")
            assert found.pieces == late[0]
            failed += b'"error"' in found.body and len(found.pieces) > 3
        assert failed >= 3


def test_equal_requests_are_answered_from_the_memo_also_by_another_service() -> None:
    memo = Memo()
    asked = body(max_tokens=8, temperature=1.5)
    bodies = []
    for key, seed in (("a", 1), ("b", 1), ("c", 2)):
        with service(memo=memo) as one:
            one.submit(key, "m", asked, seed)
            if key == "b":
                # Nothing is loaded for it.
                assert one.answer(key, LONG_S) is not None
                assert not one._residency.residents()
                one.submit(key, "m", asked, seed)
            bodies.append(json.loads(answer(one, key).body))
    texts = [each["choices"][0]["message"]["content"] for each in bodies]
    assert texts[0] == texts[1] != texts[2]
    assert [each["id"] for each in bodies] == ["chatcmpl-a", "chatcmpl-b", "chatcmpl-c"]


def test_files_that_change_after_the_service_began_are_the_machines_fault(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODELS / "llama-fp32", folder)
    with service(folder) as one:
        (folder / "model.onnx").write_bytes(b"another model")
        one.submit("a", "m", body(max_tokens=2), seed=1)
        with pytest.raises(HostError, match="have changed since it began"):
            one.answer("a", LONG_S)


_SHORT_OF_MEMORY = """
import base64, json, resource, sys
from pathlib import Path
from tickwork.inference.plain.load import PlainSettings
from tickwork.inference.service import Served, Service
from tickwork.inference.sources import source_at

def body(count):
    zeros = base64.b64encode(bytes(8 * count)).decode()
    tensor = {"dtype": "int64", "shape": [1, count], "data": zeros}
    return json.dumps({"inputs": {"input_ids": tensor, "attention_mask": tensor}}).encode()

with Service({"m": Served(source_at(Path(sys.argv[1]), ""), PlainSettings())}) as service:
    service.submit("warm", "m", body(1), 0)
    service.answer("warm", 60)
    large, small = body(1_000_000), body(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (140 << 20),) * 2)
    service.submit("large", "m", large, 0)
    service.submit("small", "m", small, 0)
    for key in ("large", "small"):
        found = service.answer(key, 60)
        said = json.loads(found.body)
        print(key, said.get("error", {}).get("code"), found.provider)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to bound a process's memory")
def test_a_request_that_this_machine_has_no_memory_for_fails_alone_and_not_for_good() -> None:
    command = [sys.executable, "-c", _SHORT_OF_MEMORY, str(MODELS / "plain" / "embedding")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == ["large out_of_memory none", "small None cpu"], done.stderr
