"""Every number of slots with every number of threads and every prefix cache: what `test_company` draws from.

Run by `make test-company`, which takes some ten minutes; not part of `make test`. TICKWORK_MODELS names
folders of further models, separated by `:`; each is checked, and served as the check found.
"""

import functools
import os
import random  # noqa: TID251 - seeded by each test
from pathlib import Path

import msgspec
import pytest
from model_folders import CONTEXT, FREE, HALF, MODELS, answers, mixed_requests

from tickwork.inference.language.engine import EngineSettings
from tickwork.inference.language.load import LoadSettings, Weights, make_engine, open_weights
from tickwork.inference.providers import SessionSettings
from tickwork.inference.verdicts import GivenVerdict

LIMITED = (("llama-pad", ""), ("llama-even", ""), ("llama-eager", ""), ("llama-eager", "quantized"))
FOLDERS = tuple((Path(folder), "") for folder in os.environ.get("TICKWORK_MODELS", "").split(":") if folder)
CASES = (
    *((MODELS / name, "") for name in (*FREE, HALF)),
    *((MODELS / name, kind) for name, kind in LIMITED),
    (Path(__file__).parents[2] / "examples" / "market" / "haggler", ""),
    *FOLDERS,
)
SLOTS = tuple(range(1, 17))
THREADS = (1, 2, 8)
# Off, too small for all, large enough.
PREFIX_BYTES = (0, 100_000, 1 << 26)
CHUNKS = (2, 3, 7, 16, 33, 64, 128, 512)
REQUESTS = mixed_requests(40, seed=21)


@functools.cache
def weights(folder: Path, variant: str, threads: int) -> Weights:
    settings = LoadSettings(variant=variant, context_tokens=CONTEXT, session=SessionSettings(threads=threads))
    verdicts = None if threads == 1 else GivenVerdict(weights(folder, variant, 1).verdict)
    return open_weights(folder, settings, verdicts)


@functools.cache
def alone(folder: Path, variant: str) -> dict[str, bytes]:
    settings = LoadSettings(
        context_tokens=CONTEXT,
        engine=EngineSettings(slots=1, chunk=512, prefix_bytes=0, digest_logits=True),
    )
    return answers(make_engine(weights(folder, variant, 1), settings, "m"), REQUESTS, arrivals=None)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(("folder", "variant"), CASES, ids=lambda part: str(part).rpartition("/")[2])
def test_an_answer_is_the_same_in_every_company(folder: Path, variant: str, threads: int) -> None:
    expected = alone(folder, variant)
    assert len(expected) == len(REQUESTS)
    assert all(b'"logit_digest":"' in answer for answer in expected.values())
    drawn = random.Random(threads)
    for slots in SLOTS:
        for prefix_bytes in PREFIX_BYTES:
            engine = EngineSettings(
                slots=slots, chunk=drawn.choice(CHUNKS), prefix_bytes=prefix_bytes, digest_logits=True
            )
            settings = LoadSettings(context_tokens=CONTEXT, engine=engine)
            loaded = make_engine(weights(folder, variant, threads), settings, "m")
            found = answers(loaded, REQUESTS, random.Random(slots))
            different = [key for key in REQUESTS if found[key] != expected[key]]
            assert not different, msgspec.json.encode(engine).decode()
