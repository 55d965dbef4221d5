"""How a dataset is divided: the authors' split, and one in which no text prompt stands in two parts.

Every image of the authors' AGIQA-3k test part shares its prompt with a training image, so figures on the official
split flatter a model that remembers prompts; ``prompt-disjoint`` is reported beside it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import require_choice

PARTS = ("train", "val", "test")
SPLITS = ("official", "prompt-disjoint", "random", "all")
OFFICIAL_SEED = 20
VAL, TEST = 0.1, 0.2  # shares of the images, in both kinds of split

Split = dict[str, list[int]]


def official_split(n: int) -> Split:
    """The authors' 70/10/20 split: rows shuffled by Python's generator with seed 20, then cut.

    Args:
        n: number of rows, in the order of the dataset's own CSV.

    Returns:
        Row indices of ``train``, ``val`` and ``test`` in the authors' order.
    """
    rows = list(range(n))
    random.Random(OFFICIAL_SEED).shuffle(rows)
    return {"train": rows[: int(0.7 * n)], "val": rows[int(0.7 * n) : int(0.8 * n)], "test": rows[int(0.8 * n) :]}


def prompt_disjoint_split(prompts: Sequence[str], seed: int = 0, val: float = VAL, test: float = TEST) -> Split:
    """Split by image count, 70/10/20 unless said otherwise, such that no prompt stands in two parts.

    Prompts are compared without case and surrounding space. They are shuffled and handed in turn to the part that
    is furthest behind its share, so part sizes come within a prompt's images of the shares.

    Args:
        prompts: text prompt of each row.
        seed: of the shuffle.
        val: share of part ``val``.
        test: share of part ``test``; the rest is ``train``.

    Returns:
        Row indices of ``train``, ``val`` and ``test``, each ascending.

    Raises:
        ValueError: fewer than three different prompts, or shares that leave nothing for a part.
    """
    groups: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        groups.setdefault(str(prompt).strip().lower(), []).append(row)
    if len(groups) < len(PARTS):
        raise InputError(f"a prompt-disjoint split needs at least 3 different prompts, got {len(groups)}.")
    return _dealt([groups[prompt] for prompt in sorted(groups)], seed, val, test)


def random_split(n: int, seed: int = 0, val: float = VAL, test: float = TEST) -> Split:
    """Split ``n`` rows by chance, whatever their prompts; else as ``prompt_disjoint_split``."""
    return _dealt([[row] for row in range(n)], seed, val, test)


def _dealt(groups: list[list[int]], seed: int, val: float, test: float) -> Split:
    """Groups of rows, shuffled, each to the part that is furthest behind its share."""
    shares = {"train": round(1 - val - test, 9), "val": val, "test": test}
    if not all(share > 0 for share in shares.values()):  # true of NaN too
        raise InputError(
            f"a split needs images in every part: val and test must be over 0 and together under 1, "
            f"got {val:g} and {test:g}."
        )
    random.Random(seed).shuffle(groups)
    split: Split = {part: [] for part in PARTS}
    for group in groups:
        behind = min(PARTS, key=lambda part: len(split[part]) / shares[part])
        split[behind].extend(group)
    return {part: sorted(rows) for part, rows in split.items()}


def make_split(
    name: str, prompts: Sequence[str] | None, n: int, seed: int = 0, val: float = VAL, test: float = TEST
) -> Split:
    """Make the split of a name.

    Args:
        name: ``official``, ``prompt-disjoint``, ``random`` or ``all`` (every row in every part).
        prompts: text prompts, needed by ``prompt-disjoint``.
        n: number of rows.
        seed: of ``prompt-disjoint`` and ``random``.
        val: share of part ``val`` in these.
        test: share of part ``test`` in these.

    Raises:
        ValueError: an unknown name, no prompts where they are needed, or shares that leave nothing for a part.
    """
    require_choice("split", "name", name, SPLITS)
    if name == "official":
        return official_split(n)
    if name == "all":
        return {part: list(range(n)) for part in PARTS}
    if name == "random":
        return random_split(n, seed, val, test)
    if prompts is None:
        raise InputError("split 'prompt-disjoint' needs a prompt column; name it with prompt_column.")
    return prompt_disjoint_split(prompts, seed, val, test)
