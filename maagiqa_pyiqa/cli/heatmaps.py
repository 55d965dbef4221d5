"""``--heatmap`` of ``score``: pictures that show which regions of the images are good."""

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
    from maagiqa_pyiqa.images.sources import ImagePath
    from maagiqa_pyiqa.leaderboard.entrants import Entrant

SUFFIX = ".heatmap.jpg"
LONGEST_NAME = 80
JPEG_QUALITY = 90


def add_heatmap(parser: argparse.ArgumentParser) -> None:
    """Add ``--heatmap``."""
    help_text = "write of each image shown a picture of the quality of its regions there, NAME.heatmap.jpg"
    parser.add_argument("--heatmap", metavar="DIR", help=help_text)


def network_for_heatmaps(
    arguments: argparse.Namespace, paths: Sequence[ImagePath], entrants: Mapping[str, Entrant]
) -> Any:
    """Before the work, the network that maps regions, the first metric's; None where no heat maps are asked for.

    Raises:
        InputError: its metric maps none, or what is put there would be scored next time.
        OSError: nothing can be written there.
    """
    if arguments.heatmap is None:
        return None
    from maagiqa_pyiqa.archs.region_map import has_regions
    from maagiqa_pyiqa.metrics.identity import net_of

    folder = Path(arguments.heatmap).expanduser()
    files = [path for path in paths if isinstance(path, Path)]
    refuse_inputs(f"--heatmap {arguments.heatmap}", folder, arguments.inputs, files)
    require_writable(folder / f"a{SUFFIX}")
    name, entrant = next(iter(entrants.items()))
    net = net_of(entrant.source.create(arguments.device)) if _may_have_regions(entrant) else None
    if not has_regions(net):
        raise InputError(f"'--heatmap': metric {name} scores no regions; put maagiqa-lite first, -m maagiqa-lite.")
    return net


def _may_have_regions(entrant: Entrant) -> bool:
    """Whether it is worth creating: a metric with a large model takes minutes."""
    return entrant.source.metric == "maagiqa-lite" or entrant.source.network is not None


def write_heatmaps(folder: str, net: Any, images: Sequence[ImagePath]) -> int:
    """Write heat maps of images; returns how many could not be made, each of which is told."""
    from maagiqa_pyiqa.support.progress import progress

    names = name_heatmaps([str(image) for image in images])
    problems = []
    for image, name in progress(zip(images, names, strict=True), total=len(images), what="heat maps"):
        try:
            _write_heatmap(Path(folder).expanduser() / name, net, image)
        except Exception as error:  # whatever is wrong with one image stops no other
            problems.append(f"{image}: {error or type(error).__name__}")
    for problem in problems:
        print(f"  no heat map: {printable(problem)}", file=sys.stderr)
    return len(problems)


def _write_heatmap(target: Path, net: Any, image: ImagePath) -> None:
    import numpy as np
    import torch

    from maagiqa_pyiqa.archs.region_map import map_regions
    from maagiqa_pyiqa.images.decoding import decode
    from maagiqa_pyiqa.images.heatmaps import draw_heatmap

    picture = decode(image)
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float().div_(255)
    regions = map_regions(net, x.to(next(net.parameters()).device))
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
