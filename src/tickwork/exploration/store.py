"""The campaign file: one SQLite database with every case that was run, from which a campaign goes on."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from tickwork.core.digest import content_hash
from tickwork.core.errors import HostError, InputError
from tickwork.core.faults import Fault
from tickwork.core.spec import RunSpec
from tickwork.exploration.case import Case
from tickwork.exploration.checks import Failure
from tickwork.exploration.explorer import Assignment, Result

FORMAT = 1
# The bytes "tcam", as the run file has "tick".
APPLICATION_ID = int.from_bytes(b"tcam", "big")
_TABLES = """
CREATE TABLE campaign (key TEXT PRIMARY KEY NOT NULL, value NOT NULL);
CREATE TABLE cases (
  number INTEGER PRIMARY KEY NOT NULL, seed TEXT NOT NULL, faults TEXT NOT NULL, ended TEXT NOT NULL,
  ticks INTEGER NOT NULL, digest TEXT NOT NULL, behaviour TEXT NOT NULL, kept INTEGER NOT NULL,
  failed_check TEXT, failed_tick INTEGER, failed_message TEXT
);
CREATE TABLE features (feature TEXT PRIMARY KEY NOT NULL, number INTEGER NOT NULL);
"""
_faults = msgspec.json.Encoder().encode
_decode_faults = msgspec.json.Decoder(tuple[Fault, ...])


class Row(msgspec.Struct, frozen=True):
    """A case as it stands in the file. `behaviour` is the signature of its features."""

    number: int
    case: Case
    ended: str
    ticks: int
    digest: str
    behaviour: str
    kept: bool
    failure: Failure | None


def identity(spec: RunSpec, assignment: Assignment, checks: bytes) -> str:
    """Return the hash of all that the cases are a function of; `checks` is the source of the checks."""
    settings = msgspec.structs.replace(assignment, checks=None)
    return content_hash(msgspec.msgpack.encode((spec, settings, checks)))


class CampaignFile:
    """A campaign's file, open. What was not committed when the process dies is run again."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def create(cls, path: Path, identity: str) -> Self:
        """Make the file; the folder must exist and have no such file. Raises `HostError`."""
        try:
            database = sqlite3.connect(path)
            database.executescript(
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; {_TABLES}"
            )
            database.execute("INSERT INTO campaign VALUES ('identity', ?)", (identity,))
            database.commit()
        except sqlite3.Error as error:
            raise HostError(f"{path}: cannot be written ({error})") from error
        return cls(database)

    @classmethod
    def resume(cls, path: Path, identity: str) -> Self:
        """Open the file of the same campaign; raise `InputError` if it is another's, or none."""
        if not path.is_file():
            raise InputError(f"{path}: there is no campaign to resume")
        try:
            database = sqlite3.connect(path)
            (application,) = database.execute("PRAGMA application_id").fetchone()
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if (application, version) != (APPLICATION_ID, FORMAT):
                raise InputError(f"{path}: is no campaign file of this version")
            found = database.execute("SELECT value FROM campaign WHERE key = 'identity'").fetchone()
        except sqlite3.Error as error:
            raise InputError(f"{path}: is no campaign file ({error})") from error
        if found is None or found[0] != identity:
            raise InputError(
                f"{path}: is of another campaign: the project, its checks, the faults or the ticks have "
                "changed since; explore anew with --force"
            )
        return cls(database)

    def add(self, results: Sequence[tuple[Result, str, bool, Sequence[int]]]) -> None:
        """Add cases, each with its behaviour, whether it is kept, and its new features; not yet committed."""
        for result, behaviour, kept, new in results:
            failure = result.failure
            self._database.execute(
                "INSERT INTO cases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    result.number, str(result.case.seed), _faults(result.case.faults).decode(), result.ended,
                    result.ticks, result.digest.hex(), behaviour, kept,
                    None if failure is None else failure.check,
                    None if failure is None else failure.tick,
                    None if failure is None else failure.message,
                ),
            )  # fmt: skip
            self._database.executemany(
                "INSERT INTO features VALUES (?, ?)", [(f"{one:016x}", result.number) for one in new]
            )

    def commit(self) -> None:
        """Make what was added last."""
        self._database.commit()

    def rows(self) -> Iterator[Row]:
        """Yield every case in the order of its number; `InputError` if the file is damaged."""
        try:
            for row in self._database.execute("SELECT * FROM cases ORDER BY number"):
                number, seed, faults, ended, ticks, digest, behaviour, kept, *failed = row
                case = Case(int(seed), _decode_faults.decode(faults))
                failure = None if failed[0] is None else msgspec.convert(failed, Failure)
                yield Row(number, case, ended, ticks, digest, behaviour, bool(kept), failure)
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise InputError(f"the campaign file is damaged: {error}") from error

    def features(self) -> Iterator[int]:
        """Yield every feature that was found; `InputError` if the file is damaged."""
        try:
            for (one,) in self._database.execute("SELECT feature FROM features"):
                yield int(one, 16)
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise InputError(f"the campaign file is damaged: {error}") from error

    def close(self) -> None:
        """Commit, and let go of the file."""
        self._database.commit()
        self._database.close()
