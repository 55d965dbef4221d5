"""Routes of the server."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from maagiqa_pyiqa import __version__
from maagiqa_pyiqa.serving import wire
from maagiqa_pyiqa.serving.batcher import Batcher, Engine, Item
from maagiqa_pyiqa.serving.bodies import Asked, read_request
from maagiqa_pyiqa.serving.guide import guide
from maagiqa_pyiqa.serving.limits import Account, MemoryBudget, RefusedError
from maagiqa_pyiqa.serving.monitoring import Monitoring
from maagiqa_pyiqa.serving.pixels import Pixels, read_part
from maagiqa_pyiqa.serving.rewards import Served
from maagiqa_pyiqa.serving.schema import (
    Cards,
    EngineHealth,
    Health,
    ImageResult,
    Refusal,
    ScoreResponse,
    body_of_score,
)
from maagiqa_pyiqa.serving.settings import MIB, ServerSettings

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "not as the schema says", "model": Refusal},
    401: {"description": "no token, or another", "model": Refusal},
    408: {"description": "the body came too slowly", "model": Refusal},
    413: {"description": "too large, or too many images", "model": Refusal},
    415: {"description": "a type or encoding that is not taken", "model": Refusal},
    429: {"description": "the queue or the memory for requests is full; see Retry-After", "model": Refusal},
    503: {"description": "nothing can score now", "model": Refusal},
    504: {"description": "not scored in time", "model": Refusal},
}


class Server:
    """What the routes work with.

    Args:
        settings: of the server.
        served: metrics that are scored.
        engines: that score them.
    """

    def __init__(self, settings: ServerSettings, served: Served, engines: Sequence[Engine]) -> None:
        self.settings, self.served = settings, served
        self.budget = MemoryBudget(settings.memory_mib * MIB)
        self.monitoring = Monitoring(
            lambda: self.batcher.waiting,
            lambda: self.budget.used,
            lambda: sum(one.restarts for one in self.batcher.engines),
        )
        self.batcher = Batcher(
            engines,
            batch_size=settings.batch_size,
            queue=settings.queue,
            linger=settings.linger_ms / 1000,
            on_batch=self.monitoring.count_batch,
        )
        self._decoders = ThreadPoolExecutor(settings.workers, "decode")

    async def score(self, request: Request) -> ScoreResponse:
        """Score the images of a request.

        Raises:
            RefusedError: says why not.
        """
        with self.budget.account() as account:
            asked = await read_request(request, self.settings, account)
            combination = self.served.combination(asked.options.metric, asked.options.normalize)
            images = await self._decode(asked, account)
            waiting = [image.values for image in images if image.values is not None]
            items = await self.batcher.submit(waiting, combination.names) if waiting else []
            await self._until_scored(request, items)
            outcomes = iter([item.future.result() for item in items])
            results = [
                _unreadable(image) if image.values is None else combination.result(image.name, next(outcomes))
                for image in images
            ]
            return ScoreResponse(results=results)

    async def _decode(self, asked: Asked, account: Account) -> list[Pixels]:
        loop = asyncio.get_running_loop()
        tasks = [loop.run_in_executor(self._decoders, read_part, part, self.settings, account) for part in asked.parts]
        try:
            images = [image for images in await asyncio.gather(*tasks) for image in images]
        finally:
            for task in tasks:
                task.cancel()
        if len(images) > self.settings.max_images:
            raise RefusedError(413, f"at most {self.settings.max_images} images a request, got {len(images)}")
        return images

    async def _until_scored(self, request: Request, items: Sequence[Item]) -> None:
        """Wait for all scores; who does not wait any more, or waits for too long, leaves the queue."""
        scored = asyncio.gather(*(item.future for item in items))
        gone = asyncio.create_task(_disconnected(request))
        try:
            either: set[asyncio.Future[Any]] = {scored, gone}
            done, _ = await asyncio.wait(
                either, timeout=self.settings.score_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            gone.cancel()
            if not scored.done():
                scored.cancel()
                await asyncio.gather(scored, return_exceptions=True)  # else its end is logged as one nobody saw
        if scored in done:
            scored.result()
        elif gone in done:
            raise RefusedError(499, "the client has gone")
        else:
            raise RefusedError(504, f"not scored within {self.settings.score_seconds} s; the server is too busy", 5)

    def health(self) -> Health:
        """How the engines do."""
        states = [one.state for one in self.batcher.engines]
        status = "ok" if set(states) == {"ready"} else "degraded" if "ready" in states else "down"
        engines = [
            EngineHealth.model_validate(
                {"device": one.engine.device, "state": one.state, "restarts": one.restarts, "problem": one.problem}
            )
            for one in self.batcher.engines
        ]
        return Health.model_validate(
            {
                "status": status,
                "version": __version__,
                "metrics": list(self.served.names),
                "engines": engines,
                "waiting": self.batcher.waiting,
            }
        )


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _unreadable(image: Pixels) -> ImageResult:
    return ImageResult(name=image.name, score=None, error=image.error, raw={}, gates={}, distances={})


def create_app(server: Server) -> FastAPI:
    """The application of a server."""
    app = FastAPI(
        title="maagiqa serve",
        version=str(wire.SCHEMA),
        summary="Scores of images by any no-reference metric, as `maagiqa_pyiqa.reward.make_reward` gives them.",
        docs_url=None,  # those of FastAPI take scripts from elsewhere
        redoc_url=None,
    )
    app.exception_handler(RefusedError)(_refuse)
    with_token = [Depends(_token_guard(server.settings.token))]

    @app.post(wire.SCORE_PATH, responses=REFUSALS, openapi_extra=body_of_score(), dependencies=with_token)
    async def score(request: Request) -> ScoreResponse:
        """Score images, in a form or as JSON; an image that has no score says why in its place."""
        start = time.monotonic()
        try:
            response = await server.score(request)
        except RefusedError as error:
            server.monitoring.count_request(error.status, time.monotonic() - start)
            raise
        failed = sum(one.error is not None for one in response.results)
        server.monitoring.count_request(200, time.monotonic() - start, len(response.results) - failed, failed)
        return response

    @app.get(wire.HEALTH_PATH, responses={503: {"model": Health}})
    async def health(response: Response) -> Health:
        """Whether images can be scored; 503 where not."""
        found = server.health()
        response.status_code = 503 if found.status == "down" else 200
        return found

    @app.get(wire.CARD_PATH, responses={401: REFUSALS[401]}, dependencies=with_token)
    def cards() -> Cards:
        """What is known of each metric that is served: direction, scale, training data, licences."""
        return Cards(cards=server.served.cards())

    @app.get(wire.METRICS_PATH, response_class=PlainTextResponse, dependencies=with_token)
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(server.monitoring.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get(wire.GUIDE_PATH, include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        """How to ask, for people."""
        url = str(request.base_url).rstrip("/")
        return HTMLResponse(guide(app.openapi(), server.served.names, url, server.settings.token is not None))

    return app


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    # what is left of the body is not read, so nothing else can come on this connection
    headers = {"Connection": "close"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return JSONResponse({"error": str(error)}, error.status, headers)


def _token_guard(token: str | None) -> Callable[[Request], None]:
    def guard(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
            raise RefusedError(401, "a token is asked for: Authorization: Bearer TOKEN")

    return guard
