"""What somebody types first: version, help, a new project and what its README says, the demo, the doctor."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from shell_projects import echo_project, environment, tickwork, tickwork_here
from tickwork.guest.python_guest import python_guest

COMMANDS = ("new", "run", "replay", "inspect", "demo", "doctor")


@pytest.fixture(scope="module", autouse=True)
def _guest_is_built():
    python_guest()


def test_the_installed_command_and_the_module_are_one():
    installed = subprocess.run(
        [Path(sys.executable).with_name("tickwork"), "--version"], capture_output=True, text=True, check=True
    )
    assert installed.stdout == tickwork("--version").out == f"tickwork {version('tickwork')}\n"


def test_help_names_every_command_and_every_command_has_help():
    for call in ((), ("--help",)):
        done = tickwork_here(*call)
        said = done.out + done.err
        assert all(re.search(rf"^\s*{command} ", said, re.MULTILINE) for command in COMMANDS)
    assert tickwork_here("--help").code == 0
    assert tickwork_here().code == 2
    for command in COMMANDS:
        done = tickwork_here(command, "--help")
        assert (done.code, done.err) == (0, "")
        assert f"Usage: tickwork {command} " in done.out


def test_a_command_that_does_not_exist_is_a_mistake_in_the_usage():
    done = tickwork_here("rnu")
    assert (done.code, done.out) == (2, "")
    assert "No such command 'rnu'" in done.err


def test_a_new_project_does_what_its_readme_says(tmp_path):
    made = tickwork("new", "my-shop", cwd=tmp_path)
    assert (made.code, made.err) == (0, "")
    folder = tmp_path / "my-shop"
    assert made.out.endswith("\nnext: cd my-shop && tickwork run .\n")
    assert all((tmp_path / line.split()[1]).is_file() for line in made.out.splitlines() if "made " in line)
    readme = (folder / "README.md").read_text()
    typed = [line.strip().split("  ")[0].split() for line in readme.splitlines() if line.startswith("    ")]
    assert [command[:2] for command in typed] == [
        ["tickwork", "run"],
        ["tickwork", "replay"],
        ["tickwork", "inspect"],
        ["python", "-m"],
    ]
    for command in typed[:3]:
        done = tickwork(*command[1:], cwd=folder)
        assert done.code == 0, done.err
    tested = subprocess.run([sys.executable, *typed[3][1:]], cwd=folder, capture_output=True, check=False)
    assert tested.returncode == 0, tested.stderr
    report = [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]
    assert report == [
        {"tick": 3, "not sold here": "soup"},
        {"customer": "ada", "cents": 950},
        {"customer": "alan", "cents": 450},
        {"customer": "grace", "cents": 1070},
    ]
    again = tickwork_here("run", folder, "--out", folder / "my-shop.tick")
    assert again.code == 2
    assert "--force" in again.error


@pytest.mark.parametrize("name", ["-x y", "läden", "full"])
def test_a_project_that_cannot_be_made_is_one_message(tmp_path, name):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    done = tickwork_here("new", tmp_path / name)
    assert done.code == 2
    assert str(tmp_path / name) in done.error
    assert sorted(tmp_path.rglob("*")) == before


def test_the_demo_reports_and_replays_and_keeps_what_was_there(tmp_path):
    folder = tmp_path / "demo"
    done = tickwork("demo", "--out", folder)
    assert done.code == 0, done.err
    assert "triage: " in done.out
    assert "market: " in done.out
    assert done.out.count("\nidentical: ") == 2
    digests = re.findall(r"digest ([0-9a-f]{64})", done.out)
    assert len(digests) == 4
    assert digests[0::2] == digests[1::2]
    assert sorted(path.name for path in folder.iterdir()) == [
        *("accounts.jsonl", "deals.jsonl", "market.tick"),
        *("report.jsonl", "status.jsonl", "triage.tick"),
    ]
    again = tickwork_here("demo", "--out", folder)
    assert again.code == 2
    assert "--force" in again.err
    assert "Traceback" not in again.err
    (tmp_path / "file").touch()
    refused = tickwork_here("demo", "--out", tmp_path / "file")
    assert refused.code == 2
    assert f"cannot make the folder {tmp_path}/file" in refused.error


def test_the_demo_takes_other_tickets_from_a_pipe(tmp_path):
    ticket = '{"id":"T-1"}\nnonsense\n'
    done = tickwork("demo", "--out", tmp_path / "demo", "--input", "-", stdin=ticket)
    assert "input 'tickets', line 2" in done.err
    assert "Traceback" not in done.err
    assert "\nidentical: " in done.out


def test_the_doctor_finds_what_is_needed():
    done = tickwork("doctor", "--json")
    assert (done.code, done.err) == (0, "")
    findings = {finding["what"]: finding for finding in done.json["findings"]}
    assert done.json["ok"] is True
    assert {"python", "engine", "cache", "python guest", "c compiler", "rust compiler", "node"} <= set(
        findings
    )
    assert {finding["level"] for finding in findings.values()} <= {"ok", "missing"}
    assert all(finding["text"] for finding in findings.values())
    for_people = tickwork("doctor")
    assert for_people.code == 0
    assert len(for_people.out.splitlines()) == len(findings)


def test_a_wrong_python_guest_is_named_by_run_and_by_the_doctor(tmp_path):
    assert tickwork_here("new", tmp_path / "p").code == 0
    for content in (b"\0asm\1\0\0\0", None):
        wrong = tmp_path / "wrong.wasm"
        wrong.unlink(missing_ok=True)
        if content is not None:
            wrong.write_bytes(content)
        variables = environment(TICKWORK_PYTHON_GUEST=str(wrong))
        done = tickwork("run", tmp_path / "p", "--out", tmp_path / "x.tick", env=variables)
        assert done.code == 2
        assert f"TICKWORK_PYTHON_GUEST={wrong}" in done.error
        assert "unset" in done.error
        found = tickwork("doctor", "--json", env=variables)
        assert found.code == 1
        failed = [finding for finding in found.json["findings"] if finding["level"] == "failed"]
        assert [finding["what"] for finding in failed] == ["python guest"]
        assert str(wrong) in failed[0]["text"]


def test_a_cache_that_others_may_write_is_refused_with_the_fix(tmp_path):
    folder = tmp_path / "cache" / "tickwork"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    variables = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert tickwork_here("new", tmp_path / "p").code == 0
    done = tickwork("run", tmp_path / "p", "--out", tmp_path / "x.tick", env=variables)
    assert done.code == 1
    assert f"chmod go-w '{folder}'" in done.error
    found = tickwork("doctor", env=variables)
    assert found.code == 1
    assert "failed   cache" in found.out


def test_a_cache_that_cannot_be_made_costs_time_and_nothing_else(tmp_path):
    folder = echo_project(tmp_path / "p")
    usual = tickwork_here("run", folder, "--out", tmp_path / "a.tick", "--json").json
    variables = environment(XDG_CACHE_HOME="/dev/null")
    done = tickwork("run", folder, "--out", tmp_path / "b.tick", "--force", "--json", env=variables)
    assert (done.code, done.err) == (0, "")
    assert (done.json["digest"], done.json["exact"]) == (usual["digest"], usual["exact"])
