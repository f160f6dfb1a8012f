"""Models come into memory and go, within a budget; no answer shows it."""

import random  # noqa: TID251 - seeded by each test
import shutil
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from model_folders import MODELS, answers, mixed_requests, request, verdict_of

from tickwork.inference.cache import ModelCache
from tickwork.inference.errors import ModelError
from tickwork.inference.heap import trim
from tickwork.inference.invariance import Verdict
from tickwork.inference.language.engine import EngineSettings
from tickwork.inference.language.load import LoadSettings
from tickwork.inference.plain.encoding import Tensor, TensorRequest
from tickwork.inference.plain.load import PlainSettings
from tickwork.inference.providers import Basis, SessionSettings
from tickwork.inference.residency import NoRoomError, Residency, TooLargeError
from tickwork.inference.sources import ModelSource, source_at, source_in

LANGUAGE = LoadSettings(
    context_tokens=320,
    session=SessionSettings(threads=1),
    engine=EngineSettings(slots=3, prefix_bytes=1 << 16, digest_logits=True),
)
PLAIN = PlainSettings(session=SessionSettings(threads=1))
TINY = ("classifier", "embedding", "every-type", "logarithm")


class _Remembered:
    """Verdicts of this test process."""

    def __init__(self) -> None:
        self.known: dict[str, Verdict] = {}
        self.asked = 0

    def verdict(self, hashed: str, basis: Basis) -> Verdict | None:
        self.asked += 1
        verdict = self.known.get(hashed)
        return verdict if verdict is None or verdict.basis == basis else None

    def keep_verdict(self, hashed: str, verdict: Verdict) -> None:
        self.known[hashed] = verdict


VERDICTS = _Remembered()


def language(name: str) -> ModelSource:
    source = source_at(MODELS / name)
    VERDICTS.known[source.hash] = verdict_of(name)
    return source


def plain(name: str) -> ModelSource:
    return source_at(MODELS / "plain" / name)


def wide(tmp_path: Path, seed: int) -> ModelSource:
    """Return a model of 4 MiB, another one for each seed."""
    folder = Path(shutil.copytree(MODELS / "plain" / "wide", tmp_path / f"wide-{seed}"))
    drawn = np.random.default_rng(seed)
    (folder / "weights").write_bytes(drawn.standard_normal(4 * 512 * 512, np.float32).tobytes())
    return source_at(folder)


def anonymous_bytes() -> int:
    """Return what this process holds of the system's memory, files aside."""
    trim()
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) * 1024


def test_a_model_is_loaded_once_and_shared() -> None:
    residency = Residency(verdicts=VERDICTS)
    source = language("llama-int4")
    with residency.acquire(source, LANGUAGE) as one:
        with residency.acquire(source, LANGUAGE) as other:
            assert one.engine is other.engine
            assert residency.residents()[0].users == 2
        longer = msgspec.structs.replace(LANGUAGE, context_tokens=330)
        with residency.acquire(source, longer) as third:
            assert third.engine is not one.engine
            assert third.engine._rows._session is one.engine._rows._session  # type: ignore[attr-defined]
    (resident,) = residency.residents()
    assert (resident.hash, resident.device, resident.users) == (source.hash, "cpu", 0)
    with residency.acquire(source, LANGUAGE) as again:
        assert again.engine is one.engine


def test_the_least_recently_used_goes_first_and_what_is_in_use_stays() -> None:
    sources = [language(name) for name in ("llama-fp32", "qwen2-fp32", "phi3-int4")]
    residency = Residency(verdicts=VERDICTS)
    for source in sources:
        residency.warm(source, LANGUAGE)
    sizes = {one.hash: one.bytes for one in residency.residents()}
    budget = sum(sizes.values()) - 1
    residency = Residency({"cpu": budget}, VERDICTS)
    with residency.acquire(sources[0], LANGUAGE):
        residency.warm(sources[1], LANGUAGE)
        residency.warm(sources[2], LANGUAGE)
        assert {one.hash for one in residency.residents()} == {sources[0].hash, sources[2].hash}
    residency.warm(sources[0], LANGUAGE)
    residency.warm(sources[1], LANGUAGE)
    assert {one.hash for one in residency.residents()} == {sources[0].hash, sources[1].hash}
    residency.evict()
    assert residency.residents() == []
    assert residency.held() == 0


