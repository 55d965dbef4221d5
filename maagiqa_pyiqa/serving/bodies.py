"""Requests to score, read within limits: forms as browsers and curl send them, and JSON."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import AsyncGenerator
from typing import NamedTuple, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from maagiqa_pyiqa.serving import wire
from maagiqa_pyiqa.serving.limits import Account, RefusedError
from maagiqa_pyiqa.serving.schema import Options, ScoreRequest
from maagiqa_pyiqa.serving.settings import MIB, ServerSettings
from maagiqa_pyiqa.support.options import shortened
from maagiqa_pyiqa.support.text import printable

MAX_JSON_VALUES = 10_000  # parsed they take many times the memory that they take in the body
MAX_OPTIONS_BYTES = 64 * 1024
UNREAD_BYTES, UNREAD_SECONDS = 16 * MIB, 1.0  # of a refused body, that are let in before the answer
Body = TypeVar("Body", bound=BaseModel)
FORMS = "multipart/form-data or application/json"


class Part(NamedTuple):
    """A file of a request, not yet looked at."""

    name: str
    content: bytes


class Asked(NamedTuple):
    """A request to score."""

    options: Options
    parts: list[Part]


async def read_request(request: Request, settings: ServerSettings, account: Account) -> Asked:
    """Read a body.

    Raises:
        RefusedError: it is too large, too slow, of another type, or not as the schema says.
    """
    try:
        return await _read(request, settings, account)
    except RefusedError:
        if not _is_whole(request):
            await _let_in(request)
        raise


async def _read(request: Request, settings: ServerSettings, account: Account) -> Asked:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise RefusedError(415, f"a body with Content-Encoding {encoding!r} is not taken; send it as it is")
    if kind not in ("multipart/form-data", "application/json"):
        raise RefusedError(415, f"Content-Type must be {FORMS}, got {shortened(kind)}")
    stream = _within_limits(request, settings, account)
    try:
        asked = await (_read_form(request, stream, settings) if kind.startswith("multipart") else _read_json(stream))
    except ClientDisconnect as error:
        raise RefusedError(499, "the client has gone") from error
    if len(asked.parts) > settings.max_images:
        raise RefusedError(413, f"at most {settings.max_images} images a request, got {len(asked.parts)}")
    return asked


async def _within_limits(request: Request, settings: ServerSettings, account: Account) -> AsyncGenerator[bytes, None]:
    """Chunks of the body, counted as they come."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > settings.max_body:
        raise _too_large(settings)
    size, stream = 0, request.stream()
    deadline = asyncio.get_running_loop().time() + settings.body_seconds
    while True:
        left = deadline - asyncio.get_running_loop().time()
        try:
            chunk = await asyncio.wait_for(anext(stream, None), max(left, 0.001))
        except asyncio.TimeoutError as error:
            raise RefusedError(408, f"the body did not arrive within {settings.body_seconds} s") from error
        if chunk is None:
            request.state.body_is_whole = True
            return
        size += len(chunk)
        if size > settings.max_body:
            raise _too_large(settings)
        account.take(len(chunk))
        yield chunk


def _is_whole(request: Request) -> bool:
    """Whether all of the body was received; what refuses one may have been in the middle of it."""
    return getattr(request.state, "body_is_whole", False)


async def _let_in(request: Request) -> None:
    """Receive and forget more of a refused body: to close a connection on unread bytes takes the answer with it."""
    if "expect" in request.headers:  # who asks before sending has sent nothing
        return

    async def receive() -> None:
        left = UNREAD_BYTES
        while left > 0:
            message = await request.receive()
            if not message.get("more_body"):
                return
            left -= len(message.get("body", b""))

    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(receive(), UNREAD_SECONDS)


def _too_large(settings: ServerSettings) -> RefusedError:
    return RefusedError(413, f"a body may have {settings.max_body // MIB} MiB; send fewer images at once")


class _InMemory(MultiPartParser):
    """Files stay in memory, where the budget counts them."""

    spool_max_size = 0  # which SpooledTemporaryFile takes for no limit


async def _read_form(request: Request, stream: AsyncGenerator[bytes, None], settings: ServerSettings) -> Asked:
    parser = _InMemory(
        request.headers, stream, max_files=settings.max_images, max_fields=1, max_part_size=MAX_OPTIONS_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise RefusedError(413 if error.message.startswith("Too many") else 400, f"form: {error.message}") from error
    options, parts = Options(), list[Part]()
    for field, value in form.multi_items():
        if isinstance(value, UploadFile) and field == wire.IMAGES_FIELD:
            parts.append(Part(_name(value.filename, len(parts)), await value.read()))
        elif isinstance(value, str) and field == wire.OPTIONS_FIELD:
            options = _parsed(Options, value.encode())
        else:
            fields = f"files in '{wire.IMAGES_FIELD}' and text in '{wire.OPTIONS_FIELD}'"
            raise RefusedError(400, f"form: {fields} are taken, got {shortened(field)}")
    await form.close()
    if not parts:
        raise RefusedError(400, f"form: no file in '{wire.IMAGES_FIELD}'")
    return Asked(options, parts)


async def _read_json(stream: AsyncGenerator[bytes, None]) -> Asked:
    body = b"".join([chunk async for chunk in stream])
    return await asyncio.to_thread(_from_json, body)


def _from_json(body: bytes) -> Asked:
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_JSON_VALUES:
        raise RefusedError(413, f"JSON of more than {MAX_JSON_VALUES} values is not taken")
    request = _parsed(ScoreRequest, body)
    parts = [Part(_name(image.name, place), _decoded(image.data, place)) for place, image in enumerate(request.images)]
    return Asked(request, parts)


def _decoded(data: str, place: int) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(400, f"images.{place}.data: not base64 ({error})") from error


def _name(given: str | None, place: int) -> str:
    return printable(given or f"images[{place}]")[:200]


def _parsed(model: type[Body], text: bytes) -> Body:
    """JSON as a model, or the first thing that is wrong with it."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise RefusedError(400, printable(f"{place}: {first['msg']}" if place else first["msg"])[:300]) from error
