"""What a run writes where: nothing is overwritten unasked, and nothing left by a run that did not begin."""

import ctypes
import os
import resource
import subprocess
import threading

import pytest

from shell_projects import LINES, SLOW, echo_project, entries_of, project, tickwork, tickwork_here
from tickwork import load, record, replay

OLD = b"precious\n"
EXPECTED = "\n".join(LINES) + "\n"


@pytest.fixture
def folder(tmp_path):
    return echo_project(tmp_path / "p")


def test_nothing_is_overwritten_without_force(tmp_path, folder):
    file, output = tmp_path / "x.tick", folder / "out.jsonl"
    output.write_bytes(OLD)
    before = entries_of(tmp_path)
    done = tickwork_here("run", folder, "--out", file)
    assert done.code == 2
    assert f"output 'out': {output} exists; use --force" in done.error
    assert entries_of(tmp_path) == before

    output.unlink()
    file.write_bytes(OLD)
    before = entries_of(tmp_path)
    done = tickwork_here("run", folder, "--out", file)
    assert done.code == 2
    assert f"{file}: exists already" in done.error
    assert "--force" in done.error
    assert entries_of(tmp_path) == before


def test_force_overwrites_the_run_file_and_the_outputs(tmp_path, folder):
    file, output = tmp_path / "x.tick", folder / "out.jsonl"
    file.write_bytes(OLD)
    output.write_bytes(OLD * 1000)
    assert tickwork_here("run", folder, "--out", file, "--force").code == 0
    assert output.read_text() == EXPECTED
    assert tickwork_here("replay", file).code == 0


def test_a_refused_second_output_leaves_the_first_as_it_was(tmp_path):
    folder = echo_project(tmp_path / "p", more='[outputs.second]\npath = "gone/second.jsonl"')
    done = tickwork_here("run", folder, "--out", tmp_path / "x.tick")
    assert done.code == 2
    assert "output 'second': cannot write" in done.error
    assert "out.jsonl" not in entries_of(folder)

    (folder / "out.jsonl").write_bytes(OLD)
    before = entries_of(tmp_path)
    assert tickwork_here("run", folder, "--out", tmp_path / "x.tick", "--force").code == 2
    assert entries_of(tmp_path) == before


@pytest.mark.parametrize("place", ["gone/x.tick", "p"])
def test_a_refused_run_file_leaves_the_outputs_as_they_were(tmp_path, folder, place):
    (folder / "out.jsonl").write_bytes(OLD)
    before = entries_of(tmp_path)
    assert tickwork_here("run", folder, "--out", tmp_path / place, "--force").code == 2
    assert entries_of(tmp_path) == before


def test_an_existing_run_file_leaves_no_empty_output_behind(tmp_path, folder):
    (tmp_path / "x.tick").write_bytes(OLD)
    before = entries_of(tmp_path)
    assert tickwork_here("run", folder, "--out", tmp_path / "x.tick").code == 2
    assert entries_of(tmp_path) == before


def test_a_run_file_that_is_being_written_is_not_replaced(tmp_path, folder):
    file = tmp_path / "x.tick"
    with record(load(folder), file) as run:
        run.advance(3)
        done = tickwork_here("run", folder, "--out", file, "--output", f"out={tmp_path}/2.jsonl", "--force")
        assert done.code == 2
        assert "a live run is writing it" in done.error
    assert replay(file).identical


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--output", "out={p}/lines.jsonl"), "input 'lines' and output 'out' are the same file"),
        (("--out", "{p}/lines.jsonl"), "input 'lines' and the run file are the same file"),
        (("--out", "{p}/../p/out.jsonl"), "output 'out' and the run file are the same file"),
        (("--out", "{p}/link.tick"), "input 'lines' and the run file are the same file"),
        (("--output", "two={p}/out.jsonl"), "output 'out' and output 'two' are the same file"),
    ],
)
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_file_is_never_used_twice(tmp_path, options, said, force):
    folder = echo_project(tmp_path / "p", more="[outputs.two]")
    (folder / "link.tick").symlink_to(folder / "lines.jsonl")
    before = entries_of(tmp_path)
    options = [option.format(p=folder) for option in options]
    done = tickwork_here("run", folder, "--out", tmp_path / "x.tick", *options, *force)
    assert done.code == 2
    assert said in done.error
    assert entries_of(tmp_path) == before


