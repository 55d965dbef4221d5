"""``--heatmap`` of ``score`` and ``rank``, and an explained gallery: which regions of the images are good."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maagiqa_pyiqa.cli.copies import refuse_inputs
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import require_writable, written_whole
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from PIL import Image

    from maagiqa_pyiqa.archs.region_map import RegionMap
    from maagiqa_pyiqa.images.sources import ImagePath
    from maagiqa_pyiqa.leaderboard.entrants import Entrant

SUFFIX = ".heatmap.jpg"
LONGEST_NAME = 80
JPEG_QUALITY = 90


def add_heatmap(parser: argparse.ArgumentParser) -> None:
    """Add ``--heatmap``."""
    help_text = "write of each image shown a picture of the quality of its regions there, NAME.heatmap.jpg"
    parser.add_argument("--heatmap", metavar="DIR", help=help_text)


class RegionMaps:
    """Maps of the regions of images, each made once, for pictures and for the gallery.

    Args:
        net: that maps them.

    Attributes:
        problems: of images that have no map, why.
    """

    def __init__(self, net: Any) -> None:
        self._net = net
        self._made: dict[ImagePath, RegionMap] = {}
        self.problems: dict[ImagePath, str] = {}

    def of(self, image: ImagePath, decoded: Image.Image | None = None) -> RegionMap | None:
        """The map of an image, decoded or not; None, and its problem noted, where that cannot be made."""
        from maagiqa_pyiqa.images.decoding import decode

        if image not in self._made and image not in self.problems:
            try:
                self._made[image] = self._map(decode(image) if decoded is None else decoded)
            except Exception as error:  # whatever is wrong with one image stops no other
                self.problems[image] = str(error) or type(error).__name__
        return self._made.get(image)

    def _map(self, picture: Image.Image) -> RegionMap:
        from maagiqa_pyiqa.archs.region_map import map_regions
        from maagiqa_pyiqa.images.decoding import as_tensor

        x = as_tensor(picture)[None].float().div_(255)
        return map_regions(self._net, x.to(next(self._net.parameters()).device))


def start_heatmaps(
    arguments: argparse.Namespace, paths: Sequence[ImagePath], entrants: Mapping[str, Entrant]
) -> RegionMaps | None:
    """Before the work, what maps regions, by the first metric's network; None where nobody asked for them.

    ``--heatmap`` asks, and an explained gallery as far as the metric has any.

    Raises:
        InputError: ``--heatmap`` with a metric that maps none, or what is put there would be scored next time.
        OSError: nothing can be written there.
    """
    if arguments.heatmap is None and not (arguments.explain and arguments.gallery):
        return None
    from maagiqa_pyiqa.archs.region_map import has_regions
    from maagiqa_pyiqa.metrics.identity import net_of

    if arguments.heatmap is not None:
        _check_folder(arguments, paths)
    name, entrant = next(iter(entrants.items()))
    net = net_of(entrant.source.create(arguments.device)) if _may_have_regions(entrant) else None
    if has_regions(net):
        return RegionMaps(net)
    if arguments.heatmap is not None:
        raise InputError(f"'--heatmap': metric {name} scores no regions; put maagiqa-lite first, -m maagiqa-lite.")
    return None


def _check_folder(arguments: argparse.Namespace, paths: Sequence[ImagePath]) -> None:
    folder = Path(arguments.heatmap).expanduser()
    files = [path for path in paths if isinstance(path, Path)]
    refuse_inputs(f"--heatmap {arguments.heatmap}", folder, arguments.inputs, files)
    require_writable(folder / f"a{SUFFIX}")


def _may_have_regions(entrant: Entrant) -> bool:
    """Whether it is worth creating: a metric with a large model takes minutes."""
    return entrant.source.metric == "maagiqa-lite" or entrant.source.network is not None


def finish_heatmaps(folder: str | None, maps: RegionMaps, images: Sequence[ImagePath]) -> int:
    """Write heat maps of images into a folder, if there is one; returns how many have none, each of which is told."""
    if folder is not None:
        _write_heatmaps(Path(folder).expanduser(), maps, images)
    for image, problem in maps.problems.items():
        print(f"  no heat map: {printable(image)}: {printable(problem)}", file=sys.stderr)
    return len(maps.problems)


def _write_heatmaps(folder: Path, maps: RegionMaps, images: Sequence[ImagePath]) -> None:
    from maagiqa_pyiqa.images.decoding import decode
    from maagiqa_pyiqa.support.progress import progress

    names = name_heatmaps([str(image) for image in images])
    for image, name in progress(zip(images, names, strict=True), total=len(images), what="heat maps"):
        try:
            picture = decode(image)
            regions = maps.of(image, picture)
            if regions is not None:
                _write_heatmap(folder / name, picture, regions)
        except Exception as error:  # such as an image that went away, or a full disk
            maps.problems[image] = str(error) or type(error).__name__


def _write_heatmap(target: Path, picture: Image.Image, regions: RegionMap) -> None:
    from maagiqa_pyiqa.images.heatmaps import draw_heatmap

    drawn = draw_heatmap(picture, regions.scores.float().cpu().numpy(), regions.score, regions.window)
    with written_whole(target) as aside:
        drawn.save(aside, "JPEG", quality=JPEG_QUALITY)


def name_heatmaps(images: Sequence[str]) -> list[str]:
    """Names of files for images: the image's own without what a name cannot hold everywhere.

    Where several would be the same, also without regard to case, each gets eight digits that depend on its path.
    """
    stems = [re.sub(r"[^\w. -]", "_", os.path.splitext(os.path.basename(image))[0])[:LONGEST_NAME] for image in images]
    count = Counter(stem.casefold() for stem in stems)
    return [
        f"{stem}{'' if count[stem.casefold()] == 1 else _digits(image)}{SUFFIX}"
        for stem, image in zip(stems, images, strict=True)
    ]


def _digits(image: str) -> str:
    return "-" + hashlib.sha256(os.fsencode(image)).hexdigest()[:8]
