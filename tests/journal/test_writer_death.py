"""Writers that are killed or run out of disk leave a valid prefix; a live one is read beside it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from journal_samples import write

from tickwork.journal.reader import RunReader
from tickwork.journal.verify import verify

_WRITE_FOREVER = """
import sys
from pathlib import Path
from journal_samples import MODULES, chain, header
from tickwork.journal.writer import RunWriter
with RunWriter.create(Path(sys.argv[1]), header(), MODULES, window=5) as writer:
    for row in chain(4000):
        writer.append(*row)
        if row[0] == 600:
            writer.commit()
            print("going", flush=True)
    print("done", flush=True)
"""


def _child(script: str, path: Path, **options: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def test_a_killed_writer_leaves_a_valid_prefix(tmp_path: Path) -> None:
    path = tmp_path / "run.tick"
    with _child(_WRITE_FOREVER, path) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "going\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
    with RunReader.open(path) as run:
        assert run.status == "running"
        assert verify(run) is None
        assert run.last_tick is not None
        assert run.last_tick >= 600


def test_a_reader_beside_a_writing_process_sees_a_growing_valid_prefix(tmp_path: Path) -> None:
    path = tmp_path / "run.tick"
    with _child(_WRITE_FOREVER, path) as child:
        assert child.stdout is not None
        child.stdout.readline()
        lengths = []
        while child.poll() is None:
            with RunReader.open(path) as run:
                assert verify(run) is None
                lengths.append(run.last_tick or 0)
        assert child.returncode == 0
    assert lengths == sorted(lengths)
    with RunReader.open(path) as run:
        assert run.last_tick == 3999


_FILL = """
import resource, sys
from pathlib import Path
from journal_samples import MODULES, chain, header
from tickwork.core.errors import HostError
from tickwork.journal.writer import RunWriter
writer = RunWriter.create(Path(sys.argv[1]), header(), MODULES, window=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    for row in chain(5000):
        writer.append(*row)
except HostError as error:
    print(error)
    print(writer.committed)
    try:
        writer.append(*row)
    except HostError as again:
        print(again)
    writer.close()
"""


def test_a_full_disk_is_a_host_error_and_leaves_a_valid_prefix(tmp_path: Path) -> None:
    path = tmp_path / "run.tick"
    with _child(_FILL, path) as child:
        out, errors = child.communicate()
    assert errors == ""
    failure, committed, again = out.splitlines()
    assert f"{path}: writing failed" in failure
    assert f"it holds the first {committed} ticks" in failure
    assert "takes no more entries" in again
    with RunReader.open(path) as run:
        assert verify(run) is None
        assert run.last_tick == int(committed) - 1


def test_a_disk_full_at_creation_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.tick"
    write(path, 30)
    before = path.read_bytes()
    script = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "from pathlib import Path\nfrom journal_samples import MODULES, header\n"
        "from tickwork.core.errors import HostError\nfrom tickwork.journal.writer import RunWriter\n"
        "for target, force in ((sys.argv[1], True), (sys.argv[1] + '2', False)):\n"
        "    try:\n        RunWriter.create(Path(target), header(), MODULES, force=force)\n"
        "    except HostError as error:\n        print(error)\n"
    )
    with _child(script, path) as child:
        out, errors = child.communicate()
    assert errors == ""
    assert out.count("nothing was changed") == 2
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["run.tick"]
