"""Remembers the keys and values of prompts, so that what many prompts begin with is computed once.

Blocks of BLOCK tokens, each named by a hash over its tokens and all before them; a block is kept once
however many prompts share it. Only what was *prefilled* is kept: the keys and values of a generated token
were computed one token at a time, which gives other bits than prefilling it, and a hit must equal a miss.
So the next turn of a conversation reuses the last prompt and prefills the answer again.
"""

import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from blake3 import blake3

from tickwork.inference.language.rows import Block, Rows

BLOCK = 32
_ROOT = bytes(32)


class PrefixCache:
    """Blocks of prompts, least recently used out first, within a number of bytes."""

    def __init__(self, bytes_max: int) -> None:
        """`bytes_max` 0 keeps nothing."""
        self._bytes_max = bytes_max
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()
        self.bytes_held = 0
        self.tokens_reused = 0

    def restore(self, rows: Rows, row: int, prompt: Sequence[int]) -> int:
        """Paste what is known of `prompt` into a row; return how many of its tokens that is.

        Never all of them: the last token has to be computed for its logits.
        """
        found: list[bytes] = []
        for key in _keys(prompt, len(prompt) - 1):
            if key not in self._blocks:
                break
            found.append(key)
        for at, key in enumerate(found):
            rows.paste_block(row, at * BLOCK, self._blocks[key])
        self._touch(found)
        self.tokens_reused += len(found) * BLOCK
        return len(found) * BLOCK

    def keep(self, rows: Rows, row: int, prompt: Sequence[int]) -> None:
        """Copy the whole blocks of a prompt that was just prefilled into a row."""
        used: list[bytes] = []
        for at, key in enumerate(_keys(prompt, len(prompt))):
            if key not in self._blocks:
                block = rows.copy_block(row, at * BLOCK, (at + 1) * BLOCK)
                if block.nbytes > self._bytes_max:
                    return
                self._blocks[key] = block
                self.bytes_held += block.nbytes
            used.append(key)
        self._touch(used)
        while self.bytes_held > self._bytes_max:
            _, block = self._blocks.popitem(last=False)
            self.bytes_held -= block.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._blocks.clear()
        self.bytes_held = 0

    def _touch(self, keys: Sequence[bytes]) -> None:
        # The first blocks last: without them the later ones cannot be found.
        for key in reversed(keys):
            self._blocks.move_to_end(key)


def _keys(prompt: Sequence[int], stop: int) -> Iterator[bytes]:
    """Yield the names of the whole blocks of prompt[:stop]."""
    key = _ROOT
    for start in range(0, stop - BLOCK + 1, BLOCK):
        tokens = struct.pack(f"<{BLOCK}I", *prompt[start : start + BLOCK])
        key = blake3(key + tokens, derive_key_context="tickwork 1 prompt block").digest()
        yield key
