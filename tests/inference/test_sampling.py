"""Which token is chosen: the rules that everybody knows, and randomness that nobody else can shift."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tickwork.inference.language.request import ChatRequest, Message
from tickwork.inference.language.sampling import Sampler, likeliest, logprobs, uniform

Floats = NDArray[np.float64]
VOCABULARY = 40
NUMBERS = [0.03570384845873453, 0.6452436063984253, 0.2586895625593082, 0.8882763313452305]


def asked(**fields: object) -> ChatRequest:
    return ChatRequest(messages=[Message("user", "hello")], **fields)  # type: ignore[arg-type]


def rows(seed: int, count: int = 1) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal((count, VOCABULARY)) * 3).astype(np.float32)


def reference(logits: NDArray[np.float32], request: ChatRequest, seen: list[int], made: list[int]) -> Floats:
    """Return every token's probability, step by step as transformers and OpenAI describe them."""
    scores = logits.astype(np.float64)
    for token in set(seen + made):
        factor = request.repetition_penalty
        scores[token] = scores[token] / factor if scores[token] >= 0 else scores[token] * factor
    for token in set(made):
        scores[token] -= request.presence_penalty + request.frequency_penalty * made.count(token)
    scores = scores / request.temperature
    order = sorted(range(len(scores)), key=lambda token: (-scores[token], token))
    if request.top_k:
        order = order[: request.top_k]
    weights = {token: math.exp(scores[token] - scores[order[0]]) for token in order}
    total, reached, nucleus = sum(weights.values()), 0.0, []
    for token in order:
        nucleus.append(token)
        reached += weights[token]
        if request.top_p < 1 and reached >= request.top_p * total:
            break
    kept = [token for token in nucleus if weights[token] >= request.min_p * weights[nucleus[0]]]
    found = np.zeros(len(scores))
    for token in kept:
        found[token] = weights[token]
    return found / found.sum()


settings = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.3, 1.0, 2.5]),
        "top_k": st.sampled_from([0, 1, 5, 39, 40, 1000]),
        "top_p": st.sampled_from([1.0, 0.9, 0.4, 0.01]),
        "min_p": st.sampled_from([0.0, 0.05, 0.5, 1.0]),
        "repetition_penalty": st.sampled_from([1.0, 1.3, 0.8]),
        "presence_penalty": st.sampled_from([0.0, 1.5]),
        "frequency_penalty": st.sampled_from([0.0, 0.7, -1.0]),
    }
)


@given(settings, st.integers(0, 2**32), st.integers(-(2**63), 2**64 - 1))
def test_a_draw_is_the_token_that_the_number_falls_on(fields: dict[str, float], data: int, seed: int) -> None:
    request = asked(**fields)
    prompt = [1, 5, 5, 30]
    sampler = Sampler(request, seed, prompt, VOCABULARY)
    made: list[int] = []
    for position, logits in enumerate(rows(data, 6)):
        probabilities = reference(logits, request, prompt, made)
        token = sampler.choose(logits, None)
        assert probabilities[token] > 0
        drawn = uniform(seed & (2**64 - 1), position)
        # The order in which tokens share the unit interval depends on the settings; the share does not.
        order = np.arange(VOCABULARY)
        if fields["top_k"] in {1, 5, 39} or fields["top_p"] < 1:
            order = np.argsort(-probabilities, kind="stable")
        ends = np.cumsum(probabilities[order])
        at = list(order).index(token)
        assert ends[at] - probabilities[token] - 1e-9 <= drawn <= ends[at] + 1e-9
        made.append(token)


def test_draws_come_as_often_as_their_probability_says() -> None:
    request = asked(temperature=1.3, top_p=0.95)
    (logits,) = rows(4)
    wanted = reference(logits, request, [], [])
    draws = 4000
    tokens = [Sampler(request, seed, [], VOCABULARY).choose(logits, None) for seed in range(draws)]
    found = np.bincount(tokens, minlength=VOCABULARY)
    assert found[wanted == 0].sum() == 0
    likely = wanted * draws > 5
    spread = ((found[likely] - wanted[likely] * draws) ** 2 / (wanted[likely] * draws)).sum()
    assert spread < 2 * likely.sum()


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**63))
def test_numbers_depend_on_seed_and_position_alone_and_lie_in_the_unit_interval(
    seed: int, position: int
) -> None:
    assert 0 <= uniform(seed, position) < 1
    assert uniform(seed, position) == uniform(seed, position)
    assert uniform(seed, position) != uniform(seed ^ 1, position)


