"""Runs for other tools: Perfetto, Parquet, JSON lines and OpenTelemetry, written while the run is retold."""
