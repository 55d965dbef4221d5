"""A server from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType

import uvicorn

from maagiqa_pyiqa.serving import wire
from maagiqa_pyiqa.serving.app import Server, create_app
from maagiqa_pyiqa.serving.engine import ProcessEngine
from maagiqa_pyiqa.serving.patience import protocol_with_patience
from maagiqa_pyiqa.serving.rewards import Served
from maagiqa_pyiqa.serving.settings import ServerSettings
from maagiqa_pyiqa.support.errors import InputError

KEEP_ALIVE_SECONDS = 75
MAX_CONNECTIONS = 512
SIGNALS = (signal.SIGINT, signal.SIGTERM)
log = logging.getLogger("maagiqa.serve")


def run(settings: ServerSettings, served: Served, engines: Sequence[ProcessEngine], access_log: bool = False) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is in work.

    Raises:
        InputError: a metric cannot be made, or the address cannot be listened on.
        KeyboardInterrupt: told to stop before it was ready.
    """
    _log_to_standard_error()
    with contextlib.closing(bind(settings)) as listener, _signals_interrupt():
        asyncio.run(_serve(settings, served, engines, listener, access_log))


async def _serve(
    settings: ServerSettings,
    served: Served,
    engines: Sequence[ProcessEngine],
    listener: socket.socket,
    access_log: bool,
) -> None:
    start = time.monotonic()
    try:
        await asyncio.gather(*(engine.start() for engine in engines))
    except BaseException:
        await asyncio.gather(*(engine.stop() for engine in engines))
        raise
    server = Server(settings, served, engines)
    config = configuration(settings, create_app(server), access_log)
    async with server.batcher:
        devices = ", ".join(engine.device for engine in engines)
        log.info("%s on %s, ready after %.1f s", ", ".join(served.names), devices, time.monotonic() - start)
        log.info("listening on %s, how to ask: %s%s; Ctrl-C stops", *[url_of(listener)] * 2, wire.GUIDE_PATH)
        _leave_signals_to_uvicorn()
        await _Announcing(config).serve([listener])
    log.info("stopped")


class _Announcing(uvicorn.Server):
    """Says what it still finishes."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping: %d requests are finished, new ones are refused", len(self.server_state.tasks))
        await super().shutdown(sockets)


def configuration(settings: ServerSettings, app: object, access_log: bool) -> uvicorn.Config:
    """Of the HTTP server below the routes."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=protocol_with_patience(settings.body_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=access_log,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.body_seconds + settings.score_seconds,
        server_header=False,
    )


def bind(settings: ServerSettings) -> socket.socket:
    """An address that is ours, though nobody is answered yet.

    Raises:
        InputError: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another --host or --port."
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a server is asked."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM is Ctrl-C while metrics are made."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _leave_signals_to_uvicorn() -> None:
    """It raises those that it was stopped by once more when it is done, which is to end nothing else."""
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: None)


def _log_to_standard_error() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for name, level in (
        ("maagiqa.serve", logging.INFO),
        ("uvicorn.error", logging.WARNING),
        ("uvicorn.access", logging.INFO),
    ):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
