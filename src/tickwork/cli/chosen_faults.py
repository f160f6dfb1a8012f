"""The options by which `run` and `fork` are told what to break on purpose."""

from collections.abc import Callable
from pathlib import Path

from tickwork.core.errors import InputError
from tickwork.core.fault_plan import NO_FAULTS, FaultPlan
from tickwork.core.spec import RunSpec
from tickwork.manifest.fault_plan import load_faults


def chosen_faults(faults: Path | None, *, no_faults: bool) -> Callable[[RunSpec], FaultPlan] | None:
    """Return what reads the plan for a run that `--faults` or `--no-faults` asks for, None without both.

    It raises `ManifestError` for what the file says; this, `InputError` for both options at once.
    """
    if faults is not None and no_faults:
        raise InputError("--faults breaks something and --no-faults nothing; give one or the other")
    if faults is not None:
        return lambda spec: load_faults(faults, spec)
    return (lambda _: NO_FAULTS) if no_faults else None
