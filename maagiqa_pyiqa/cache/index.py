"""From a 32-byte key to a row, for hundreds of millions of rows: sorted 8-byte beginnings, then the whole key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

ABSENT = -1


class KeyIndex:
    """Index of keys that stand in several arrays one after the other.

    Args:
        matrices: arrays (N, 32) uint8, possibly mapped; looked at, not copied.
    """

    def __init__(self, matrices: Sequence[np.ndarray]) -> None:
        self._matrices = matrices
        self._starts = np.cumsum([0, *map(len, matrices)])
        beginnings = [np.ascontiguousarray(matrix[:, :8]).view(np.uint64)[:, 0] for matrix in matrices]
        flat = np.concatenate(beginnings) if beginnings else np.empty(0, np.uint64)
        self._order = np.argsort(flat, kind="stable")  # of equal keys the first row comes first
        self._sorted = flat[self._order]
        self._added: dict[bytes, int] = {}

    def add(self, keys: Iterable[bytes], first_row: int) -> None:
        """Add keys of further rows, without sorting anew."""
        for row, key in enumerate(keys, start=first_row):
            self._added.setdefault(key, row)

    def find(self, key: bytes) -> int:
        """Row of a key, the first where there are several; ABSENT if there is none."""
        row = self._find_sorted(key)
        return row if row != ABSENT else self._added.get(key, ABSENT)

    def _find_sorted(self, key: bytes) -> int:
        beginning = np.frombuffer(key, np.uint64, 1)[0]
        position = int(self._sorted.searchsorted(beginning))
        while position < len(self._sorted) and self._sorted[position] == beginning:
            row = int(self._order[position])
            if self._key(row) == key:
                return row
            position += 1
        return ABSENT

    def _key(self, row: int) -> bytes:
        matrix = int(self._starts.searchsorted(row, "right")) - 1
        return self._matrices[matrix][row - self._starts[matrix]].tobytes()

    def count_distinct(self) -> int:
        """How many different keys there are."""
        same = self._sorted[1:] == self._sorted[:-1]  # as their neighbour, by the first 8 bytes
        doubtful = np.flatnonzero(np.append(same, False) | np.append(False, same))
        distinct = len(self._sorted) - len(doubtful) + len({self._key(int(row)) for row in self._order[doubtful]})
        return distinct + sum(self._find_sorted(key) == ABSENT for key in self._added)
