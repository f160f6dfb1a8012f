"""Changes snapshots so that the journal has nothing to say against them: every hash is made anew."""

import msgspec

from tamper import flipped
from tickwork.core.checkpoint import state_digest
from tickwork.core.digest import Digests
from tickwork.core.image import page_hash
from tickwork.journal.image_codec import ImagePacker, ImageUnpacker, unpack_image
from tickwork.journal.snapshot_codec import pack_agents, pack_world, unpack_agents, unpack_world


class Forger:
    """Changes a snapshot so that the journal has nothing to say against it."""

    def __init__(self, database, tick):
        self.database, self.tick = database, tick
        row = database.execute(
            "SELECT digest, exact, world, agents FROM snapshot WHERE tick = ?", (tick,)
        ).fetchone()
        self.digests = Digests(row[0], row[1])
        self.world = unpack_world(row[2])
        self.pairs = dict(unpack_agents(row[3]))

    def image(self, agent):
        unpacker = ImageUnpacker()
        (stored,) = self.database.execute(
            "SELECT bytes FROM image WHERE id = ?", (self.pairs[agent],)
        ).fetchone()
        image = unpack_image(stored)
        pages = [
            unpacker.unpack_page(
                self.database.execute("SELECT bytes FROM page WHERE id = ?", (page,)).fetchone()[0]
            )
            for page in image.page_ids.tolist()
        ]
        return image.with_pages(pages)

    def put_image(self, agent, image):
        packer = ImagePacker()
        ids = []
        for memory in image.memories:
            rows = []
            for page in memory.pages:
                digest = page_hash(page)
                self.database.execute(
                    "INSERT OR IGNORE INTO page (hash, bytes) VALUES (?, ?)", (digest, packer.pack_page(page))
                )
                rows += self.database.execute("SELECT id FROM page WHERE hash = ?", (digest,)).fetchone()
            ids.append(rows)
        self.database.execute(
            "INSERT OR IGNORE INTO image (hash, bytes) VALUES (?, ?)",
            (image.digest(), packer.pack_image(image, ids)),
        )
        (self.pairs[agent],) = self.database.execute(
            "SELECT id FROM image WHERE hash = ?", (image.digest(),)
        ).fetchone()

    def finish(self):
        hashes = dict(self.database.execute("SELECT id, hash FROM image").fetchall())
        pairs = tuple(sorted(self.pairs.items()))
        state = state_digest(self.digests, self.world, tuple((agent, hashes[row]) for agent, row in pairs))
        self.database.execute(
            "UPDATE snapshot SET state = ?, world = ?, agents = ? WHERE tick = ?",
            (state, pack_world(self.world), pack_agents(pairs), self.tick),
        )
        self.database.commit()


def with_page_changed(image, place=-1):
    (memory,) = image.memories
    pages = list(memory.pages)
    pages[place] = flipped(pages[place], 4000)
    return msgspec.structs.replace(image, memories=(msgspec.structs.replace(memory, pages=tuple(pages)),))