def test_numbers_are_those_that_they_always_were() -> None:
    """Recorded once; another value would change every sampled answer of every recorded run."""
    assert [uniform(0, 0), uniform(1, 0), uniform(0, 1), uniform(2**64 - 1, 2**63)] == NUMBERS


def test_greedy_is_the_likeliest_and_a_tie_goes_to_the_lowest_token() -> None:
    logits = np.zeros(VOCABULARY, np.float32)
    logits[[7, 21, 30]] = 5
    greedy = asked(temperature=0)
    assert Sampler(greedy, 1, [], VOCABULARY).choose(logits, None) == 7
    allowed = np.ones(VOCABULARY, np.bool_)
    allowed[7] = False
    assert Sampler(greedy, 1, [], VOCABULARY).choose(logits, allowed) == 21
    assert Sampler(asked(top_k=1), 9, [], VOCABULARY).choose(logits, None) == 7


def test_greedy_obeys_penalties() -> None:
    logits = np.zeros(VOCABULARY, np.float32)
    logits[3], logits[4] = 2.0, 1.9
    for fields in ({"frequency_penalty": 0.5}, {"presence_penalty": 0.5}, {"repetition_penalty": 1.2}):
        sampler = Sampler(asked(temperature=0, **fields), 0, [], VOCABULARY)
        assert [sampler.choose(logits, None) for _ in range(2)] == [3, 4]
    logits[4] = 0.3
    for fields, tokens in (
        ({"presence_penalty": 0.5}, [3, 3, 3, 3, 3]),
        ({"frequency_penalty": 0.5}, [3, 3, 3, 3, 4]),
    ):
        sampler = Sampler(asked(temperature=0, **fields), 0, [], VOCABULARY)
        assert [sampler.choose(logits, None) for _ in range(5)] == tokens
    logits[4] = 1.9
    seen = Sampler(asked(temperature=0, repetition_penalty=1.2), 0, [3], VOCABULARY)
    assert seen.choose(logits, None) == 4


@pytest.mark.parametrize("fields", [{}, {"top_k": 5}, {"top_p": 0.5}, {"min_p": 0.2}, {"temperature": 0}])
def test_what_a_format_rules_out_is_never_chosen(fields: dict[str, float]) -> None:
    allowed = np.zeros(VOCABULARY, np.bool_)
    allowed[[2, 17, 33]] = True
    for seed, logits in enumerate(rows(8, 200)):
        assert allowed[Sampler(asked(**fields), seed, [], VOCABULARY).choose(logits, allowed)]


def test_the_requests_own_seed_goes_before_the_callers() -> None:
    for logits in rows(2, 20):
        own = [Sampler(asked(seed=11), caller, [], VOCABULARY).choose(logits, None) for caller in range(5)]
        assert len(set(own)) == 1


def test_logprobs_are_the_models_own_and_sum_to_one() -> None:
    (logits,) = rows(5)
    found = logprobs(logits, 12, VOCABULARY)
    assert math.isclose(sum(math.exp(one) for _, one in found.top), 1, abs_tol=1e-12)
    assert dict(found.top)[12] == found.chosen
    assert [token for token, _ in found.top] == list(np.argsort(-logits, kind="stable"))
    assert logprobs(logits, 12, 0).top == ()
    assert logprobs(logits, 12, 3).top == found.top[:3]


@given(
    st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0, -math.inf]), min_size=1, max_size=60), st.integers(1, 70)
)
def test_the_likeliest_come_first_and_ties_by_token(values: list[float], count: int) -> None:
    wanted = sorted(range(len(values)), key=lambda token: (-values[token], token))[:count]
    assert list(likeliest(np.array(values), count)) == wanted


@pytest.mark.parametrize("temperature", [1e-300, 1e-320, 5e-324])
def test_next_to_no_temperature_takes_the_likeliest_token_without_a_warning(temperature: float) -> None:
    (logits,) = rows(3)
    sampler = Sampler(asked(temperature=temperature), 1, [], VOCABULARY)
    assert sampler.choose(logits, None) == int(logits.argmax())
