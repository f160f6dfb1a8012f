"""Downloads a model's files from Hugging Face, and no more of them than the model needs.

Done by huggingface_hub, with its own settings (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE). Names on the hub were
given by somebody else: one that would leave the folder is refused before anything is fetched.
"""

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from tickwork.core.errors import HostError, InputError
from tickwork.inference.errors import ModelError, one_line

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_BESIDE_THE_GRAPH = (".json", ".jinja")
_FILES_MAX = 100_000


def is_hub_id(text: str) -> bool:
    """Return whether `text` has the form ORGANISATION/MODEL."""
    return _ID.fullmatch(text) is not None


def download(hub_id: str, target: Path, variant: str = "", revision: str = "") -> None:
    """Fetch the model's graph of that variant, its weights and its configuration into `target`.

    Raises InputError if huggingface_hub is missing, ModelError if the model is not there or has no such
    graph, and HostError if the hub cannot be reached; each says what to do.
    """
    if find_spec("huggingface_hub") is None:
        raise InputError(
            f"to download {hub_id}, install huggingface_hub with: pip install 'tickwork[models]'; "
            + _by_hand(hub_id)
        )
    hub: Any = import_module("huggingface_hub")
    errors: Any = import_module("huggingface_hub.errors")
    import_module("huggingface_hub.utils.logging").set_verbosity_error()
    if not sys.stderr.isatty():
        import_module("huggingface_hub.utils").disable_progress_bars()
    asked = revision or None
    try:
        names = hub.HfApi().list_repo_files(hub_id, revision=asked)
        wanted = wanted_files(hub_id, names, variant)
        hub.snapshot_download(hub_id, revision=asked, local_dir=target, allow_patterns=_literally(wanted))
    except ModelError:
        raise
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        raise ModelError(f"{hub_id} is not on the hub, or not for everybody: {one_line(error)}") from error
    except Exception as error:  # whatever the network and its libraries throw
        raise HostError(f"{hub_id} could not be downloaded: {one_line(error)}; {_by_hand(hub_id)}") from error


def wanted_files(hub_id: str, names: Sequence[str], variant: str) -> list[str]:
    """Return which of a repository's files make up the model, sorted; raises ModelError."""
    if len(names) > _FILES_MAX:
        raise ModelError(f"{hub_id} has more than {_FILES_MAX} files")
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
            raise ModelError(
                f"{hub_id} has a file named {name!r}, which leads out of its folder; do not use it"
            )
    graph = f"model_{variant}.onnx" if variant else "model.onnx"
    found = next((name for name in (f"onnx/{graph}", graph) if name in names), None)
    if found is None:
        there = ", ".join(sorted(name for name in names if name.endswith(".onnx"))) or "no .onnx file"
        raise ModelError(
            f"{hub_id} has no {graph}; it has {there}. Choose one with --variant, or make a graph of its "
            "weights with: tickwork models build"
        )
    # Weights lie beside their graph as model.onnx.data, model.onnx_data, model.onnx_data_1 and so on.
    graphs = [name for name in names if name == found or name.startswith((f"{found}.", f"{found}_"))]
    beside = [name for name in names if "/" not in name and name.endswith(_BESIDE_THE_GRAPH)]
    pooling = [name for name in names if name.endswith("_Pooling/config.json") and name.count("/") == 1]
    return sorted({*graphs, *beside, *pooling})


def _literally(names: Sequence[str]) -> list[str]:
    """Return patterns that match just these names."""
    return [re.sub(r"([*?[])", r"[\1]", name) for name in names]


def _by_hand(hub_id: str) -> str:
    return (
        f"without a connection, download it elsewhere (hf download {hub_id} --local-dir FOLDER), bring the "
        "folder here, and run: tickwork models add FOLDER"
    )
