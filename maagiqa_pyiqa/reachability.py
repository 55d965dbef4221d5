"""Whether a host can be reached, found out in seconds: hubs' own clients retry for up to a minute before they fail."""

from __future__ import annotations

import socket
import threading
import urllib.parse
import urllib.request

LIMIT_SECONDS = 4.0


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


def require_reachable(host: str, remedy: str) -> None:
    """Raise ConnectionError naming ``host`` and the remedy unless it can be reached within LIMIT_SECONDS."""
    if not is_reachable(host):
        raise ConnectionError(f"{host} cannot be reached from here. {remedy}")
