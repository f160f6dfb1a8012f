"""Which Python guest this version of tickwork runs. Written by sdk/python/pin.py; a run depends on it."""

# What the guest is built from: tickwork_agent, the application, steady.c, the WIT, the builder's version.
SOURCES = "936089430e5e38800be87056b324381f637a5918250af1f41f7fd5bc549f1b33"
# The component itself.
GUEST = "982b8174452b74a86f3df169dbd663f9facf8e6697555c10fcd34e6b1ff1f04c"
