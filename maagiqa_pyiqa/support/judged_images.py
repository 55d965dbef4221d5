"""What a reward gives beside its scores or raises in their place, computed here or by a server; nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

import numpy as np

from maagiqa_pyiqa.support.errors import InputError

OnError = Literal["nan", "raise"]
FARTHEST = 1.0  # distance within which 95 % of images lie that are like those a metric was trained on


class Info(TypedDict):
    """What stands behind scores; every list and array has an entry for each image.

    Attributes:
        errors: why an image has no score, None where it has one.
        raw: scores by metric as the metric gives them, float32, NaN where there is none.
        gates: by metric that mixes experts their weights, quality last, None where there are none.
        distances: by metric of which that is known, how far its features of an image are from those of its training
            images, float32, NaN where there is no score. 95 % of images that are like them are within 1.
        out_of_distribution: by the same metrics, whether an image is farther than that, bool: its score is worth
            little, and where it rises with training the reward is being hacked.
    """

    errors: list[str | None]
    raw: dict[str, np.ndarray]
    gates: dict[str, list[list[float] | None]]
    distances: dict[str, np.ndarray]
    out_of_distribution: dict[str, np.ndarray]


def info_of(
    errors: list[str | None],
    raw: dict[str, np.ndarray],
    gates: dict[str, list[list[float] | None]],
    distances: dict[str, np.ndarray],
) -> Info:
    """What stands behind scores, with what is too far told from the distances; NaN is not."""
    far = {name: values > FARTHEST for name, values in distances.items()}
    return Info(errors=errors, raw=raw, gates=gates, distances=distances, out_of_distribution=far)


class FailedImagesError(RuntimeError):
    """Images without a score where that is not to be NaN, or not one image with a score.

    Attributes:
        errors: for each image the reason, None where it has a score.
    """

    def __init__(self, errors: Sequence[str | None]) -> None:
        self.errors = list(errors)
        place, reason = next((place, error) for place, error in enumerate(self.errors) if error)
        failed = sum(error is not None for error in self.errors)
        super().__init__(f"{failed} of {len(self.errors)} images could not be scored; images[{place}]: {reason}")

    def __reduce__(self) -> tuple[type[FailedImagesError], tuple[list[str | None]]]:
        return type(self), (self.errors,)


def is_failure(errors: Sequence[str | None], on_error: OnError) -> bool:
    """Whether to raise: no image has a score, or one has none and ``on_error`` is ``raise``."""
    failed = sum(error is not None for error in errors)
    return failed > 0 and (failed == len(errors) or on_error == "raise")


def require_reward_each(errors: Sequence[str | None]) -> None:
    """Fail unless every image has a reward: a made-up one would spoil the advantages of its whole group.

    Raises:
        ValueError: one has none; names the first.
    """
    reasons = [f"images[{place}]: {reason}" for place, reason in enumerate(errors) if reason]
    if reasons:
        raise InputError(f"{len(reasons)} of {len(errors)} images have no reward; {reasons[0]}")


def require_prompt_each(prompts: Sequence[str] | None, images: int) -> None:
    """Fail unless there is a prompt for each image, or none at all.

    Raises:
        ValueError: another number of them.
    """
    if prompts is not None and len(prompts) != images:
        raise InputError(f"there are {len(prompts)} prompts for {images} images; give one an image, or none.")
