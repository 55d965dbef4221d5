"""Requests that are refused, and the memory that all of them together may take."""

from __future__ import annotations

import threading
from types import TracebackType

from maagiqa_pyiqa.serving.settings import MIB


class RefusedError(Exception):
    """A request that is not answered with scores.

    Attributes:
        status: of HTTP.
        retry_after: seconds after which it may be tried again; None where that would change nothing.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


def busy(message: str) -> RefusedError:
    """There is no room now."""
    return RefusedError(429, message, retry_after=1)


class MemoryBudget:
    """Bytes that requests hold, all together; threads may count at once."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._lock = threading.Lock()

    def account(self) -> Account:
        """For one request; a context manager that gives back what was taken."""
        return Account(self)

    def change(self, size: int) -> None:
        """Take bytes, or give them back where ``size`` is negative.

        Raises:
            RefusedError: there is no room for them now.
        """
        with self._lock:
            if size > 0 and self.used + size > self.limit:
                raise busy(
                    f"requests hold {self.used // MIB} MiB of the {self.limit // MIB} MiB that they may; try later"
                )
            self.used += size


class Account:
    """What one request holds."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget, self._taken = budget, 0

    def take(self, size: int) -> None:
        """Count bytes before they are held.

        Raises:
            RefusedError: there is no room for them now.
        """
        self._budget.change(size)
        self._taken += size

    def __enter__(self) -> Account:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._budget.change(-self._taken)
        self._taken = 0
