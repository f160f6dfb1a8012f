"""Answers requests to models in the background, on one thread of its own.

The thread owns every engine. Each round it takes on what was submitted, in that order, and gives every model
with something to do one step; so models share the thread, and agents, which run on other threads, wait for no
model. When an answer is ready depends on all of that, what it says on none of it: see `language.engine`. Who
asks waits for what is due and for nothing else.

What goes wrong with a request, or with a model's own files, is an answer, told to who asked. What goes wrong
with the machine is a HostError, told to who waits.
"""

import threading
from collections import deque
from collections.abc import Mapping

from tickwork.core.errors import HostError
from tickwork.inference.desk import Answer, Asked, Desk, Served, Texts
from tickwork.inference.memo import Memo
from tickwork.inference.providers import CPU
from tickwork.inference.residency import Residency

__all__ = ["Answer", "Served", "Service", "Texts"]


class Service:
    """Models at work. Its methods belong to one caller's thread; use it in a `with` block, or `close` it."""

    def __init__(
        self,
        models: Mapping[str, Served],
        residency: Residency | None = None,
        memo: Memo | None = None,
    ) -> None:
        """`memo`, if given, is where equal requests find their answers, of this service or another."""
        self._residency = Residency() if residency is None else residency
        self._desks = {name: Desk(name, served, self._residency, memo) for name, served in models.items()}
        self._changed = threading.Condition()
        self._incoming: deque[Asked | str] = deque()
        self._answers: dict[str, Answer] = {}
        self._texts: dict[str, Texts] = {}
        self._streamed: dict[str, str] = {}
        self._failure: BaseException | None = None
        self._closing = False
        self._thread: threading.Thread | None = None

    def submit(self, key: str, model: str, body: bytes, seed: int, *, stream: bool = False) -> None:
        """Take a request on; with `stream` its texts can be had before it is finished.

        `key` names it among all, `model` says of whom; `seed` counts where the body has none.
        """
        with self._changed:
            self._incoming.append(Asked(key, model, body, seed))
            if stream:
                self._streamed[key] = model
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="tickwork inference", daemon=True)
            self._thread.start()

    def cancel(self, key: str) -> None:
        """Drop a request, finished or not; nothing happens if there is none."""
        with self._changed:
            self._incoming.append(key)
            self._forget(key)
            self._changed.notify_all()

    def answer(self, key: str, timeout_s: float) -> Answer | None:
        """Return a request's answer, once; None if it is not there in time. Raises HostError."""
        with self._changed:
            self._changed.wait_for(lambda: key in self._answers or self._failure is not None, timeout_s)
            self._raise_failure()
            found = self._answers.get(key)
            if found is not None:
                self._forget(key)
            return found

    def texts(self, key: str, tokens: int, timeout_s: float) -> Texts | None:
        """Return the texts of a streamed request's first `tokens` tokens, fewer if there are no more.

        And what computes them. None if they are not there in time. Raises HostError.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._texts_of(key, tokens) is not None or self._failure is not None, timeout_s
            )
            self._raise_failure()
            return self._texts_of(key, tokens)

    def close(self) -> None:
        """End the thread and let go of the models; what is unanswered is lost. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _texts_of(self, key: str, tokens: int) -> Texts | None:
        if key in self._answers:
            answer = self._answers[key]
            return answer.pieces[:tokens], answer.provider
        texts, provider = self._texts.get(key, ((), CPU))
        return (texts[:tokens], provider) if len(texts) >= tokens else None

    def _forget(self, key: str) -> None:
        self._answers.pop(key, None)
        self._texts.pop(key, None)
        self._streamed.pop(key, None)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise HostError(f"inference failed: {self._failure}") from self._failure

    def _serve(self) -> None:
        try:
            while self._round():
                pass
        except BaseException as error:  # whoever waits for an answer must hear of it
            with self._changed:
                self._failure = error
                self._changed.notify_all()
        finally:
            for desk in self._desks.values():
                desk.close()

    def _round(self) -> bool:
        """Take on what came, and give every busy model a step; return False to end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or self._incoming or any(desk.busy for desk in self._desks.values())
            )
            if self._closing:
                return False
            incoming = list(self._incoming)
            self._incoming.clear()
            streamed = dict(self._streamed)
        for item in incoming:
            if isinstance(item, str):
                for desk in self._desks.values():
                    desk.cancel(item)
            else:
                self._desks[item.model].submit(item)
        busy = [desk for desk in self._desks.values() if desk.busy]
        answers: list[tuple[str, Answer]] = []
        for desk in busy:
            # Another may hold the memory that this one needs, and gives it back when it is done.
            answers += desk.step(wait_for_room=any(other.open for other in busy if other is not desk))
        texts = {key: self._desks[model].texts(key) for key, model in streamed.items()}
        with self._changed:
            cancelled = {item for item in self._incoming if isinstance(item, str)}
            self._answers.update((key, answer) for key, answer in answers if key not in cancelled)
            self._texts.update((key, found) for key, found in texts.items() if key in self._streamed)
            self._changed.notify_all()
        return True
