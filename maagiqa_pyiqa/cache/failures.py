"""Notes of images that could not be extracted, in ``failures-*.jsonl`` files beside a cache's features."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from maagiqa_pyiqa.cache.manifest import REMEDY, DamagedCacheError
from maagiqa_pyiqa.cache.storage import Storage, write_to_cache

FAILURES = "failures-*.jsonl"


class Failure(NamedTuple):
    """An image that could not be extracted, and why; ``file_key`` is hexadecimal."""

    source: str
    file_key: str
    reason: str


class FailureNotes:
    """The failures that any process has noted in a cache.

    Args:
        storage: where the cache lives.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def record(self, failures: Sequence[Failure]) -> None:
        """Note images that could not be extracted."""
        if failures:
            lines = "".join(json.dumps(failure._asdict()) + "\n" for failure in failures)
            name = FAILURES.replace("*", uuid.uuid4().hex)
            write_to_cache(self._storage, name, lines.encode(), f"notes of {len(failures)} images that failed")

    def read(self) -> list[Failure]:
        """All images that could not be extracted, each file once.

        Raises:
            DamagedCacheError: a file of notes is damaged.
        """
        failures = [failure for name in self._storage.names(FAILURES) for failure in self.read_file(name)]
        return list({(failure.source, failure.file_key): failure for failure in failures}.values())

    def read_file(self, name: str) -> list[Failure]:
        """Notes in one file; none if it was removed meanwhile.

        Raises:
            DamagedCacheError: it is not what was written.
        """
        try:
            return [Failure(**json.loads(line)) for line in self._storage.read(name).splitlines()]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, RecursionError) as error:
            message = f"'{name}' of the cache '{self._storage.location}' is damaged ({error}). {REMEDY}"
            raise DamagedCacheError(message) from error

    def forget(self) -> None:
        """Remove all notes, before the images are tried again."""
        for name in self._storage.names(FAILURES):
            self._storage.remove(name)
