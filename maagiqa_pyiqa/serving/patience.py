"""Connections on which nobody asks anything are closed; uvicorn by itself waits for a request's head for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol


def protocol_with_patience(seconds: float) -> type[asyncio.Protocol]:
    """Uvicorn's protocol for HTTP that closes connections on which a head takes longer than that."""

    class Impatient(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # one of two classes
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect_request()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is None or self.cycle.response_complete:
                self._expect_request()

        def _expect_request(self) -> None:
            """Close the connection unless a request has begun by then."""
            last = self.cycle
            self.loop.call_later(seconds, lambda: self.transport.close() if self.cycle is last else None)

    return Impatient
