"""Inference inside the runtime: local models, the same bits for a request whoever shares its batch."""
