"""Benchmarks that an installed tickwork can run on its user's own machine: see `tickwork bench`."""
