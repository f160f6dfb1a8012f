"""Greedy answers of fp32 models are those of transformers, from the conversation to the last token."""

import json

import pytest
from model_folders import MODELS, opened

from tickwork.inference.language.folder import read_folder
from tickwork.inference.language.request import ChatRequest, Message
from tickwork.inference.language.template import ChatTemplate
from tickwork.inference.language.tokens import Tokenizer

NAMES = ("llama-fp32", "qwen2-fp32", "phi3-fp32", "llama-eager")


@pytest.mark.parametrize("name", NAMES)
def test_greedy_tokens_equal_those_of_transformers(name: str) -> None:
    golden = json.loads((MODELS / name / "golden.json").read_text())
    engine = opened(name).engine
    for number, case in enumerate(golden):
        messages = [Message(**message) for message in case["messages"]]
        asked = ChatRequest(messages=messages, temperature=0.0, max_tokens=40)
        engine.submit(f"{number}", asked)
    results = engine.run()
    for number, case in enumerate(golden):
        assert list(results[f"{number}"].tokens) == case["tokens"]
        assert results[f"{number}"].prompt_tokens == len(case["prompt"])


@pytest.mark.parametrize("name", NAMES)
def test_prompts_equal_those_of_transformers(name: str) -> None:
    folder = read_folder(MODELS / name)
    assert folder.chat_template is not None
    template = ChatTemplate(folder.chat_template, folder.special)
    tokenizer = Tokenizer(folder.tokenizer)
    for case in json.loads((MODELS / name / "golden.json").read_text()):
        assert tokenizer.encode(template.render(case["messages"])) == case["prompt"]
