"""From a 32-byte key to a row, for hundreds of millions of rows: sorted 8-byte beginnings, then the whole key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

ABSENT = -1
KeyMatrix: TypeAlias = NDArray[np.uint8]  # (N, 32)


class KeyIndex:
    """Index of the keys in several arrays, whose rows follow one another.

    Args:
        matrices: possibly mapped; looked at, not copied.
    """

    def __init__(self, matrices: Sequence[KeyMatrix]) -> None:
        self._matrices = matrices
        self._starts = np.cumsum([0, *map(len, matrices)])
        beginnings = [np.ascontiguousarray(matrix[:, :8]).view(np.uint64)[:, 0] for matrix in matrices]
        flat = np.concatenate(beginnings) if beginnings else np.empty(0, np.uint64)
        self._order = np.argsort(flat, kind="stable")  # of equal keys the first row comes first
        self._sorted = flat[self._order]
        self._rows = len(flat)
        self._added: dict[bytes, int] = {}

    def add(self, matrix: KeyMatrix) -> None:
        """Add keys of further rows, without sorting anew."""
        for row, key in enumerate(matrix, start=self._rows):
            self._added.setdefault(key.tobytes(), row)
        self._rows += len(matrix)

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
        key: bytes = self._matrices[matrix][row - self._starts[matrix]].tobytes()
        return key

    def count_distinct(self) -> int:
        """How many different keys there are."""
        same = self._sorted[1:] == self._sorted[:-1]  # as their neighbour, by the first 8 bytes
        doubtful = np.flatnonzero(np.append(same, False) | np.append(False, same))
        distinct = len(self._sorted) - len(doubtful) + len({self._key(int(row)) for row in self._order[doubtful]})
        return distinct + sum(self._find_sorted(key) == ABSENT for key in self._added)
