"""Renders a conversation with the model's own chat template.

The template came with the model, so it runs in jinja2's immutable sandbox. It sees what transformers gives
it except the clock: `strftime_now` is not defined, so that templates which date their system prompt use the
fixed date they carry for that case. Nor is there what jinja2 draws at random, and an object whose text would
be its place in memory has none. A message's text is not escaped: like transformers, a text that holds a
control token's spelling becomes that token.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tickwork.inference.errors import Code, ModelError, RequestError, thrown

# What has the same text in every process.
_TELLING = (str, int, float, type(None), list, tuple, dict, jinja2.Undefined)
_RENDERED_CHARS_MAX = 16 << 20


class ChatTemplate:
    """A compiled chat template."""

    def __init__(self, source: str, special: Mapping[str, str]) -> None:
        """Compile `source`; raises ModelError if it is not a template."""
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols"],
            finalize=_telling,
        )
        del environment.filters["random"]
        del environment.globals["lipsum"]
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise ModelError(f"the model's chat template is no jinja2 template: {error}") from error
        self._special = dict(special)

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return the prompt for an answer to `messages`; raises RequestError if the template refuses them."""
        try:
            prompt = self._template.render(
                messages=list(messages),
                add_generation_prompt=True,
                tools=None,
                documents=None,
                **self._special,
            )
        except _RefusedError as error:
            raise RequestError(
                Code.INVALID_REQUEST, f"the model's chat template refuses these messages: {error}", "messages"
            ) from error
        except MemoryError as error:
            raise thrown(error, "the model's chat template fails") from error
        except Exception as error:  # a template is a program: it may fail in any way
            raise RequestError(
                Code.INVALID_REQUEST,
                f"the model's chat template fails on these messages: {error}",
                "messages",
            ) from error
        if len(prompt) > _RENDERED_CHARS_MAX:
            raise RequestError(
                Code.CONTEXT_LENGTH_EXCEEDED,
                f"the prompt has more than {_RENDERED_CHARS_MAX} characters",
                "messages",
            )
        return prompt


class _RefusedError(Exception):
    """What a template says by `raise_exception`."""


def _refuse(message: object) -> NoReturn:
    raise _RefusedError(str(message))


def _telling(value: object) -> object:
    if not isinstance(value, _TELLING):
        raise TypeError(f"a {type(value).__name__} has no text")
    return value


def _to_json(value: object, indent: int | None = None, ensure_ascii: bool = False) -> str:  # noqa: FBT001, FBT002  # as templates call it
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)
