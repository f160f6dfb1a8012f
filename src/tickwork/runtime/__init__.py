"""The shell around the pure core: record and replay, inputs and outputs."""
