"""Client of ``maagiqa serve``: a reward like that of ``maagiqa_pyiqa.reward.make_reward``, computed elsewhere.

It imports neither torch nor pyiqa, so that it fits into any environment: ``pip install --no-deps maagiqa_pyiqa`` with
numpy, pillow, safetensors and urllib3 is enough. What goes wrong raises; a failure never looks like a score.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import urllib3

from maagiqa_pyiqa.serving import wire
from maagiqa_pyiqa.serving.encoding import Encoded, Encoding, encode, single_images
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.judged_images import (
    FailedImagesError,
    Info,
    OnError,
    info_of,
    is_failure,
    require_prompt_each,
)

__all__ = ["FailedImagesError", "Info", "RewardClient", "ServerError"]

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts to connect


class ServerError(RuntimeError):
    """No scores came back: the server cannot be reached, refuses, is full or fails.

    Attributes:
        status: of HTTP, None where there was no answer.
        retry_after: seconds after which it may be tried again, where the server says so.
    """

    def __init__(self, message: str, status: int | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class RewardClient:
    """A reward of images that a server computes; threads and forked processes may share it, and it can be pickled.

    Args:
        url: of the server.
        metric: one that is served there, or several with their weights; by default the server's first.
        normalize: scale of the scores, as for ``make_reward``.
        on_error: ``nan`` gives an image that cannot be scored NaN, with the reason in ``info``; ``raise`` raises.
        token: which the server asks for; by default that in MAAGIQA_TOKEN.
        timeout: seconds to wait for an answer.
        wait: seconds to go on connecting where the connection is refused, as it is while a server starts. Nothing else
            is tried again.
        encoding: how 8-bit images travel, always without loss: ``tensor`` takes the least time, ``png`` and ``webp``
            the least bandwidth. Floats travel as they are, and so do files.
    """

    def __init__(
        self,
        url: str = f"http://{wire.HOST}:{wire.PORT}",
        *,
        metric: str | Mapping[str, float] | None = None,
        normalize: Literal["mos", "unit", "zscore"] | None = None,
        on_error: OnError = "nan",
        token: str | None = None,
        timeout: float = 180.0,
        wait: float = 60.0,
        encoding: Encoding = "tensor",
    ) -> None:
        for name, value, choices in (("on_error", on_error, OnError), ("encoding", encoding, Encoding)):
            if value not in get_args(choices):
                raise InputError(f"RewardClient: {name} must be one of {list(get_args(choices))}, got {value!r}.")
        self.url, self.on_error, self.encoding = url.rstrip("/"), on_error, encoding
        self.timeout, self.wait = timeout, wait
        self.options = {"schema": wire.SCHEMA, "metric": metric, "normalize": normalize}
        token = os.environ.get(wire.TOKEN_VARIABLE) if token is None else token
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool: tuple[int, urllib3.PoolManager] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}

    def __call__(
        self, images: Any, prompts: Sequence[str] | None = None, metadata: object = None
    ) -> tuple[np.ndarray, Info]:
        """Score images.

        Args:
            images: (N, 3, H, W) floats in [0, 1] or (N, H, W, 3) uint8, of numpy or torch, or a list of PIL images,
                paths and such arrays without N.
            prompts: one an image; only their number is looked at.
            metadata: not looked at.

        Returns:
            Scores (N,), float32, higher for better images, NaN for an image that could not be scored; and what stands
            behind them.

        Raises:
            TypeError, ValueError: images of another kind, or another number of prompts.
            ServerError: no scores came back.
            FailedImagesError: no image could be scored, or with ``on_error='raise'`` one could not.
        """
        parts = [encode(image, self.encoding) for image in single_images(images)]
        require_prompt_each(prompts, len(parts))
        results = self._score(parts)
        errors = [result["error"] for result in results]
        if is_failure(errors, self.on_error):
            raise FailedImagesError(errors)
        return np.array([_number(result["score"]) for result in results], np.float32), _info(results, errors)

    def health(self) -> dict[str, Any]:
        """What the server says of itself.

        Raises:
            ServerError: it cannot be reached, or nothing can score there.
        """
        return self._ask("GET", wire.HEALTH_PATH)

    def cards(self) -> dict[str, dict[str, Any] | None]:
        """What is known of the metrics that are served, as ``maagiqa_pyiqa.card`` tells it.

        Raises:
            ServerError: it cannot be reached, or refuses.
        """
        return dict(self._ask("GET", wire.CARD_PATH)["cards"])

    def _score(self, parts: Sequence[Encoded]) -> list[dict[str, Any]]:
        """A result for each part, in order."""
        unscored: dict[str, Any] = {"score": None, "raw": {}, "gates": {}, "distances": {}}
        results: list[dict[str, Any]] = [{**unscored, "error": part.error} for part in parts]
        sendable = [(place, part.content) for place, part in enumerate(parts) if part.error is None]
        for batch in _batches(sendable):
            fields = [(wire.OPTIONS_FIELD, json.dumps(self.options))]
            fields += [(wire.IMAGES_FIELD, (str(place), content)) for place, content in batch]  # type: ignore[misc]
            answer = self._ask("POST", wire.SCORE_PATH, fields=fields)
            names = [result["name"] for result in answer.get("results", ())]
            if answer.get("schema") != wire.SCHEMA or names != [str(place) for place, _ in batch]:
                raise ServerError(f"{self.url}: an answer of another schema, or to another request")
            for (place, _), result in zip(batch, answer["results"], strict=True):
                results[place] = result
        return results

    def _ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        response = self._connected(method, self.url + path, **body)
        try:
            answer = json.loads(response.data)
        except ValueError as error:
            raise ServerError(f"{self.url}{path}: {response.status}, and no JSON", response.status) from error
        if response.status != 200:
            after = response.headers.get("Retry-After", "")
            reason = answer.get("error", answer.get("status", answer)) if isinstance(answer, dict) else answer
            message = f"{self.url}{path}: {response.status}, {reason}"
            raise ServerError(message, response.status, int(after) if after.isdigit() else None)
        return dict(answer)

    def _connected(self, method: str, url: str, **body: Any) -> urllib3.BaseHTTPResponse:
        """The answer, of a server that may be just starting."""
        pause, end = FIRST_PAUSE, time.monotonic() + self.wait
        while True:
            try:
                return self._connections().request(
                    method, url, headers=self._headers, timeout=self.timeout, retries=False, **body
                )
            except urllib3.exceptions.NewConnectionError as error:
                if not isinstance(error.__cause__, ConnectionRefusedError) or time.monotonic() + pause > end:
                    raise ServerError(f"{url}: {error}") from error
            except urllib3.exceptions.HTTPError as error:
                raise ServerError(f"{url}: {error}") from error
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _connections(self) -> urllib3.PoolManager:
        """Of this process: a fork must not write to its parent's."""
        if self._pool is None or self._pool[0] != os.getpid():
            self._pool = os.getpid(), urllib3.PoolManager(maxsize=16)
        return self._pool[1]


def _number(score: float | None) -> float:
    return np.nan if score is None else score


def _info(results: Sequence[Mapping[str, Any]], errors: list[str | None]) -> Info:
    mixes = dict.fromkeys(name for result in results for name in result["gates"])
    gates = {name: [result["gates"].get(name) for result in results] for name in mixes}
    return info_of(errors, _by_metric(results, "raw"), gates, _by_metric(results, "distances"))


def _by_metric(results: Sequence[Mapping[str, Any]], key: str) -> dict[str, np.ndarray]:
    """Numbers of all images by metric, NaN where one has none."""
    names = dict.fromkeys(name for result in results for name in result[key])
    return {name: np.array([result[key].get(name, np.nan) for result in results], np.float32) for name in names}


def _batches(parts: Sequence[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """As many as a request may hold."""
    batch: list[tuple[int, bytes]] = []
    size, most = 0, (wire.MAX_BODY_MIB - 1) * 2**20  # the rest is for what stands between the parts
    for place, content in parts:
        if batch and (len(batch) == wire.MAX_IMAGES or size + len(content) > most):
            yield batch
            batch, size = [], 0
        batch.append((place, content))
        size += len(content)
    if batch:
        yield batch