def test_a_model_that_does_not_fit_beside_those_in_use_waits_and_one_that_never_fits_is_refused() -> None:
    first, second = language("llama-fp32"), language("qwen2-fp32")
    residency = Residency(verdicts=VERDICTS)
    size = residency.warm(first, LANGUAGE).bytes
    residency = Residency({"cpu": size + 9000}, VERDICTS)
    with residency.acquire(first, LANGUAGE), pytest.raises(NoRoomError, match=r"of \d+ are in use"):
        residency.warm(second, LANGUAGE)
    assert residency.warm(second, LANGUAGE).hash == second.hash
    with pytest.raises(TooLargeError, match="and the budget there is 1000; raise it"):
        Residency({"cpu": 1000}, VERDICTS).warm(first, LANGUAGE)


def test_memory_stays_under_the_budget_over_a_thousand_loads(tmp_path: Path) -> None:
    wides = [wide(tmp_path, seed) for seed in range(3)]
    tiny = [plain(name) for name in TINY]
    chats = [language(name) for name in ("llama-int4", "qwen2-int8", "phi3-int4")]
    budget = 10 << 20
    residency = Residency({"cpu": budget}, VERDICTS)
    drawn = random.Random(1)
    for source in (*wides, *tiny, *chats):
        residency.warm(source, LANGUAGE if source.kind == "language" else PLAIN)
    residency.evict()
    before = anonymous_bytes()
    loads = 0
    while loads < 1000:
        kind = drawn.choices((wides, chats, tiny), (2, 1, 9))[0]
        source = drawn.choice(kind)
        loaded = source.hash in {one.hash for one in residency.residents()}
        residency.warm(source, LANGUAGE if source.kind == "language" else PLAIN)
        loads += not loaded
        assert residency.held() <= budget
        if kind is tiny:
            residency.evict()
        if loads % 100 == 0:
            # What Python itself holds comes on top.
            assert anonymous_bytes() - before < budget + (6 << 20)
    residency.evict()
    assert anonymous_bytes() - before < 6 << 20


def test_what_is_counted_for_a_model_is_what_it_takes(tmp_path: Path) -> None:
    source = wide(tmp_path, 1)
    residency = Residency(verdicts=VERDICTS)
    residency.warm(source, PLAIN)
    residency.evict()
    before = anonymous_bytes()
    counted = residency.warm(source, PLAIN).bytes
    taken = anonymous_bytes() - before
    assert 4 << 20 <= counted < 5 << 20
    assert taken < counted + (2 << 20)


def test_a_model_is_made_to_fit_by_a_smaller_prefix_cache_and_then_fewer_slots() -> None:
    source = language("llama-int4")
    asked = msgspec.structs.replace(LANGUAGE, engine=EngineSettings(slots=16, digest_logits=True))
    whole = Residency({"cpu": 1 << 40}).fitted(source, asked)
    assert whole == asked
    fitting = []
    for budget in (64 << 20, 8 << 20, 950_000):
        residency = Residency({"cpu": budget}, VERDICTS)
        settings = residency.fitted(source, asked)
        fitting.append((settings.engine.slots, settings.engine.prefix_bytes))
        with residency.acquire(source, settings) as loaded:
            assert residency.held() <= budget
            requests = mixed_requests(6, seed=5)
            small = answers(loaded, requests, None)
        with Residency(verdicts=VERDICTS).acquire(source, asked) as loaded:
            assert answers(loaded, requests, None) == small
    assert fitting == sorted(fitting, reverse=True)
    assert [slots for slots, _ in fitting] == [16, 16, 1]
    never = Residency({"cpu": 1000}, VERDICTS)
    with pytest.raises(TooLargeError, match="TICKWORK_MODEL_BYTES"):
        never.warm(source, never.fitted(source, asked))