def test_devices_and_pipes_are_written_without_force(tmp_path, folder):
    assert tickwork_here("run", folder, "--out", tmp_path / "a.tick", "--output", "out=/dev/null").code == 0
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    done = tickwork_here("run", folder, "--out", tmp_path / "b.tick", "--output", f"out={pipe}")
    reader.join()
    assert done.code == 0
    assert read == [EXPECTED]


def test_a_full_disk_is_told_and_leaves_a_run_file_that_replays(tmp_path):
    folder = project(tmp_path / "p", *SLOW)
    file = tmp_path / "x.tick"
    assert tickwork_here("run", folder, "--ticks", 1, "--out", file).code == 0
    # Some ticks more fit, the rest does not.
    size = file.stat().st_size + 64 * 1024

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    done = tickwork("run", folder, "--ticks", 100_000, "--out", file, "--force", preexec_fn=limit)
    assert done.code == 1, done.err
    assert f"{file}: writing failed" in done.error
    replayed = tickwork_here("replay", file, "--json").json
    assert replayed["identical"]
    assert replayed["ticks"] > 0
    written = (folder / "out.jsonl").read_text().splitlines()
    assert len(written) <= replayed["ticks"]


def test_a_full_disk_under_an_output_is_told_and_leaves_a_run_file_that_replays(tmp_path, folder):
    file = tmp_path / "x.tick"
    done = tickwork("run", folder, "--out", file, "--output", "out=/dev/full")
    assert done.code == 1
    assert done.error == "output 'out' cannot be written: No space left on device"
    assert tickwork_here("replay", file).code == 0


_PR_CAPBSET_DROP = 24
_OVERRIDES = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def without_privilege() -> None:
    """Make the next program obey files' modes, also where it runs as root."""
    for capability in _OVERRIDES:
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.fixture
def place(tmp_path):
    """A folder whose modes the test changes."""
    probe = tmp_path / "probe"
    probe.touch(mode=0)
    command = ["cat", str(probe)]
    if (
        subprocess.run(command, capture_output=True, check=False, preexec_fn=without_privilege).returncode
        == 0
    ):
        pytest.skip("this system lets a program read files without permission")
    yield tmp_path
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)


def test_places_without_permission_are_named(place):
    options = {"preexec_fn": without_privilege}
    folder = echo_project(place / "p")
    secret = folder / "secret.jsonl"
    secret.write_text("1\n")
    secret.chmod(0)
    folder.chmod(0o555)
    done = tickwork("run", folder, "--out", folder / "x.tick", "--output", "out=/dev/null", **options)
    assert done.code == 2, done.err
    assert f"{folder}/x.tick: cannot be created" in done.error
    done = tickwork("run", folder, "--out", "/dev/null", **options)
    assert done.code == 2
    assert f"output 'out': cannot write {folder}/out.jsonl: Permission denied" in done.error
    done = tickwork("run", folder, "--input", f"lines={secret}", "--out", "/dev/null", **options)
    assert done.code == 2
    assert f"input 'lines': cannot read {secret}: Permission denied" in done.error
    secret.chmod(0o644)


def test_a_run_file_that_may_only_be_read_is_replayed_and_inspected_where_it_lies(place):
    options = {"preexec_fn": without_privilege}
    folder = echo_project(place / "p")
    file = place / "x.tick"
    assert tickwork_here("run", folder, "--out", file).code == 0
    file.chmod(0o444)
    place.chmod(0o555)
    before = sorted(place.iterdir())
    assert tickwork("replay", file, **options).code == 0
    shown = tickwork("inspect", file, "messages", "--json", **options)
    assert len(shown.rows) == 20
    assert sorted(place.iterdir()) == before
