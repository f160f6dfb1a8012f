"""Builds the kernel, the one part in C. Without a C compiler the package still works, by the inline pool."""

import sys
from pathlib import Path

from setuptools import Extension, setup

KERNEL = Path("src/tickwork/pool/kernel")

if sys.platform == "win32":
    COMPILE = ["/O2", "/std:c11", "/experimental:c11atomics"]
    LINK = ["synchronization.lib"]
else:
    COMPILE = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes"]
    LINK = ["-pthread"]

setup(
    ext_modules=[
        Extension(
            "tickwork.pool._kernel",
            sources=sorted(str(path) for path in KERNEL.glob("*.c")),
            depends=sorted(str(path) for path in KERNEL.glob("*.h")),
            extra_compile_args=COMPILE,
            extra_link_args=LINK,
            optional=True,
        )
    ]
)
