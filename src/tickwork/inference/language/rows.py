"""A session with the keys and values of the sequences it is working on, one sequence in each row.

Two kinds of model, one interface:

- `SharedRows`: attention by GroupQueryAttention, which appends in place. All rows lie in one buffer
  [2 * layers, rows, heads, context, head]; past and present are bound to the same memory, so a step copies
  nothing. Prefill runs one row; decode runs neighbouring rows, one token each. Two bounds of the operator on
  the CPU: several tokens at once on top of a past only in a batch of one; padding only on the right.
- `GrowingRows`: plain operators that concatenate. Each row's arrays are replaced by longer ones at each step,
  and rows are run one at a time, because padding changes such a model's bits.

Nothing here is safe to use from two threads at once.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tickwork.inference import tensors
from tickwork.inference.errors import ModelError
from tickwork.inference.language.folder import ModelFolder

Logits = NDArray[np.float32]
_LOGITS = 0
# Some exports take how many of the last tokens' logits to give.
_KEEP = "num_logits_to_keep"
Block = NDArray[Any]


class Rows(Protocol):
    """What decoding needs of a model."""

    shared: bool
    count: int
    context: int
    vocabulary: int
    bytes: int

    def prefill(self, row: int, tokens: Sequence[int], past: int) -> Logits:
        """Put `tokens` after the row's first `past` ones; return the last one's logits [vocabulary].

        The array may be overwritten by the next call; raises whatever the session does.
        """

    def decode(self, first: int, tokens: Sequence[int], lengths: Sequence[int]) -> Logits:
        """Put one token into each row from `first` on; return their logits [rows, vocabulary].

        `lengths` count the new token. The array may be overwritten by the next call; raises whatever the
        session does.
        """

    def move(self, source: int, target: int, length: int) -> None:
        """Make row `target` what row `source` is, in its first `length` tokens; `source` is then free."""

    def copy_block(self, row: int, start: int, stop: int) -> Block:
        """Return a copy of the keys and values of tokens [start, stop) of a row."""

    def paste_block(self, row: int, start: int, block: Block) -> None:
        """Put a block back, at any row."""


class _Ports:
    """The session's inputs and outputs, known to be those that the folder promises."""

    def __init__(self, session: ort.InferenceSession, folder: ModelFolder) -> None:
        known = tensors.inputs(session)
        made = tensors.outputs(session)
        wanted = {folder.input_ids, folder.attention_mask, *folder.past_names}
        for name in sorted(wanted - known.keys()):
            raise ModelError(f"{folder.graph.name} has no input {name}; it has {', '.join(known)}")
        for name in sorted(known.keys() - wanted - {folder.position_ids, _KEEP}):
            raise ModelError(f"{folder.graph.name} has an input {name}, which is not supported")
        for name in (folder.logits, *folder.present_names):
            if name not in made:
                raise ModelError(f"{folder.graph.name} has no output {name}; it has {', '.join(made)}")
        self.past = known[folder.past_names[0]]
        self.positions = folder.position_ids in known
        self.keeps = _KEEP in known
        self.ids_dtype = known[folder.input_ids].dtype
        self.mask_dtype = known[folder.attention_mask].dtype
        self.logits = made[folder.logits]
        _check_past(folder, self.past)
        vocabulary = self.logits.shape[-1] if self.logits.shape else None
        if vocabulary is None or vocabulary < 1:
            raise ModelError(
                f"{folder.graph.name} does not say how many logits it gives; export it with fixed sizes"
            )
        self.vocabulary = vocabulary


def _check_past(folder: ModelFolder, past: tensors.Port) -> None:
    expected = (None, folder.kv_heads, None, folder.head_size)
    agrees = len(past.shape) == len(expected) and all(
        found is None or wanted is None or found == wanted
        for found, wanted in zip(past.shape, expected, strict=True)
    )
    if not agrees or past.dtype.kind != "f":
        raise ModelError(
            f"{folder.graph.name} takes a past of {past.dtype} {past.shape}, but its configuration says "
            f"{folder.kv_heads} heads of {folder.head_size}; the two belong to different models"
        )


