"""A text's vector is pooled from its own tokens alone, as its model's folder says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from plain_models import PLAIN, answered, asked, engine_of, values, verdict_of

from tickwork.inference.errors import ModelError
from tickwork.inference.language.response import Failure
from tickwork.inference.plain.load import load_plain
from tickwork.inference.plain.pooling import Pooling


@pytest.mark.parametrize("how", ["mean", "first", "last"])
@pytest.mark.parametrize("unit", [False, True])
def test_pooling_takes_each_row_by_its_own_mask(how: str, unit: bool) -> None:
    request = asked(
        input_ids=np.array([[5, 6, 7], [8, 9, 1]]), attention_mask=np.array([[1, 1, 0], [1, 1, 1]])
    )
    vectors = values(answered(engine_of("embedding"), request), "last_hidden_state").astype(np.float64)
    pooling = Pooling("last_hidden_state", "attention_mask", how, unit)  # type: ignore[arg-type]
    pooled = values(answered(engine_of("embedding", pooling=(pooling,)), request), "last_hidden_state")
    kept = [vectors[0, :2], vectors[1]]
    wanted = {
        "mean": [k.mean(axis=0) for k in kept],
        "first": [k[0] for k in kept],
        "last": [k[-1] for k in kept],
    }
    rows = np.stack(wanted[how])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) if unit else rows
    assert np.allclose(pooled, rows, atol=1e-6)


def _sentence_model(tmp_path: Path, modules: object, config: object) -> Path:
    """Return a folder as sentence-transformers lays it out."""
    folder = tmp_path / "sentences"
    (folder / "1_Pooling").mkdir(parents=True)
    shutil.copy(PLAIN / "embedding" / "model.onnx", folder)
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    return folder


MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]


@pytest.mark.parametrize(
    ("mode", "how"),
    [("mean_tokens", "mean"), ("cls_token", "first"), ("lasttoken", "last")],
)
@pytest.mark.parametrize("unit", [False, True])
def test_pooling_is_read_from_the_folder_and_part_of_the_models_hash(
    tmp_path: Path, mode: str, how: str, unit: bool
) -> None:
    config = {"word_embedding_dimension": 24, "pooling_mode_max_tokens": False, f"pooling_mode_{mode}": True}
    folder = _sentence_model(tmp_path, MODULES if unit else MODULES[:2], config)
    loaded = load_plain(folder, verdict=verdict_of("embedding"))
    request = asked(input_ids=np.array([[5, 6, 7]]), attention_mask=np.array([[1, 1, 0]]))
    pooling = Pooling("last_hidden_state", "attention_mask", how, unit)  # type: ignore[arg-type]
    expected = answered(engine_of("embedding", pooling=(pooling,)), request)
    assert values(answered(loaded.engine, request), "last_hidden_state").tobytes() == (
        values(expected, "last_hidden_state").tobytes()
    )
    assert loaded.hash != load_plain(PLAIN / "embedding", verdict=verdict_of("embedding")).hash


@pytest.mark.parametrize(
    ("modules", "config", "words"),
    [
        (MODULES, {"pooling_mode_max_tokens": True}, "pools by pooling_mode_max_tokens; what can be done"),
        (MODULES, {}, "pools by nothing"),
        (
            MODULES,
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
            "pools by pooling_mode_cls",
        ),
        (MODULES, [], r"config\.json is not readable as what it should be"),
        ({"a": 1}, {}, r"modules\.json is not readable as what it should be"),
        ([{"type": "x.Pooling", "path": "../1_Pooling"}], {}, "has no file config.json"),
        ([{"type": "x.Pooling", "path": "/etc"}], {}, "has no file config.json"),
    ],
)
def test_a_pooling_that_cannot_be_done_is_refused_with_its_file(
    tmp_path: Path, modules: object, config: object, words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        load_plain(_sentence_model(tmp_path, modules, config))


def test_a_graph_that_pools_by_itself_is_left_alone(tmp_path: Path) -> None:
    folder = _sentence_model(tmp_path, MODULES, {"pooling_mode_mean_tokens": True})
    shutil.copy(PLAIN / "embedding-pooled" / "model.onnx", folder)
    assert load_plain(folder, verdict=verdict_of("embedding-pooled")).engine._pooling == {}


def test_a_folder_that_only_lists_a_transformer_is_not_pooled(tmp_path: Path) -> None:
    folder = _sentence_model(tmp_path, MODULES[:1], {})
    loaded = load_plain(folder, verdict=verdict_of("embedding"))
    assert loaded.engine._pooling == {}


def test_pooling_of_what_cannot_be_pooled_is_refused_at_load() -> None:
    for pooling in (Pooling("nothing"), Pooling("last_hidden_state", "input"), Pooling("label")):
        with pytest.raises(ModelError, match=r"cannot be pooled|is no mask"):
            engine_of("embedding", pooling=(pooling,))


def test_a_mask_that_leaves_nothing_fails_its_request() -> None:
    pooling = Pooling("last_hidden_state", "attention_mask")
    engine = engine_of("embedding", pooling=(pooling,))
    result = answered(engine, asked(input_ids=np.array([[5], [6]]), attention_mask=np.array([[1], [0]])))
    assert result == Failure(
        "only", "invalid_request", "attention_mask leaves nothing of row 1", "inputs.attention_mask"
    )


# ---- tensors as agents write them
