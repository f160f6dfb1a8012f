"""Text to tokens and back, with the model's own tokenizer."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as _Tokenizer

from tickwork.inference.errors import Code, ModelError, RequestError

# A UTF-8 character is at most 4 bytes and so at most 4 tokens; what is longer undecodable stays so.
_PENDING_TOKENS_MAX = 4
# How many tokens of a run that cannot be decoded are looked at again with the next.
_WINDOW_TOKENS_MAX = 16
_REPLACEMENT = "\ufffd"


class Tokenizer:
    """A tokenizer.json, loaded."""

    def __init__(self, path: Path) -> None:
        """Load the file; raises ModelError if it is no tokenizer."""
        try:
            self.source = path.read_text("utf-8")
            self._tokenizer = _Tokenizer.from_str(self.source)
        except BaseException as error:  # the library panics, outside of Exception, on some files
            if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
                raise
            raise ModelError(f"{path} is no tokenizer that can be used: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.size = self._tokenizer.get_vocab_size()
        added = self._tokenizer.get_added_tokens_decoder()
        self._control = frozenset(number for number, token in added.items() if token.special)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of `text` without adding any; control tokens spelled out in it are recognised."""
        try:
            return list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        except Exception as error:
            raise RequestError(
                Code.INVALID_REQUEST, f"the text cannot be tokenized: {error}", "messages"
            ) from error

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`; control tokens have none, bytes that are not UTF-8 show as U+FFFD."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True)

    def is_silent(self, token: int) -> bool:
        """Return whether a token never has any text: a control token, or one that the tokenizer lacks."""
        return token in self._control or token >= self.size

    def spelling(self, token: int) -> str:
        """Return how one token reads on its own; a control token by its name, an unknown one as nothing."""
        if token >= self.size:
            return ""
        return self.decode([token]) or self._tokenizer.id_to_token(token) or ""

    def id_of(self, token: str) -> int | None:
        """Return the id of the token with exactly this name, or None."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found


class TextStream:
    """Turns tokens into text one at a time; what is not yet a whole character waits.

    A token's text may depend on the one before it (sentencepiece drops a leading space), so each is decoded
    together with those that gave the last piece, whose own text is then taken off.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        self._waiting = 0
        self._passed = 0

    def push(self, token: int) -> str:
        """Return the text that `token` completes, which may be none."""
        if self._tokenizer.is_silent(token):
            return ""
        self._window.append(token)
        self._waiting += 1
        text = self._tokenizer.decode(self._window)
        before = self._passed
        if not text.endswith(_REPLACEMENT):
            if len(text) > before:
                self._begin(self._waiting, held=0)
            return text[before:]
        if self._waiting < _PENDING_TOKENS_MAX:
            return ""
        # Only the last of what cannot be decoded may still become a character.
        piece = text[before:-1]
        self._passed = max(before, len(text) - 1)
        if len(self._window) > _WINDOW_TOKENS_MAX:
            self._begin(_WINDOW_TOKENS_MAX // 2, held=1)
        return piece

    def finish(self) -> str:
        """Return the text of what still waited."""
        text = self._tokenizer.decode(self._window)[self._passed :]
        self._window, self._waiting, self._passed = [], 0, 0
        return text

    def _begin(self, tokens: int, held: int) -> None:
        """Keep the last `tokens` alone, all of whose text was passed on but for `held` characters."""
        self._window = self._window[-tokens:]
        self._waiting = len(self._window) if held else 0
        self._passed = len(self._tokenizer.decode(self._window)) - held
