"""Finds the graph of a plain model in its folder, and the files that belong to it."""

from pathlib import Path
from typing import NamedTuple

from tickwork.inference.contents import inside
from tickwork.inference.errors import ModelError
from tickwork.inference.onnx_graph import Graph, read_graph

_PLACES = ("onnx", ".")


class PlainFolder(NamedTuple):
    """A plain model's graph. `files` are the graph and its weights, sorted."""

    path: Path
    graph_file: Path
    graph: Graph
    files: tuple[Path, ...]


def read_plain_folder(path: Path, variant: str = "") -> PlainFolder:
    """Return the plain model in the folder at `path`; raises ModelError naming the file and the fix."""
    file = find_graph(path, variant)
    graph = read_graph(file)
    weights = (inside(path, file.parent / name) for name in graph.external_files)
    return PlainFolder(path, file, graph, tuple(sorted({file, *weights})))


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
