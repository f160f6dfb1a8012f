"""Makes an ONNX model that can be served freely of the weights of a language model.

By onnxruntime-genai's builder, in a process of its own, with the options whose models were found to give the
same bits in any company: 8-bit arithmetic (`accuracy_level=4`) in blocks of 32 numbers for int4 and int8.
"""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tickwork.core.errors import HostError, InputError
from tickwork.inference.errors import ModelError

PRECISIONS = ("int4", "int8", "fp32")
_MODULES = ("onnxruntime_genai", "onnx", "onnx_ir", "torch", "transformers")
_QUANTISED = ("accuracy_level=4", "block_size=32")
_TAIL_LINES = 5


def build(source: str, target: Path, precision: str) -> None:
    """Make a model folder at `target`, which must not be there, of a folder or a hub id.

    Raises InputError if something is not installed or cannot be asked for, ModelError if the folder holds no
    such weights, HostError with the builder's last words if it fails.
    """
    if precision not in PRECISIONS:
        raise InputError(f"there is no precision {precision!r}; choose {', '.join(PRECISIONS)}")
    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"building a model needs {', '.join(missing)}; install what it takes (1 GB and more, most of it "
            "torch) with: pip install 'tickwork[build-models]'"
        )
    folder = Path(source)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ModelError(f"{source} has no config.json; name the folder that transformers would load")
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += ["-i" if folder.is_dir() else "-m", source, "-o", str(target), "-p", precision, "-e", "cpu"]
    with tempfile.TemporaryDirectory(prefix="tickwork-build-") as scratch:
        command += ["-c", scratch]
        if precision != "fp32":
            command += ["--extra_options", *_QUANTISED]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_TAIL_LINES:])
        raise HostError(f"the builder ended with {done.returncode}:\n{last}")
