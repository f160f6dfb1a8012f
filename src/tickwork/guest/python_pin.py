"""Which Python guest this version of tickwork runs. Written by sdk/python/pin.py; a run depends on it."""

# What the guest is built from: tickwork_agent, the application, steady.c, the WIT, the builder's version.
SOURCES = "6c57e28e8850f4bc89ae0cea4835f92e83279f7f3c9656f7d7252ace93d5c84e"
# The component itself.
GUEST = "02196cdf1709011cb98306220f0f4d9e62e8c34dd6b7810e1eeeafa1420ad607"
