"""The page as a whole: one file, or beyond EMBEDDED images one file with a folder of thumbnails beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maagiqa_pyiqa.gallery.entries import common_folder, entry, regions_entry
from maagiqa_pyiqa.gallery.thumbnails import ThumbnailFolder, embed
from maagiqa_pyiqa.images.ahead import map_files_ahead
from maagiqa_pyiqa.images.heatmaps import colours_of_quality
from maagiqa_pyiqa.images.sources import ImagePath, only_files
from maagiqa_pyiqa.images.thumbnails import Thumbnail, make_thumbnail
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.pages import render_page
from maagiqa_pyiqa.support.progress import progress
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.archs.region_map import RegionMap

HERE = Path(__file__).parent
SCRIPTS = ("state.js", "grid.js", "regions.js", "viewer.js")
EMBEDDED = 500  # images up to which the page holds the thumbnails itself
SIDE = 224  # of a thumbnail
# pictures beside the page: 'self' where a server gives it, file: where it is opened from the disk
IMAGES_FROM = "'self' file: data:"


class Gallery:
    """A page of images with their scores.

    Args:
        page: the file that the page is to be, which its links start from.
        images: files on this machine, in any order; those without a score are listed with the reason.
        lower_better: by metric, the first of which the page sorts by, whether lower scores are better.
        prompts: of images that have one.
        workers: threads that decode.
        regions: gives the quality of an image's regions, which the page shows over the picture.
    """

    def __init__(
        self,
        page: Path,
        images: Sequence[ImageScores],
        lower_better: Mapping[str, bool],
        prompts: Mapping[ImagePath, str],
        workers: int = 2,
        regions: Callable[[ImagePath], RegionMap | None] = lambda path: None,
    ) -> None:
        self._page, self._lower_better, self._prompts, self._workers = page, lower_better, prompts, workers
        self._scored = [image for image in images if image.scores]
        self._failed = [image for image in images if not image.scores]
        self._regions = regions
        self._folder = ThumbnailFolder.beside(page)

    def make_page(self) -> str:
        """Make the thumbnails and the page; those of an earlier page stay until ``remove_old_thumbnails``."""
        entries = self._entries()
        metrics = [{"name": printable(name), "lower": lower} for name, lower in self._lower_better.items()]
        prompts = any(entry["prompt"] for entry in entries)
        values = {
            "known": {
                "metrics": metrics,
                "images": entries,
                "key": _key(entries),
                "colours": colours_of_quality().tolist() if any(entry["regions"] for entry in entries) else [],
            },
            "metrics": metrics,
            "groups": ["folder", "prompt"] if prompts else ["folder"],
            "failed": [(printable(image.path), printable(image.error)) for image in self._failed],
        }
        return render_page(HERE, SCRIPTS, values, images_from=IMAGES_FROM)

    def remove_old_thumbnails(self) -> None:
        """Remove from the folder of thumbnails what this page does not show; call it once the page is in place."""
        self._folder.keep_only_written()

    def _entries(self) -> list[dict[str, object]]:
        place = embed if len(self._scored) <= EMBEDDED else self._folder.write
        results = {image.path: image for image in self._scored}
        made = map_files_ahead(_thumbnail, list(results), workers=self._workers, count=2 * self._workers)
        root = common_folder(only_files([*results]))
        entries = []
        for path, thumbnail in progress(made, total=len(results), what="thumbnails"):
            source = place(thumbnail.jpeg) if thumbnail else None
            size = (thumbnail.width, thumbnail.height) if thumbnail else None
            prompt = self._prompts.get(path, "")
            known = entry(results[path], list(self._lower_better), self._page, root, source, size, prompt)
            entries.append({**known, "regions": regions_entry(self._regions(path))})
        return entries


def _thumbnail(path: ImagePath) -> tuple[ImagePath, Thumbnail | None]:
    return path, make_thumbnail(path, SIDE)


def _key(entries: Sequence[Mapping[str, object]]) -> str:
    """Under which a browser keeps the marks: the same for the same images, whatever scored them."""
    names = sorted(str(entry["image"]) for entry in entries)
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]
