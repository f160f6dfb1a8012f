"""Text to tokens and back, with the model's own tokenizer."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as _Tokenizer

from tickwork.inference.errors import Code, ModelError, RequestError

# A UTF-8 character is at most 4 bytes and so at most 4 tokens; what is longer undecodable stays so.
_PENDING_TOKENS_MAX = 4
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
        self._shown: list[int] = []
        self._pending: list[int] = []

    def push(self, token: int) -> str:
        """Return the text that `token` completes, which may be none."""
        self._pending.append(token)
        return self._take(last=len(self._pending) >= _PENDING_TOKENS_MAX)

    def finish(self) -> str:
        """Return the text of what still waited."""
        return self._take(last=True) if self._pending else ""

    def _take(self, *, last: bool) -> str:
        before = self._tokenizer.decode(self._shown)
        text = self._tokenizer.decode(self._shown + self._pending)
        if not last and (len(text) <= len(before) or text.endswith(_REPLACEMENT)):
            return ""
        self._shown, self._pending = self._pending, []
        return text[len(before) :]
