"""How a dataset is divided: the authors' split, and those in which no text prompt stands in two parts.

Every image of the authors' AGIQA-3k test part shares its prompt with a training image, so figures on the official
split flatter a model that remembers prompts; ``prompt-disjoint`` is reported beside it. ``prompt-folds:0`` to
``prompt-folds:4`` are five such splits of AGIQA-3k that others publish, each testing a fifth of the prompts.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import require_choice

PARTS = ("train", "val", "test")
FOLDS = "prompt-folds"
FOLD_FILE = Path(__file__).with_name("prompt_folds.txt")
FOLD_SPLITS = tuple(f"{FOLDS}:{fold}" for fold in range(5))
SPLITS = ("official", "prompt-disjoint", "random", "all", *FOLD_SPLITS)
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
    groups = _groups(prompts)
    if len(groups) < len(PARTS):
        raise InputError(f"a prompt-disjoint split needs at least 3 different prompts, got {len(groups)}.")
    return _dealt(groups, seed, _shares(val, test))


def random_split(n: int, seed: int = 0, val: float = VAL, test: float = TEST) -> Split:
    """Split ``n`` rows by chance, whatever their prompts; else as ``prompt_disjoint_split``."""
    return _dealt([[row] for row in range(n)], seed, _shares(val, test))


def fold_split(prompts: Sequence[str], fold: int, seed: int = 0) -> Split:
    """One of the published five prompt-grouped folds of AGIQA-3k: its images are tested, those of the others trained.

    The assignment names no validation part: of the other folds' prompts an eighth is taken, by chance.

    Args:
        prompts: text prompt of each row of AGIQA-3k, in any order.
        fold: 0 to 4.
        seed: of the choice of the validation part.

    Returns:
        Row indices of ``train``, ``val`` and ``test``, each ascending; no prompt stands in two parts.

    Raises:
        ValueError: these are not AGIQA-3k's prompts.
    """
    groups, folds = _groups(prompts), _published_folds()
    if len(groups) != len(folds):
        raise InputError(
            f"split '{FOLDS}:{fold}' is of AGIQA-3k, which has {len(folds)} text prompts, and this table has "
            f"{len(groups)}; take 'prompt-disjoint'."
        )
    tested = [row for group, own in zip(groups, folds, strict=True) if own == fold for row in group]
    rest = [group for group, own in zip(groups, folds, strict=True) if own != fold]
    return {**_dealt(rest, seed, {"train": 1 - VAL - TEST, "val": VAL}), "test": sorted(tested)}


def normalised_prompt(prompt: object) -> str:
    """A prompt as it is compared with others: without case and surrounding space."""
    return str(prompt).strip().lower()


def _groups(prompts: Sequence[str]) -> list[list[int]]:
    """Rows of each prompt, in the order of the prompts."""
    groups: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        groups.setdefault(normalised_prompt(prompt), []).append(row)
    return [groups[prompt] for prompt in sorted(groups)]


@cache
def _published_folds() -> tuple[int, ...]:
    """Fold of each of AGIQA-3k's prompts, in their order."""
    lines = FOLD_FILE.read_text(encoding="utf-8").splitlines()
    return tuple(int(digit) for line in lines if not line.startswith("#") for digit in line)


def _shares(val: float, test: float) -> dict[str, float]:
    shares = {"train": round(1 - val - test, 9), "val": val, "test": test}
    if not all(share > 0 for share in shares.values()):  # true of NaN too
        raise InputError(
            f"a split needs images in every part: val and test must be over 0 and together under 1, "
            f"got {val:g} and {test:g}."
        )
    return shares


def _dealt(groups: list[list[int]], seed: int, shares: Mapping[str, float]) -> Split:
    """Groups of rows, shuffled, each to the part that is furthest behind its share."""
    random.Random(seed).shuffle(groups)
    split: Split = {part: [] for part in shares}
    for group in groups:
        behind = min(split, key=lambda part: len(split[part]) / shares[part])
        split[behind].extend(group)
    return {part: sorted(rows) for part, rows in split.items()}


def make_split(
    name: str, prompts: Sequence[str] | None, n: int, seed: int = 0, val: float = VAL, test: float = TEST
) -> Split:
    """Make the split of a name.

    Args:
        name: ``official``, ``prompt-disjoint``, ``random``, ``all`` (every row in every part), or one of FOLD_SPLITS.
        prompts: text prompts, needed by ``prompt-disjoint`` and FOLD_SPLITS.
        n: number of rows.
        seed: of all but ``official`` and ``all``.
        val: share of part ``val`` in ``prompt-disjoint`` and ``random``.
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
        raise InputError(f"split '{name}' needs a prompt column; name it with prompt_column.")
    if name in FOLD_SPLITS:
        return fold_split(prompts, FOLD_SPLITS.index(name), seed)
    return prompt_disjoint_split(prompts, seed, val, test)


def training_rows(split: Split, with_val: bool) -> list[int]:
    """Rows that are trained on: part ``train``, and ``val`` too for a last training when all is chosen."""
    return list(dict.fromkeys(split["train"] + split["val"])) if with_val else split["train"]


def needs_prompts(name: str) -> bool:
    """Whether the split of a name is made by prompts."""
    return name == "prompt-disjoint" or name in FOLD_SPLITS