class SharedRows:
    """Rows of one buffer, for models that append in place."""

    shared = True

    def __init__(self, session: ort.InferenceSession, folder: ModelFolder, count: int, context: int) -> None:
        """Make `count` rows of `context` tokens. Memory is taken from the system as rows fill up."""
        self._ports = ports = _Ports(session, folder)
        self._session = session
        self._folder = folder
        self.count, self.context, self.vocabulary = count, context, ports.vocabulary
        shape = (len(folder.past_names), count, folder.kv_heads, context, folder.head_size)
        try:
            self._memory = np.zeros(shape, ports.past.dtype)
        except MemoryError as error:
            raise ModelError(
                f"no memory for {count} rows of {context} tokens; ask for fewer of either"
            ) from error
        self.bytes = self._memory.nbytes
        self._ids = np.zeros(count, ports.ids_dtype)
        self._positions = np.zeros(count, np.int64)
        self._mask = np.zeros(count * context, ports.mask_dtype)
        self._places = np.arange(context)
        self._logits = np.zeros((count, 1, ports.vocabulary), ports.logits.dtype)
        self._keep = np.array(1, np.int64)
        self._bindings: dict[tuple[int, int], ort.IOBinding] = {}

    def prefill(self, row: int, tokens: Sequence[int], past: int) -> Logits:
        """See Rows.prefill."""
        length = past + len(tokens)
        binding = self._bound(row, 1)
        ids = np.array([tokens], self._ports.ids_dtype)
        mask = np.ones((1, length), self._ports.mask_dtype)
        positions = np.arange(past, length, dtype=np.int64)[None]
        tensors.bind_input(binding, self._folder.input_ids, ids)
        tensors.bind_input(binding, self._folder.attention_mask, mask)
        if self._ports.positions:
            tensors.bind_input(binding, self._folder.position_ids, positions)
        binding.bind_output(self._folder.logits, "cpu")
        self._session.run_with_iobinding(binding)
        logits = binding.get_outputs()[_LOGITS].numpy()
        # The binding goes on to decode; it must not keep a whole prompt's logits until then.
        self._bind_step(binding, 1)
        return np.asarray(logits[0, -1], np.float32)

    def decode(self, first: int, tokens: Sequence[int], lengths: Sequence[int]) -> Logits:
        """See Rows.decode."""
        count = len(tokens)
        width = max(lengths)
        binding = self._bound(first, count)
        self._ids[:count] = tokens
        mask = self._mask[: count * width].reshape(count, width)
        np.less(self._places[:width], np.array(lengths)[:, None], out=mask, casting="unsafe")
        tensors.bind_input(binding, self._folder.attention_mask, mask)
        if self._ports.positions:
            np.subtract(lengths, 1, out=self._positions[:count])
        self._session.run_with_iobinding(binding)
        return np.asarray(self._logits[:count, 0], np.float32)

    def move(self, source: int, target: int, length: int) -> None:
        """See Rows.move."""
        self._memory[:, target, :, :length] = self._memory[:, source, :, :length]

    def copy_block(self, row: int, start: int, stop: int) -> Block:
        """See Rows.copy_block."""
        return self._memory[:, row, :, start:stop].copy()

    def paste_block(self, row: int, start: int, block: Block) -> None:
        """See Rows.paste_block."""
        self._memory[:, row, :, start : start + block.shape[2]] = block

    def _bound(self, first: int, count: int) -> ort.IOBinding:
        """Return a binding of rows [first, first + count); making one costs a small model's step."""
        binding = self._bindings.get((first, count))
        if binding is None:
            binding = self._session.io_binding()
            # A binding lists outputs in the order in which they were first bound; the logits are the first.
            self._bind_step(binding, count)
            if self._ports.keeps:
                tensors.bind_input(binding, _KEEP, self._keep)
            names = zip(self._folder.past_names, self._folder.present_names, strict=True)
            for layer, (past, present) in enumerate(names):
                memory = self._memory[layer, first : first + count]
                tensors.bind_input(binding, past, memory)
                tensors.bind_output(binding, present, memory)
            self._bindings[first, count] = binding
        return binding

    def _bind_step(self, binding: ort.IOBinding, count: int) -> None:
        """Bind what is the same in every decoding step of so many rows."""
        tensors.bind_output(binding, self._folder.logits, self._logits[:count])
        tensors.bind_input(binding, self._folder.input_ids, self._ids[:count].reshape(count, 1))
        if self._ports.positions:
            tensors.bind_input(binding, self._folder.position_ids, self._positions[:count].reshape(count, 1))


class GrowingRows:
    """Rows of their own arrays, for models that concatenate."""

    shared = False

    def __init__(self, session: ort.InferenceSession, folder: ModelFolder, count: int, context: int) -> None:
        """Make `count` empty rows of at most `context` tokens."""
        self._ports = ports = _Ports(session, folder)
        self._session = session
        self._folder = folder
        self.count, self.context, self.vocabulary = count, context, ports.vocabulary
        self._empty = [np.zeros((1, folder.kv_heads, 0, folder.head_size), ports.past.dtype)] * len(
            folder.past_names
        )
        per_token = len(folder.past_names) * folder.kv_heads * folder.head_size * ports.past.dtype.itemsize
        self.bytes = count * context * per_token
        self._rows: list[list[NDArray[Any]]] = [self._empty] * count
        self._outputs = [folder.logits, *folder.present_names]

    def prefill(self, row: int, tokens: Sequence[int], past: int) -> Logits:
        """See Rows.prefill."""
        before = [array[:, :, :past] for array in self._rows[row]] if past else self._empty
        length = past + len(tokens)
        feeds = dict(zip(self._folder.past_names, map(np.ascontiguousarray, before), strict=True))
        feeds[self._folder.input_ids] = np.array([tokens], self._ports.ids_dtype)
        feeds[self._folder.attention_mask] = np.ones((1, length), self._ports.mask_dtype)
        if self._ports.positions:
            feeds[self._folder.position_ids] = np.arange(past, length, dtype=np.int64)[None]
        if self._ports.keeps:
            feeds[_KEEP] = np.array(1, np.int64)
        logits, *self._rows[row] = self._session.run(self._outputs, feeds)
        return np.asarray(logits[0, -1], np.float32)

    def decode(self, first: int, tokens: Sequence[int], lengths: Sequence[int]) -> Logits:
        """See Rows.decode; takes one row only."""
        (token,), (length,) = tokens, lengths
        return self.prefill(first, [token], length - 1)[None]

    def move(self, source: int, target: int, length: int) -> None:  # noqa: ARG002  # rows know their length
        """See Rows.move."""
        self._rows[target], self._rows[source] = self._rows[source], self._empty

    def copy_block(self, row: int, start: int, stop: int) -> Block:
        """See Rows.copy_block."""
        return np.concatenate([array[:, :, start:stop] for array in self._rows[row]])

    def paste_block(self, row: int, start: int, block: Block) -> None:
        """See Rows.paste_block; `start` must be the row's length."""
        kept = [array[:, :, :start] for array in self._rows[row]]
        self._rows[row] = [
            np.concatenate([old, new[None]], axis=2) for old, new in zip(kept, block, strict=True)
        ]
