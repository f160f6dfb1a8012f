"""The files that make up a model: which paths may be read, and the hash that names the whole.

A model's folder was made by somebody else. A name in it may not lead out; a link may, but only as downloads
from Hugging Face lay them: from `snapshots/REVISION/` into the `blobs/` beside it.
"""

from collections.abc import Iterable
from pathlib import Path

from blake3 import blake3

from tickwork.inference.errors import ModelError

_CONTEXT = "tickwork 1 model folder"


def inside(folder: Path, file: Path) -> Path:
    """Return `file` if it is a file of `folder`; raises ModelError if it is missing or lies elsewhere."""
    if not file.is_file():
        raise ModelError(f"{folder} has no file {file.name}, which its configuration names")
    real = folder.resolve()
    homes = [real]
    if real.parent.name == "snapshots":
        homes.append(real.parent.parent / "blobs")
    if (
        not any(file.resolve().is_relative_to(home) for home in homes)
        or ".." in file.relative_to(folder).parts
    ):
        raise ModelError(f"{file} lies outside of {folder}; a model's files must be in its folder")
    return file


def content_hash(folder: Path, files: Iterable[Path]) -> str:
    """Return the BLAKE3 (hex) over the names, relative to `folder`, and the bytes of `files`.

    Neither their order nor their times count; raises ModelError naming a file that cannot be read.
    """
    total = blake3(derive_key_context=_CONTEXT)
    for file in sorted(set(files)):
        name = file.relative_to(folder).as_posix().encode()
        total.update(len(name).to_bytes(4, "little") + name + file_hash(file))
    return total.hexdigest()


def file_hash(file: Path) -> bytes:
    """Return the BLAKE3 of a file's bytes; raises ModelError if it cannot be read."""
    try:
        return blake3(max_threads=blake3.AUTO).update_mmap(str(file)).digest()
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror or error}") from error