@pytest.mark.parametrize("name", ["llama-fp32", "llama-int4", "llama-eager"])
def test_eviction_changes_no_answer(name: str) -> None:
    source, other = language(name), language("qwen2-int4")
    requests = mixed_requests(10, seed=3)
    residency = Residency(verdicts=VERDICTS)
    with residency.acquire(source, LANGUAGE) as loaded:
        expected = answers(loaded, requests, arrivals=None)
    residency = Residency({"cpu": residency.residents()[0].bytes + 9000}, VERDICTS)
    found: dict[str, bytes] = {}
    for at in range(0, 10, 2):
        some = dict(list(requests.items())[at : at + 2])
        with residency.acquire(source, LANGUAGE) as loaded:
            found |= answers(loaded, some, arrivals=None)
        with residency.acquire(other, LANGUAGE) as loaded:
            assert answers(loaded, some, arrivals=None)
            assert source.hash not in {one.hash for one in residency.residents()}
    assert found == expected


def test_requests_that_are_left_behind_meet_nobody() -> None:
    residency = Residency(verdicts=VERDICTS)
    source = language("llama-int4")
    with residency.acquire(source, LANGUAGE) as loaded:
        loaded.engine.submit("left", request())
    with residency.acquire(source, LANGUAGE) as loaded:
        assert not loaded.engine.busy


def test_a_model_whose_files_changed_is_not_loaded(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MODELS / "llama-int4", tmp_path / "llama"))
    source = source_at(folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    residency = Residency(verdicts=VERDICTS)
    with pytest.raises(ModelError, match="its files have changed"):
        residency.warm(source, LANGUAGE)
    assert residency.residents() == []
    assert residency.held() == 0


def test_a_model_is_not_served_as_another_kind() -> None:
    residency = Residency(verdicts=VERDICTS)
    with pytest.raises(ModelError, match="is a plain model"):
        residency.warm(plain("classifier"), LANGUAGE)
    with pytest.raises(ModelError, match="is a language model"):
        residency.warm(language("llama-int4"), PLAIN)


def test_a_plain_model_answers_through_the_residency() -> None:
    row = TensorRequest({"x": Tensor.of(np.ones((1, 4), np.float32))})
    with Residency(verdicts=VERDICTS).acquire(plain("classifier"), PLAIN) as loaded:
        loaded.engine.submit("a", row)
        assert set(loaded.engine.run()) == {"a"}


def test_the_cache_remembers_what_the_check_found(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    cache.add(MODELS / "llama-int4", "chat")
    source = source_in(cache, "chat")
    assert source.name == "chat"
    with Residency(verdicts=cache).acquire(source, LANGUAGE) as loaded:
        assert cache.verdict(source.hash, loaded.verdict.basis) == loaded.verdict
    file = source.folder / "model.onnx.data"
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match="its files have changed"):
        Residency(verdicts=cache).warm(source, LANGUAGE)


def test_threads_that_load_at_once_get_one_session_each_model() -> None:
    residency = Residency(verdicts=VERDICTS)
    sources = [plain(name) for name in TINY] * 3
    failures: list[BaseException] = []

    def work(mine: list[ModelSource]) -> None:
        try:
            for source in mine:
                residency.warm(source, PLAIN)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(sources[at:] + sources[:at],)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(residency.residents()) == len(TINY)


@pytest.mark.parametrize("budgets", [{"gpu": 1}, {"cpu": 0}])
def test_a_budget_that_cannot_be_kept_is_refused(budgets: dict[str, int]) -> None:
    with pytest.raises(ModelError, match="budget of"):
        Residency(budgets)
