"""Which Python guest this version of tickwork runs. Written by sdk/python/pin.py; a run depends on it."""

# What the guest is built from: tickwork_agent, the application, steady.c, the WIT, the builder's version.
SOURCES = "3da7b0cb401fca975d0a035cef024c58443d0b0f3d3275e4c939fea05cd79eeb"
# The component itself.
GUEST = "589c7d2bad8bd600e45bc9aafe649e37c1d1c50574e0aadc8ae8c20a33fded2d"
