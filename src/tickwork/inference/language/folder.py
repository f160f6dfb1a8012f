"""Reads a model's folder, in the two layouts that exist in the wild.

- onnxruntime-genai's builder: `genai_config.json` beside `model.onnx`, tokenizer files in the same folder.
- Hugging Face (optimum, onnx-community): `config.json`, tokenizer files, and the graph in `onnx/` or beside
  them as `model.onnx`, `model_q4.onnx` and so on; `variant` picks one.

Everything in the folder was made by somebody else: each value is checked, and no name leads out of it.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from tickwork.inference.contents import inside
from tickwork.inference.errors import ModelError

_CONFIG_BYTES_MAX = 64 << 20
_LAYERS_MAX, _HEADS_MAX, _HEAD_SIZE_MAX, _CONTEXT_MAX, _VOCAB_MAX = 1_000, 1_024, 4_096, 1 << 24, 1 << 22
_TOKENIZER = "tokenizer.json"
_CONFIGURATIONS = (
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "genai_config.json",
    "generation_config.json",
    "tokenizer_config.json",
)


class ModelFolder(msgspec.Struct, frozen=True):
    """What a folder says about its model.

    `past_names` and `present_names` pair up, one key and one value for each layer. `special` has the texts of
    the tokens that chat templates name (`bos_token`, `eos_token`, ...).
    """

    path: Path
    graph: Path
    layers: int
    kv_heads: int
    head_size: int
    context_tokens: int
    past_names: tuple[str, ...]
    present_names: tuple[str, ...]
    input_ids: str
    attention_mask: str
    position_ids: str
    logits: str
    end_ids: tuple[int, ...]
    tokenizer: Path
    special: dict[str, str]
    chat_template: str | None


def read_folder(path: Path, variant: str = "") -> ModelFolder:
    """Return what the folder at `path` holds; raises ModelError naming the file, the key and the fix.

    `variant` picks among a Hugging Face folder's graphs: "q4" means `model_q4.onnx`, "" means `model.onnx`.
    """
    if not path.is_dir():
        raise ModelError(f"{path} is not a folder; name the folder that holds the model's files")
    tokenizer = path / _TOKENIZER
    if not tokenizer.is_file():
        raise ModelError(f"{path} has no {_TOKENIZER}; copy it from the model that the graph was made from")
    if (path / "genai_config.json").is_file():
        if variant:
            raise ModelError(f'{path} is a builder folder with one graph; remove the variant "{variant}"')
        return _read_genai(path, tokenizer)
    if (path / "config.json").is_file():
        return _read_hugging_face(path, tokenizer, variant)
    raise ModelError(
        f"{path} has neither genai_config.json (onnxruntime-genai's builder) nor config.json (Hugging Face)"
    )


def folder_files(folder: ModelFolder, external_files: Iterable[str]) -> list[Path]:
    """Return the files that make the model up, sorted; raises ModelError if one is missing or elsewhere.

    `external_files` are those beside the graph that hold its weights, as the graph names them.
    """
    optional = [folder.path / name for name in _CONFIGURATIONS if (folder.path / name).is_file()]
    files = [folder.graph, folder.tokenizer, *optional]
    files += [folder.graph.parent / name for name in external_files]
    return sorted({inside(folder.path, file) for file in files})


def _read_genai(path: Path, tokenizer: Path) -> ModelFolder:
    config = _Json(path / "genai_config.json")
    model = config.table("model")
    decoder = model.table("decoder")
    inputs, outputs = decoder.table("inputs"), decoder.table("outputs")
    layers = decoder.integer("num_hidden_layers", 1, _LAYERS_MAX)
    past = (inputs.text("past_key_names"), inputs.text("past_value_names"))
    present = (outputs.text("present_key_names"), outputs.text("present_value_names"))
    own = _optional(path / "tokenizer_config.json")
    return ModelFolder(
        path=path,
        graph=inside(path, path / decoder.text("filename")),
        layers=layers,
        kv_heads=decoder.integer("num_key_value_heads", 1, _HEADS_MAX),
        head_size=decoder.integer("head_size", 1, _HEAD_SIZE_MAX),
        context_tokens=model.integer("context_length", 1, _CONTEXT_MAX),
        past_names=_numbered(past, layers, inputs),
        present_names=_numbered(present, layers, outputs),
        input_ids=inputs.text("input_ids"),
        attention_mask=inputs.text("attention_mask"),
        position_ids=inputs.text("position_ids", "position_ids"),
        logits=outputs.text("logits"),
        end_ids=model.integers("eos_token_id", 0, _VOCAB_MAX),
        tokenizer=tokenizer,
        special=_special(own),
        chat_template=_chat_template(path, own),
    )


def _read_hugging_face(path: Path, tokenizer: Path, variant: str) -> ModelFolder:
    config = _Json(path / "config.json")
    name = f"model_{variant}.onnx" if variant else "model.onnx"
    if "/" in name or "\\" in name:
        raise ModelError(f'variant "{variant}" is not a name such as "q4"')
    graph = next((path / part / name for part in ("onnx", ".") if (path / part / name).is_file()), None)
    if graph is None:
        there = sorted(file.name for part in ("onnx", ".") for file in (path / part).glob("*.onnx"))
        raise ModelError(f"{path} has no {name}; it has {', '.join(there) or 'no .onnx file'}")
    layers = config.integer("num_hidden_layers", 1, _LAYERS_MAX)
    heads = config.integer("num_attention_heads", 1, _HEADS_MAX)
    if config.has("head_dim"):
        head_size = config.integer("head_dim", 1, _HEAD_SIZE_MAX)
    else:
        head_size = config.integer("hidden_size", 1, _HEADS_MAX * _HEAD_SIZE_MAX) // heads
    generation = _optional(path / "generation_config.json")
    ends = generation if generation is not None and generation.has("eos_token_id") else config
    own = _optional(path / "tokenizer_config.json")
    return ModelFolder(
        path=path,
        graph=inside(path, graph),
        layers=layers,
        kv_heads=config.integer("num_key_value_heads", 1, _HEADS_MAX)
        if config.has("num_key_value_heads")
        else heads,
        head_size=head_size,
        context_tokens=config.integer("max_position_embeddings", 1, _CONTEXT_MAX),
        past_names=_numbered(("past_key_values.%d.key", "past_key_values.%d.value"), layers, config),
        present_names=_numbered(("present.%d.key", "present.%d.value"), layers, config),
        input_ids="input_ids",
        attention_mask="attention_mask",
        position_ids="position_ids",
        logits="logits",
        end_ids=ends.integers("eos_token_id", 0, _VOCAB_MAX) if ends.has("eos_token_id") else (),
        tokenizer=tokenizer,
        special=_special(own),
        chat_template=_chat_template(path, own),
    )


class _Json:
    """A JSON object whose values are asked for by type; every complaint names the file and the key."""

    def __init__(self, path: Path, value: dict[str, Any] | None = None, at: str = "") -> None:
        self._path = path
        self._at = at
        self._value = _parse(path) if value is None else value

    def has(self, key: str) -> bool:
        return self._value.get(key) is not None

    def value(self, key: str) -> Any:
        return self._value.get(key)

    def fault(self, key: str, reason: str) -> ModelError:
        return ModelError(f"{self._path}: {self._at}{key} {reason}")

    def table(self, key: str) -> "_Json":
        value = self._value.get(key)
        if not isinstance(value, dict):
            raise self.fault(key, "must be an object")
        return _Json(self._path, value, f"{self._at}{key}.")

    def text(self, key: str, default: str | None = None) -> str:
        value = self._value.get(key, default)
        if not isinstance(value, str) or not value:
            raise self.fault(key, "must be a text")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value = self._value.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fault(key, f"must be a whole number from {low} to {high}")
        return value

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        value = self._value.get(key)
        found = value if isinstance(value, list) else [value]
        for one in found:
            if not isinstance(one, int) or isinstance(one, bool) or not low <= one <= high:
                raise self.fault(key, f"must be a whole number from {low} to {high}, or a list of them")
        return tuple(found)


def _parse(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _CONFIG_BYTES_MAX:
            raise ModelError(f"{path} is larger than {_CONFIG_BYTES_MAX} bytes, which no configuration is")
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} must hold a JSON object")
    return value


def _optional(path: Path) -> _Json | None:
    return _Json(path) if path.is_file() else None


def _numbered(patterns: tuple[str, str], layers: int, config: _Json) -> tuple[str, ...]:
    for pattern in patterns:
        if pattern.count("%") != 1 or "%d" not in pattern:
            raise config.fault(pattern, "must hold %d once, for the layer")
    return tuple(pattern.replace("%d", str(layer)) for layer in range(layers) for pattern in patterns)


def _special(config: _Json | None) -> dict[str, str]:
    """Return the special tokens' texts; a token is a text, or an object with its text as `content`."""
    found: dict[str, str] = {}
    for key in ("bos_token", "eos_token", "pad_token", "unk_token"):
        value = config.value(key) if config is not None else None
        if isinstance(value, dict):
            value = value.get("content")
        if isinstance(value, str):
            found[key] = value
    return found


def _chat_template(path: Path, config: _Json | None) -> str | None:
    """Return the template from where it may stand: its own file, or the tokenizer's configuration."""
    file = path / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise ModelError(f"{file} is not readable text: {error}") from error
    for config_file in (config, _optional(path / "chat_template.json")):
        value = config_file.value("chat_template") if config_file is not None else None
        if isinstance(value, list):
            named = {one.get("name"): one.get("template") for one in value if isinstance(one, dict)}
            value = named.get("default")
        if isinstance(value, str):
            return value
    return None
