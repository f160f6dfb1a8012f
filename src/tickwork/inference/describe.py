"""Says what kind of model a folder holds, and which of its files make it up."""

from pathlib import Path
from typing import Literal, NamedTuple

from tickwork.inference.language.folder import folder_files, read_folder
from tickwork.inference.onnx_graph import read_graph
from tickwork.inference.plain.folder import find_graph, read_plain_folder

Kind = Literal["language", "plain"]
_PAST = "past_key_values."


class Described(NamedTuple):
    """A model's folder. `files` are its model's, sorted; whatever else lies there does not count."""

    folder: Path
    kind: Kind
    variant: str
    files: tuple[Path, ...]


def describe(folder: Path, variant: str = "") -> Described:
    """Return what `folder` holds; raises ModelError if it is no model that can be served.

    A language model is one that onnxruntime-genai's builder made, or whose graph takes a past; anything
    else is a plain one.
    """
    if (folder / "genai_config.json").is_file() or _takes_past(folder, variant):
        read = read_folder(folder, variant)
        files = folder_files(read, read_graph(read.graph).external_files)
        return Described(folder, "language", variant, tuple(files))
    return Described(folder, "plain", variant, read_plain_folder(folder, variant).files)


def _takes_past(folder: Path, variant: str) -> bool:
    return any(name.startswith(_PAST) for name in read_graph(find_graph(folder, variant)).inputs)
