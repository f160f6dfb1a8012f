"""Settings that every test shares.

Hypothesis profiles: `dev` looks for new failures at each run, `ci` draws the same examples every time, `soak`
searches for long. HYPOTHESIS_PROFILE names one; otherwise CI decides. A failure prints the seed and the
blob that bring it back.
"""

import os

from hypothesis import HealthCheck, Phase, settings

_SLOW_MACHINES = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "dev", max_examples=30, deadline=None, print_blob=True, suppress_health_check=_SLOW_MACHINES
)
settings.register_profile(
    "ci",
    max_examples=60,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=_SLOW_MACHINES,
    # Many laws break at once when a rule does, and shrinking each takes minutes: `dev` does that.
    phases=(Phase.explicit, Phase.generate),
)
settings.register_profile(
    "soak",
    max_examples=3_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=_SLOW_MACHINES,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))
