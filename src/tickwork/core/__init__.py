"""The pure core: what happens in a tick, and nothing that touches the outside.

No module here does I/O, reads a clock, draws randomness or starts a thread; import-linter holds it to that.
"""
