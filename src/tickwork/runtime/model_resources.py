"""What models may take of this machine: a matter of the machine, so not of the manifest."""

import os
import re

from tickwork.core.errors import InputError

_BYTES = "TICKWORK_MODEL_BYTES"
_SPIN = "TICKWORK_MODEL_SPIN"
_ONE = re.compile(r"([a-z]+)=([1-9][0-9]{0,17})")


def model_budgets() -> dict[str, int]:
    """Return the bytes by provider that TICKWORK_MODEL_BYTES names; `InputError` if it has another form.

    Whether there are such providers is not asked here.
    """
    text = os.environ.get(_BYTES, "")
    budgets: dict[str, int] = {}
    for part in text.split(",") if text else ():
        found = _ONE.fullmatch(part.strip())
        if found is None or found[1] in budgets:
            raise InputError(
                f"{_BYTES} is {text!r}; it has the form cpu=8000000000,cuda=20000000000, each name once"
            )
        budgets[found[1]] = int(found[2])
    return budgets


def models_spin() -> bool:
    """Return whether TICKWORK_MODEL_SPIN lets models' threads wait busily; `InputError` for another value."""
    text = os.environ.get(_SPIN, "0")
    if text not in {"0", "1"}:
        raise InputError(f"{_SPIN} is {text!r}; it is 1 for threads of models that wait busily, or 0")
    return text == "1"
