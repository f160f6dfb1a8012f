"""Commands, one per file: parsing, tables, progress; no logic."""
