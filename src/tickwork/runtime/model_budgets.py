"""How much memory models may take on this machine: a matter of the machine, so not of the manifest."""

import os
import re

from tickwork.core.errors import InputError

_VARIABLE = "TICKWORK_MODEL_BYTES"
_ONE = re.compile(r"([a-z]+)=([1-9][0-9]{0,17})")


def model_budgets() -> dict[str, int]:
    """Return the bytes by provider that TICKWORK_MODEL_BYTES names; `InputError` if it has another form.

    Whether there are such providers is not asked here.
    """
    text = os.environ.get(_VARIABLE, "")
    budgets: dict[str, int] = {}
    for part in text.split(",") if text else ():
        found = _ONE.fullmatch(part.strip())
        if found is None or found[1] in budgets:
            raise InputError(
                f"{_VARIABLE} is {text!r}; it has the form cpu=8000000000,cuda=20000000000, each name once"
            )
        budgets[found[1]] = int(found[2])
    return budgets
