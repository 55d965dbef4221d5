"""What extractors share: images prepared in threads while the model works, results in order, bounded memory."""

from __future__ import annotations

import abc
import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from PIL import Image
from torchvision.transforms.functional import to_pil_image

from maagiqa_pyiqa.images.ahead import batches, map_ahead
from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode
from maagiqa_pyiqa.images.sources import ImageSource
from maagiqa_pyiqa.images.tensors import check_images
from maagiqa_pyiqa.semantics.protocol import DTYPES, TORCH_DTYPES, Images, fingerprint_of
from maagiqa_pyiqa.support.errors import InputError, InputTypeError
from maagiqa_pyiqa.support.options import require_choice

Result = tuple[int, "torch.Tensor | Exception"]
# an opened PIL image is decoded when first used, which two threads must not do at once; one lock for few images
_LOCKS = tuple(threading.Lock() for _ in range(61))


class BatchedExtractor(abc.ABC):
    """The extractor protocol on two methods: prepare one image, encode a batch of them.

    Args:
        batch_size: images encoded at once.
        workers: threads that decode and prepare; Pillow and torch let go of the interpreter while they work.
    """

    prompts: Sequence[str]
    feature_dim: int

    def __init__(self, batch_size: int, workers: int = 4) -> None:
        if batch_size < 1 or workers < 1:
            raise InputError(f"batch_size and workers must be at least 1, got {batch_size} and {workers}.")
        self.batch_size = batch_size
        self.workers = workers

    @property
    @abc.abstractmethod
    def fingerprint_parts(self) -> Mapping[str, Any]:
        """All that the numbers depend on, readable."""

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of ``fingerprint_parts``."""
        return fingerprint_of(self.fingerprint_parts)

    @abc.abstractmethod
    def _prepare(self, image: Any) -> Any:
        """Path, PIL image or tensor (3, H, W) to what a batch is made of; runs in a worker."""

    @abc.abstractmethod
    def _encode(self, batch: list[Any]) -> torch.Tensor:
        """Prepared images to features (N, E, D), float32 on the CPU."""

    def extract(self, images: Images) -> torch.Tensor:
        """Return (N, E, D) float32 on the CPU; raise on the first image that cannot be read."""
        rows = []
        for _, row in self.stream(images):
            if isinstance(row, Exception):
                raise row
            rows.append(row)
        return torch.stack(rows) if rows else torch.empty(0, len(self.prompts), self.feature_dim)

    def stream(self, images: Images) -> Iterator[Result]:
        """Yield (index, (E, D) features or the error) for each image, in order, a few batches in memory at a time."""
        prepared = map_ahead(
            self._try_prepare, images, workers=self.workers, count=2 * self.batch_size, pixels=_count_pixels
        )
        for batch in batches(enumerate(prepared), self.batch_size, lambda item: _count_pixels(item[1])):
            yield from self._features(batch)

    @torch.no_grad()
    def _try_prepare(self, image: Any) -> Any:
        try:
            return self._prepare(image)
        except (OSError, ValueError, TypeError, Image.DecompressionBombError) as error:
            return error

    @torch.no_grad()
    def _features(self, batch: list[tuple[int, Any]]) -> list[Result]:
        usable = [x for _, x in batch if not isinstance(x, Exception)]
        features = iter(self._encode(usable) if usable else ())
        return [(index, x if isinstance(x, Exception) else _finite(next(features))) for index, x in batch]


class ModelExtractor(BatchedExtractor):
    """A batched extractor that runs a model, with the same numbers inside a caller's autocast.

    Args:
        device: where it runs; the CPU by default.
        dtype: ``auto``, ``fp32``, ``bf16`` or ``fp16``; ``auto`` is fp32 on a CPU and ``gpu_dtype`` elsewhere.
        batch_size: images encoded at once; by default the first of ``batch_sizes`` on a CPU, elsewhere the second.
        workers: threads that decode and prepare.
    """

    gpu_dtype: ClassVar[str]
    batch_sizes: ClassVar[tuple[int, int]]

    def __init__(self, device: torch.device | str | None, dtype: str, batch_size: int | None, workers: int = 4) -> None:
        self.device = torch.device(device or "cpu")
        self.dtype = choose_dtype(dtype, self.device, self.gpu_dtype)
        super().__init__(self.batch_sizes[self.device.type != "cpu"] if batch_size is None else batch_size, workers)

    def _features(self, batch: list[tuple[int, Any]]) -> list[Result]:
        with torch.autocast(self.device.type, enabled=False):
            return super()._features(batch)


def choose_dtype(dtype: str, device: torch.device, gpu_dtype: str) -> torch.dtype:
    """Return the dtype of a name in DTYPES; ``auto`` is fp32 on a CPU and ``gpu_dtype`` elsewhere."""
    require_choice("semantic extractor", "dtype", dtype, DTYPES)
    return TORCH_DTYPES[dtype if dtype != "auto" else "fp32" if device.type == "cpu" else gpu_dtype]


def name_of(dtype: torch.dtype) -> str:
    """``float16`` for ``torch.float16``, as fingerprints and messages have it."""
    return str(dtype).removeprefix("torch.")


def _count_pixels(image: Any) -> int:
    """Pixels that an image, or what was prepared of it, holds; of a path none."""
    if isinstance(image, Image.Image):
        return image.width * image.height
    return image.shape[-1] * image.shape[-2] if torch.is_tensor(image) and image.ndim > 1 else 0


def _finite(features: torch.Tensor) -> torch.Tensor | Exception:
    if features.isfinite().all():
        return features
    return InputError("the model gave features that are not finite for this image; try dtype 'bf16' or 'fp32'.")


def as_pil(image: Any) -> Image.Image:
    """Path, source of an image, PIL image or float tensor (3, H, W) in [0, 1] to an 8-bit RGB PIL image.

    Raises:
        TypeError: something else.
        ValueError: a file that is no image (names it), or a tensor of wrong shape or range.
    """
    if isinstance(image, (str, Path, ImageSource)):
        try:
            return decode(image)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"image '{image}' cannot be read: {error}") from error
    if isinstance(image, Image.Image):
        with _LOCKS[id(image) % len(_LOCKS)]:
            return decode(image)
    if torch.is_tensor(image):
        pixels = check_images(image.detach().cpu().float().unsqueeze(0))[0].mul(255).round().byte()
        return cast(Image.Image, to_pil_image(pixels))
    raise InputTypeError(f"an image must be a path, a PIL image or a tensor (3, H, W), got {type(image).__name__}.")
