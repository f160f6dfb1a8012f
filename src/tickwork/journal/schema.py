"""The tables of a run file, and the two numbers in its head that say what it is.

The stored schema is compared with this text on every open, so a hostile file cannot put a view, a trigger or
a computed column where a table is expected.
"""

# The bytes "tick"; SQLite keeps the number at offset 68 of the file, where `file` and others look.
APPLICATION_ID = int.from_bytes(b"tick", "big")
# Raised when an older tickwork could no longer read the file. Older formats stay readable.
FORMAT = 1
# Holds the compressed entry of a usual tick in one or two pages, without a chain of overflow pages.
PAGE_BYTES = 16 * 1024

TABLES = {
    "run": "CREATE TABLE run (key TEXT PRIMARY KEY NOT NULL, value NOT NULL)",
    "module": "CREATE TABLE module (hash TEXT PRIMARY KEY NOT NULL, bytes BLOB NOT NULL)",
    "entry": (
        "CREATE TABLE entry (tick INTEGER PRIMARY KEY NOT NULL,"
        " digest BLOB NOT NULL, exact BLOB NOT NULL, body BLOB NOT NULL)"
    ),
}
# SQLite makes one index for each primary key that is not an integer.
INDEXES = {"sqlite_autoindex_run_1": "run", "sqlite_autoindex_module_1": "module"}
