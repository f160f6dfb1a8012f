"""What tests of exports do: export, inspect, and read what was written."""

import json
from pathlib import Path
from typing import Any

from shell_projects import tickwork_here
from tickwork.export.otel import SCHEMA

Rows = list[dict[str, Any]]


def exported(file: Path, to: Path, kind: str, *options: object) -> Path:
    done = tickwork_here("export", file, "--format", kind, "--out", to, *options)
    assert (done.code, done.out) == (0, ""), done.err
    return to


def inspected(file: Path, view: str) -> Rows:
    return tickwork_here("inspect", file, view, "--json").rows


def lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text().splitlines()]


def spans_of(path: Path) -> Rows:
    found = []
    for request in lines(path):
        (resource,) = request["resourceSpans"]
        (scoped,) = resource["scopeSpans"]
        assert resource["schemaUrl"] == scoped["schemaUrl"] == SCHEMA
        found += scoped["spans"]
    return found


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}
