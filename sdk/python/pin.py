"""Build the Python guest and pin it: run after a change to what it is built from.

Builds twice, in different places, and writes src/tickwork/guest/python_pin.py if both builds are the same.
"""

import sys
import tempfile
from pathlib import Path

from tickwork.core.digest import content_hash
from tickwork.guest import python_pin
from tickwork.guest.python_builder import build, sources_hash


def main() -> int:
    """Return 0 if the pin was written or was right already."""
    guests = []
    for _ in range(2):
        with tempfile.TemporaryDirectory(prefix="tickwork-pin-") as scratch:
            guests.append(content_hash(build(Path(scratch))))
    if guests[0] != guests[1]:
        sys.stderr.write(f"two builds differ: {guests[0]} and {guests[1]}; nothing was pinned\n")
        return 1
    path = Path(python_pin.__file__)
    text = path.read_text()
    for name, now in (("SOURCES", sources_hash()), ("GUEST", guests[0])):
        text = text.replace(f'{name} = "{getattr(python_pin, name)}"', f'{name} = "{now}"')
    path.write_text(text)
    sys.stdout.write(f"pinned {guests[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
