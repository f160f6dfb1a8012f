"""One model is the same model in every layout in which models are found."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from model_folders import FREE, MODELS, answers, mixed_requests, verdict_of

from tickwork.inference.errors import ModelError
from tickwork.inference.language.engine import EngineSettings
from tickwork.inference.language.folder import read_folder
from tickwork.inference.language.load import LoadSettings, load
from tickwork.inference.providers import SessionSettings

REQUESTS = mixed_requests(6, seed=9)
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def hugging_face(builder: Path, folder: Path, variant: str = "", **changes: Any) -> Path:
    """Lay a builder's folder out as the models on Hugging Face are."""
    own = json.loads((builder / "genai_config.json").read_text())["model"]
    decoder = own["decoder"]
    config = {
        "num_hidden_layers": decoder["num_hidden_layers"],
        "num_attention_heads": decoder["num_attention_heads"],
        "num_key_value_heads": decoder["num_key_value_heads"],
        "hidden_size": decoder["hidden_size"],
        "max_position_embeddings": own["context_length"],
        "eos_token_id": own["eos_token_id"],
    } | changes
    (folder / "onnx").mkdir(parents=True)
    graph = folder / "onnx" / (f"model_{variant}.onnx" if variant else "model.onnx")
    shutil.copy(builder / "model.onnx", graph)
    shutil.copy(builder / "model.onnx.data", folder / "onnx")
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(builder / name, folder)
    return folder


def told(folder: Path, like: str, variant: str = "") -> dict[str, bytes]:
    settings = LoadSettings(
        variant=variant,
        context_tokens=400,
        session=SessionSettings(threads=1),
        engine=EngineSettings(digest_logits=True),
    )
    loaded = load(folder, settings, verdict_of(like), name="m")
    fingerprint = f"fp_{loaded.hash[:16]}".encode()
    return {key: body.replace(fingerprint, b"") for key, body in answers(loaded, REQUESTS, None).items()}


@pytest.mark.parametrize("name", FREE)
def test_a_graph_answers_alike_in_both_layouts(name: str, tmp_path: Path) -> None:
    plain = hugging_face(MODELS / name, tmp_path / "plain")
    variant = hugging_face(MODELS / name, tmp_path / "variant", variant="q4")
    expected = told(MODELS / name, name)
    assert told(plain, name) == expected
    assert told(variant, name, "q4") == expected


def test_the_graph_may_lie_beside_the_configuration(tmp_path: Path) -> None:
    folder = hugging_face(MODELS / "llama-int4", tmp_path / "flat")
    for file in (folder / "onnx").iterdir():
        file.rename(folder / file.name)
    assert told(folder, "llama-int4") == told(MODELS / "llama-int4", "llama-int4")


def test_the_size_of_a_head_is_given_or_follows(tmp_path: Path) -> None:
    given = hugging_face(MODELS / "llama-int4", tmp_path / "given", head_dim=16, hidden_size=None)
    assert read_folder(given).head_size == 16
    everybody = hugging_face(MODELS / "phi3-int4", tmp_path / "all", num_key_value_heads=None)
    assert read_folder(everybody).kv_heads == 4


def test_the_ends_are_those_of_the_generation_configuration(tmp_path: Path) -> None:
    folder = hugging_face(MODELS / "llama-int4", tmp_path / "m")
    assert read_folder(folder).end_ids == (4,)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 4]}')
    assert read_folder(folder).end_ids == (2, 4)
    (folder / "generation_config.json").write_text("{}")
    assert read_folder(folder).end_ids == (4,)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"chat_template.jinja": TEMPLATE}, TEMPLATE),
        ({"tokenizer_config.json": {"chat_template": TEMPLATE}}, TEMPLATE),
        (
            {
                "tokenizer_config.json": {
                    "chat_template": [
                        {"name": "tool_use", "template": "no"},
                        {"name": "default", "template": TEMPLATE},
                    ]
                }
            },
            TEMPLATE,
        ),
        ({"chat_template.json": {"chat_template": TEMPLATE}}, TEMPLATE),
        ({"chat_template.jinja": TEMPLATE, "tokenizer_config.json": {"chat_template": "no"}}, TEMPLATE),
        ({}, None),
        ({"tokenizer_config.json": {"chat_template": [{"name": "tool_use", "template": "no"}]}}, None),
    ],
)
def test_the_chat_template_is_found_wherever_it_may_stand(
    files: dict[str, Any], found: str | None, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(MODELS / "llama-int4", tmp_path / "m"))
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").unlink()
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    assert read_folder(folder).chat_template == found


def test_special_tokens_are_texts_or_objects(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MODELS / "llama-int4", tmp_path / "m"))
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False}, "pad_token": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert read_folder(folder).special == {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize("variant", ["../model", "a/b", "a\\b"])
def test_a_variant_leads_nowhere_else(variant: str, tmp_path: Path) -> None:
    folder = hugging_face(MODELS / "llama-int4", tmp_path / "m")
    with pytest.raises(ModelError, match="is not a name"):
        read_folder(folder, variant)
