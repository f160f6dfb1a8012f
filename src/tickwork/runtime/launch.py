"""How a run was started, kept in its file so that it can be gone on with. No digest depends on it."""

from pathlib import Path

import msgspec

from tickwork.core.spec import RunSpec
from tickwork.journal.retention import KeepAll, KeepLast, Policy, Thin
from tickwork.journal.writer import Durability
from tickwork.runtime.model_place import ModelPlace
from tickwork.runtime.places import STREAM
from tickwork.runtime.project import Project
from tickwork.runtime.schedule import DEFAULT_SHARE, SnapshotSettings


class Launch(msgspec.Struct, frozen=True):
    """A project without its specification and modules. Paths are absolute; `keep` is -1 for thinning out."""

    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    ticks: int | None = None
    until_idle: bool = True
    stop_at_bad_input: bool = False
    durability: str = Durability.GROUP
    snapshot_every: int | None = None
    snapshot_share: float = DEFAULT_SHARE
    keep: int | None = None
    models: dict[str, ModelPlace] = {}
    note: str = ""


_THIN = -1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Launch).decode


def launch_of(project: Project) -> bytes:
    """Return a project's launch, encoded."""
    settings = project.snapshots
    return _encode(
        Launch(
            inputs={name: _absolute(path) for name, path in project.inputs.items()},
            outputs={name: _absolute(path) for name, path in project.outputs.items()},
            ticks=project.ticks,
            until_idle=project.until_idle,
            stop_at_bad_input=project.stop_at_bad_input,
            durability=project.durability,
            snapshot_every=settings.every,
            snapshot_share=settings.share,
            keep=_kept(settings.keep),
            models=dict(project.models),
            note=project.note,
        )
    )


def project_of(spec: RunSpec, launch: bytes) -> Project:
    """Return the project that a run file's specification and launch make; its modules stay in the file.

    A launch that cannot be read (of a file of another version) counts as one without inputs and outputs.
    """
    try:
        found = _decode(launch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = Launch()
    inputs = {item.name for item in spec.inputs}
    keep: Policy = KeepAll()
    if found.keep is not None:
        keep = Thin() if found.keep == _THIN else KeepLast(max(found.keep, 1))
    known = found.durability in set(Durability)
    return Project(
        spec=spec,
        modules={},
        inputs={name: path for name, path in found.inputs.items() if name in inputs},
        outputs={name: path for name, path in found.outputs.items() if name in spec.outputs},
        ticks=found.ticks,
        until_idle=found.until_idle,
        stop_at_bad_input=found.stop_at_bad_input,
        durability=Durability(found.durability) if known else Durability.GROUP,
        models={model.name: found.models[model.name] for model in spec.models if model.name in found.models},
        snapshots=SnapshotSettings(found.snapshot_every, found.snapshot_share, keep),
        note=found.note,
    )


def _absolute(path: str) -> str:
    return path if path == STREAM else str(Path(path).absolute())


def _kept(policy: Policy) -> int | None:
    match policy:
        case KeepAll():
            return None
        case KeepLast(count):
            return count
        case Thin():
            return _THIN
