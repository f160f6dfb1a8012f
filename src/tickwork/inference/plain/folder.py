"""Finds the graph of a plain model in its folder, and the files that belong to it.

Among these is how an embedding is pooled, as sentence-transformers writes it down: `modules.json` lists what
follows the graph, `1_Pooling/config.json` says how.
"""

from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec

from tickwork.inference.contents import inside
from tickwork.inference.errors import ModelError, one_line
from tickwork.inference.onnx_graph import Graph, read_graph
from tickwork.inference.plain.pooling import Pooling

_PLACES = ("onnx", ".")
_JSON_BYTES_MAX = 1 << 20
_MODULES = "modules.json"
_NORMALIZE = ".Normalize"
_MODE = "pooling_mode_"
_MODES: dict[str, Literal["mean", "first", "last"]] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_lasttoken": "last",
}


_Value = TypeVar("_Value")


class _Module(msgspec.Struct, frozen=True):
    type: str
    path: str = ""


class PlainFolder(NamedTuple):
    """A plain model's graph. `files` are the graph, its weights and its pooling's configuration, sorted."""

    path: Path
    graph_file: Path
    graph: Graph
    files: tuple[Path, ...]
    pooling: Pooling | None


def read_plain_folder(path: Path, variant: str = "") -> PlainFolder:
    """Return the plain model in the folder at `path`; raises ModelError naming the file and the fix."""
    file = find_graph(path, variant)
    graph = read_graph(file)
    weights = (inside(path, file.parent / name) for name in graph.external_files)
    pooling, written = _pooling(path)
    return PlainFolder(path, file, graph, tuple(sorted({file, *weights, *written})), pooling)


def find_graph(path: Path, variant: str = "") -> Path:
    """Return the graph: `model.onnx`, in the folder or in its `onnx/`, or the only one that is there.

    With a variant such as "q4" it is `model_q4.onnx`.
    """
    if not path.is_dir():
        raise ModelError(f"{path} is not a folder; name the folder that holds the model's files")
    name = f"model_{variant}.onnx" if variant else "model.onnx"
    if Path(name).name != name or "\\" in name or "\0" in name:
        raise ModelError(f'variant "{variant}" is not a name such as "q4"')
    there = sorted(file for place in _PLACES for file in (path / place).glob("*.onnx"))
    named = [file for file in there if file.name == name]
    if not named and not variant and len(there) == 1:
        named = there
    if not named:
        others = ", ".join(file.name for file in there) or "no .onnx file"
        raise ModelError(f"{path} has no {name}; it has {others}")
    return inside(path, named[0])


def _pooling(path: Path) -> tuple[Pooling | None, tuple[Path, ...]]:
    """Return how the folder says that its vectors are pooled, and the files that say it."""
    if not (path / _MODULES).is_file():
        return None, ()
    listed = inside(path, path / _MODULES)
    modules = _read(listed, list[_Module])
    config = next((path / one.path / "config.json" for one in modules if one.type.endswith(".Pooling")), None)
    if config is None:
        return None, ()
    config = inside(path, config)
    chosen = [
        key
        for key, value in _read(config, dict[str, object]).items()
        if key.startswith(_MODE) and value is True
    ]
    if len(chosen) != 1 or chosen[0] not in _MODES:
        raise ModelError(
            f"{config}: pools by {', '.join(chosen) or 'nothing'}; what can be done is one of "
            + ", ".join(_MODES)
        )
    unit = any(one.type.endswith(_NORMALIZE) for one in modules)
    return Pooling("last_hidden_state", "attention_mask", _MODES[chosen[0]], unit), (listed, config)


def _read(path: Path, kind: type[_Value]) -> _Value:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_JSON_BYTES_MAX + 1), type=kind)
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise ModelError(f"{path} is not readable as what it should be: {one_line(error)}") from error
