"""What a server is started with, checked once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from maagiqa_pyiqa.serving import wire
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import require_integer

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where a server listens and what it takes.

    Attributes:
        host: address to listen on; one that other machines reach needs a token.
        port: 0 takes a free one.
        token: what requests have to name as ``Authorization: Bearer TOKEN``; None asks for none.
        open_without_token: listen to other machines without one all the same.
        batch_size: images scored at once.
        workers: threads that decode.
        linger_ms: how long an image may wait for company while nothing is scored.
        queue: images that may wait for a batch; where there are more, requests are refused.
        max_images: of one request.
        max_body_mib: of one request.
        max_megapixels: of one image.
        memory_mib: bodies and decoded images that may be held for all requests together.
        body_seconds: in which a request's headers and body have to arrive, each.
        score_seconds: after which a request that is still not scored is given up.
    """

    host: str = wire.HOST
    port: int = wire.PORT
    token: str | None = None
    open_without_token: bool = False
    batch_size: int = 8
    workers: int = 2
    linger_ms: int = 5
    queue: int = 512
    max_images: int = wire.MAX_IMAGES
    max_body_mib: int = wire.MAX_BODY_MIB
    max_megapixels: int = 17
    memory_mib: int = 1024
    body_seconds: int = 30
    score_seconds: int = 120

    def __post_init__(self) -> None:
        minima = {"port": 0, "linger_ms": 0} | dict.fromkeys(
            ("batch_size", "workers", "queue", "max_images", "max_body_mib", "max_megapixels", "memory_mib"), 1
        )
        for name, minimum in {**minima, "body_seconds": 1, "score_seconds": 1}.items():
            require_integer("serve", name, getattr(self, name), minimum)
        if self.token == "":
            raise InputError(f"serve: the token in {wire.TOKEN_VARIABLE} is empty; set one, or unset the variable.")
        if self.token is None and not self.open_without_token and not is_loopback(self.host):
            raise InputError(
                f"serve: other machines can reach '{self.host}', so requests need a token: set {wire.TOKEN_VARIABLE}, "
                "or say --without-token where everybody on the network may ask."
            )
        largest = 3 * self.max_megapixels * 1e6 + self.max_body_mib * MIB
        if self.memory_mib * MIB < largest:
            raise InputError(
                f"serve: memory_mib must hold the largest request, {largest / MIB:.0f} MiB, got {self.memory_mib}."
            )

    @property
    def max_body(self) -> int:
        """In bytes."""
        return self.max_body_mib * MIB


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
