"""`tickwork doctor`: what this machine can do, and what to do about the rest."""

from typing import Annotated

import typer

from tickwork.cli.console import print_json, print_line
from tickwork.runtime.diagnosis import diagnose

_EXIT_FAILED = 1


def doctor(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON object.")] = False,
) -> None:
    """Check that this machine has what tickwork needs."""
    findings = []
    for finding in diagnose():
        findings.append(finding)
        if not json:
            print_line(f"{finding.level:<8} {finding.what:<14} {finding.text}")
    failed = any(finding.level == "failed" for finding in findings)
    if json:
        print_json({"ok": not failed, "findings": [finding._asdict() for finding in findings]})
    if failed:
        raise typer.Exit(_EXIT_FAILED)
