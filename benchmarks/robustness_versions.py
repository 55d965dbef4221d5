"""Which versions of an image the measurement of robustness looks at, how they are made, and their scores."""

from __future__ import annotations

import functools
import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from maagiqa_pyiqa.cache.keys import pixel_key
from maagiqa_pyiqa.images.ahead import map_ahead
from maagiqa_pyiqa.images.damage.table import DAMAGES, ROWS, Damage
from maagiqa_pyiqa.images.decoding import decode
from maagiqa_pyiqa.metrics.score_store import KeptScore, ScoreStore
from maagiqa_pyiqa.metrics.scoring import ImageScores, score_decoded
from maagiqa_pyiqa.support.progress import progress

SIZES = (256, 768, 1024)  # longer sides in pixels that images are re-rendered at
KERNELS = {"bicubic": Image.Resampling.BICUBIC, "nearest": Image.Resampling.NEAREST}
CHUNK = 32  # versions that are scored between two commits


class Version(NamedTuple):
    """One version of an image: of which size, and what was done to it.

    ``size`` is the longer side in pixels, or "own", or "double" for exact copies of each pixel.
    """

    size: int | str = "own"
    kernel: str = "bicubic"
    damage: str = ""
    strength: float = 0.0

    def make(self, image: np.ndarray, seed: int) -> np.ndarray:
        """Damage is done where pixels are real: before an image is enlarged, after it is reduced."""
        height, width = image.shape[:2]
        if self.size == "own":
            return self._damaged(image, seed)
        if self.size == "double":
            return self._damaged(image, seed).repeat(2, 0).repeat(2, 1)
        factor = int(self.size) / max(height, width)
        side = max(1, round(width * factor)), max(1, round(height * factor))
        if factor > 1:
            return self._rendered(self._damaged(image, seed), side)
        return self._damaged(self._rendered(image, side), seed)

    def _damaged(self, image: np.ndarray, seed: int) -> np.ndarray:
        return DAMAGES[self.damage](image, self.strength, seed) if self.damage else image

    def _rendered(self, image: np.ndarray, side: tuple[int, int]) -> np.ndarray:
        return np.asarray(Image.fromarray(image).resize(side, KERNELS[self.kernel]))


Job = tuple[Path, Version]


def two_strengths(damage: Damage) -> tuple[float, float]:
    """The milder and the stronger at which a damage is measured."""
    return damage.strengths[len(damage.strengths) // 2 - 1], damage.strengths[-1]


def damaged_versions(size: int | str) -> list[Version]:
    """Every damage at two strengths, of images of a size."""
    return [Version(size, damage=row.name, strength=strength) for row in ROWS for strength in two_strengths(row)]


def rendered_versions() -> list[Version]:
    """The undamaged image at other sizes, with the blur of scaling and without."""
    return [Version("double", "nearest"), *itertools.starmap(Version, itertools.product(SIZES, KERNELS))]


def list_jobs(paths: Sequence[Path], few: Sequence[Path]) -> list[Job]:
    """All versions that are scored, those of one size together.

    Args:
        paths: of which every damage at the own size is scored, and no damage at other sizes.
        few: of which damage at other sizes is scored, which costs more.
    """
    versions = [(paths, Version()), *((paths, version) for version in damaged_versions("own"))]
    versions += [(paths, version) for version in rendered_versions()]
    versions += [(few, version) for size in SIZES for version in damaged_versions(size)]
    by_size: dict[int | str, list[Job]] = {}
    for images, version in versions:
        by_size.setdefault(version.size, []).extend((path, version) for path in images)
    return [job for jobs in by_size.values() for job in sorted(jobs, key=lambda job: job[0])]


def score_jobs(
    jobs: Sequence[Job], metric: torch.nn.Module, key: str, store: ScoreStore, workers: int
) -> dict[Job, float]:
    """Score versions as far as the store lacks them, by their pixels; what was scored is kept every few images.

    Args:
        jobs: what is to be scored.
        metric: created metric.
        key: of the metric in the store.
        store: takes the scores.
        workers: threads that make versions.

    Returns:
        Score of each, NaN where the metric failed.
    """
    kept = store.read(key)
    scores: dict[Job, float] = {}
    made = map_ahead(_make, jobs, workers=workers, count=CHUNK)
    with progress(total=len(jobs), unit="version") as bar:
        for chunk in _chunks(zip(jobs, made, strict=True)):
            images = {pixels: image for _, (pixels, image) in chunk if pixels not in kept}
            new = _score(metric, images)
            store.write(key, new)
            kept.update(new)
            for job, (pixels, _) in chunk:
                score = kept[pixels].score
                scores[job] = float("nan") if score is None else score
            bar.update(len(chunk))
    return scores


def _chunks(items: Iterator[tuple[Job, tuple[bytes, torch.Tensor]]]) -> Iterator[list]:
    while chunk := list(itertools.islice(items, CHUNK)):
        yield chunk


def _make(job: Job) -> tuple[bytes, torch.Tensor]:
    """Key of a version's pixels, and these, (3, H, W), uint8."""
    path, version = job
    image = torch.from_numpy(version.make(_pixels(path), zlib.crc32(path.name.encode())).copy()).permute(2, 0, 1)
    return pixel_key(image), image


@functools.lru_cache(maxsize=4)
def _pixels(path: Path) -> np.ndarray:
    return np.asarray(decode(path))


def _score(metric: torch.nn.Module, images: Mapping[bytes, torch.Tensor]) -> dict[bytes, KeptScore]:
    decoded = ((ImageScores(Path(key.hex())), image) for key, image in images.items())
    return {
        bytes.fromhex(str(result.path)): KeptScore(result.scores.get(""), error=result.error or None)
        for result in score_decoded(decoded, {"": metric})
    }
