"""Which Python guest this version of tickwork runs. Written by sdk/python/pin.py; a run depends on it."""

# What the guest is built from: tickwork_agent, the application, steady.c, the WIT, the builder's version.
SOURCES = "5575bac12b7260ec029678c9a3a8491c5d66f8a11d09e2fde88fec147295d757"
# The component itself.
GUEST = "66119bc4685cceadc273ced1cc2e47d473de134dfe6d18b9d46e780c7a6f231f"
