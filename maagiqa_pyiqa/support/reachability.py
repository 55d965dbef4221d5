"""Whether a host can be reached, found out in seconds: hubs' own clients retry for minutes before they fail."""

from __future__ import annotations

import contextlib
import importlib
import ipaddress
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

LIMIT_SECONDS = 4.0
# beside the hub, where pyiqa's metrics fetch weights from
WEIGHT_HOSTS = (
    "huggingface.co",
    "drive.google.com",
    "github.com",
    "openaipublic.azureedge.net",
    "download.pytorch.org",
)


class UnreachableError(ConnectionError):
    """A host that does not answer; ``remedy`` says what to do instead, in one sentence or more."""

    def __init__(self, host: str, port: int, remedy: str) -> None:
        super().__init__(f"{host} cannot be reached from here. {remedy}")
        self.host, self.port, self.remedy = host, port, remedy

    def __reduce__(self) -> tuple[type[UnreachableError], tuple[str, int, str]]:
        return UnreachableError, (self.host, self.port, self.remedy)


def is_reachable(host: str, port: int = 443, limit: float = LIMIT_SECONDS) -> bool:
    """Return whether a TCP connection to ``host`` opens within ``limit`` seconds, name look-up included.

    Where https goes through a proxy, the proxy is what has to answer.
    """
    proxy = urllib.parse.urlparse(urllib.request.getproxies().get("https", ""))
    if proxy.hostname and not urllib.request.proxy_bypass(host):
        host, port = proxy.hostname, proxy.port or port
    opened: list[bool] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=limit).close()
            opened.append(True)
        except OSError:
            pass

    # a thread of its own: the look-up of a name has no timeout
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(limit)
    return bool(opened)


def require_reachable(host: str, remedy: str, port: int = 443) -> None:
    """Raise UnreachableError naming ``host`` and the remedy unless it can be reached within LIMIT_SECONDS."""
    if not is_reachable(host, port):
        raise UnreachableError(host, port, remedy)


def find_unreachable(hosts: Collection[str]) -> list[str]:
    """Which hosts cannot be reached; they are tried at once, so it takes no longer than LIMIT_SECONDS."""
    with ThreadPoolExecutor(len(hosts) or 1) as pool:
        return [host for host, up in zip(hosts, pool.map(is_reachable, hosts), strict=True) if not up]


@contextlib.contextmanager
def only_reachable() -> Iterator[None]:
    """Ask nothing of hosts of weights that do not answer now, so that what they have fails at once."""
    with no_network(find_unreachable({*WEIGHT_HOSTS, hub_host()})):
        yield


def hub_address() -> tuple[str, int]:
    """Host and port of the model hub: huggingface.co, or the mirror that HF_ENDPOINT names."""
    endpoint = urllib.parse.urlparse(importlib.import_module("huggingface_hub.constants").ENDPOINT)
    port = endpoint.port or (80 if endpoint.scheme == "http" else 443)
    return endpoint.hostname or "huggingface.co", port


def hub_host() -> str:
    """Host of the model hub."""
    return hub_address()[0]


@contextlib.contextmanager
def no_network(hosts: Collection[str] | None = None) -> Iterator[None]:
    """Make connections fail at once, so that nothing is fetched and nothing retries for minutes.

    The hub's client is put into its offline mode, in which it looks at its cache only. This machine itself can still
    be talked to.

    Args:
        hosts: those to which connections fail; by default all.
    """
    constants: Any = importlib.import_module("huggingface_hub.constants")
    saved = socket.socket.connect, socket.getaddrinfo, constants.HF_HUB_OFFLINE

    def refused(host: Any) -> bool:
        return not _is_this_machine(host) if hosts is None else host in hosts

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and refused(address[0]):
            raise ConnectionError(f"{address[0]} is out of reach: the network is switched off")
        saved[0](self, address)

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if refused(host):
            raise ConnectionError(f"{host} is out of reach: the network is switched off")
        return saved[1](host, *arguments, **options)

    socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo  # type: ignore[method-assign,assignment]
    # read by the hub's client at each request; the environment variable would come too late
    constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE or hosts is None or hub_host() in hosts
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo, constants.HF_HUB_OFFLINE = saved  # type: ignore[method-assign]


def _is_this_machine(host: Any) -> bool:
    host = host.decode() if isinstance(host, bytes) else host
    try:
        return host in (None, "", "localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
