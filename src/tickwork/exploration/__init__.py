"""Breaking a project on purpose: many runs without a run file, checks, campaigns, and shrinking."""
