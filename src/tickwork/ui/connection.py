"""Connections that may not be held for nothing: by a request that never ends, or an answer that nobody reads.

uvicorn waits without end for both. Behind it a few hundred such connections would keep everyone else out.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# From the first byte of a request, or from connecting, to the end of its head.
REQUEST_S = 10.0
# As long as nothing at all is taken of an answer.
STALLED_S = 30.0
# A request's line and headers.
HEAD_BYTES_MAX = 32 * 1024


class BoundedConnection(H11Protocol):
    """One connection of HTTP/1.1; it is cut off when the other side takes longer than the bounds above."""

    _asking: asyncio.TimerHandle | None = None
    _answering: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Take what came; while nothing is being answered it may not trickle in for longer than a request."""
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request
        if cycle is None or cycle.response_complete:
            self._await_request()
        elif self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def pause_writing(self) -> None:
        """Hear that the other side reads slowly, or not at all."""
        super().pause_writing()
        if self._answering is None:
            self._await_reader()

    def resume_writing(self) -> None:
        """Hear that the other side has read nearly everything."""
        super().resume_writing()
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        for timer in (self._asking, self._answering):
            if timer is not None:
                timer.cancel()

    def _await_request(self) -> None:
        if self._asking is None:
            self._asking = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _await_reader(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._answering = self.loop.call_later(STALLED_S, self._look_whether_read, unread)

    def _look_whether_read(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:
            self._await_reader()
        else:
            self.transport.abort()
