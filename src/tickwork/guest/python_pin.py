"""Which Python guest this version of tickwork runs. Written by sdk/python/pin.py; a run depends on it."""

# What the guest is built from: tickwork_agent, the application, steady.c, the WIT, the builder's version.
SOURCES = "d90ffcc7668942b2c3cc18103224290d64bccad27684a9d02858c91150c135d5"
# The component itself.
GUEST = "9d704d9631972ae16bfbf87654c35dd997379553f0140ce7eb5f72a0100980c1"
