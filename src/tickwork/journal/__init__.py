"""The run file: one SQLite database that holds everything a replay needs. See docs/reference/run-file.md."""
