"""The tables of a run file, and the two numbers in its head that say what it is.

The stored schema is compared with this text on every open, so a hostile file cannot put a view, a trigger or
a computed column where a table is expected.
"""

# The bytes "tick"; SQLite keeps the number at offset 68 of the file, where `file` and others look.
APPLICATION_ID = int.from_bytes(b"tick", "big")
# Raised when an older tickwork could no longer read the file. Older formats stay readable.
FORMAT = 2
# Large entries are stored about twice as fast as in pages of 4096 bytes; larger pages gain little more.
PAGE_BYTES = 8192

_TABLES_1 = {
    "run": "CREATE TABLE run (key TEXT PRIMARY KEY NOT NULL, value NOT NULL)",
    "module": "CREATE TABLE module (hash TEXT PRIMARY KEY NOT NULL, bytes BLOB NOT NULL)",
    "entry": (
        "CREATE TABLE entry (tick INTEGER PRIMARY KEY NOT NULL,"
        " digest BLOB NOT NULL, exact BLOB NOT NULL, body BLOB NOT NULL)"
    ),
}
# What format 2 has besides: a file of format 1 becomes one of format 2 by their creation.
TABLES_ADDED_2 = {
    "snapshot": (
        "CREATE TABLE snapshot (tick INTEGER PRIMARY KEY NOT NULL, digest BLOB NOT NULL, exact BLOB NOT NULL,"
        " state BLOB NOT NULL, world BLOB NOT NULL, agents BLOB NOT NULL)"
    ),
    "image": (
        "CREATE TABLE image (id INTEGER PRIMARY KEY NOT NULL, hash BLOB UNIQUE NOT NULL, bytes BLOB NOT NULL)"
    ),
    "page": (
        "CREATE TABLE page (id INTEGER PRIMARY KEY NOT NULL, hash BLOB UNIQUE NOT NULL, bytes BLOB NOT NULL)"
    ),
    "input": (
        "CREATE TABLE input (source INTEGER PRIMARY KEY NOT NULL, offset INTEGER NOT NULL,"
        " line INTEGER NOT NULL, exhausted INTEGER NOT NULL)"
    ),
    "mark": (
        "CREATE TABLE mark (tick INTEGER PRIMARY KEY NOT NULL, digest BLOB NOT NULL, exact BLOB NOT NULL,"
        " world BLOB NOT NULL)"
    ),
    "arrival": "CREATE TABLE arrival (tick INTEGER PRIMARY KEY NOT NULL, body BLOB NOT NULL)",
}
TABLES = _TABLES_1 | TABLES_ADDED_2
TABLES_OF_FORMAT = {1: _TABLES_1, FORMAT: TABLES}

# SQLite makes one index for each primary key that is not an integer, and for each UNIQUE.
_INDEXES = {
    "sqlite_autoindex_run_1": "run",
    "sqlite_autoindex_module_1": "module",
    "sqlite_autoindex_image_1": "image",
    "sqlite_autoindex_page_1": "page",
}


def indexes_of(tables: dict[str, str]) -> dict[str, str]:
    """Return the indexes that SQLite makes for `tables`, each with its table."""
    return {index: table for index, table in _INDEXES.items() if table in tables}
