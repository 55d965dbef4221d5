"""``--gallery`` of ``score`` and ``rank``: a page to look through the images and correct the machine."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.verbs import Table, show
from maagiqa_pyiqa.images.sources import is_url, only_files
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import STANDARD_OUTPUT

if TYPE_CHECKING:
    from maagiqa_pyiqa.archs.region_map import RegionMap
    from maagiqa_pyiqa.images.sources import ImagePath
    from maagiqa_pyiqa.leaderboard.entrants import Entrant
    from maagiqa_pyiqa.metrics.scoring import ImageScores


def add_gallery(parser: argparse.ArgumentParser) -> None:
    """Add ``--gallery``, after the other outputs."""
    parser.add_argument(
        "--gallery", metavar="FILE.html", help="write a page to look through, filter, compare and choose by hand"
    )
    parser.set_defaults(outputs=(*parser.get_default("outputs"), "gallery"))


def check_gallery(arguments: argparse.Namespace, paths: Sequence[ImagePath]) -> None:
    """Refuse before the work a page whose thumbnails would have no place, or would be scored next time.

    Raises:
        InputError: it is no file on this machine, or an image is none; or it lies in a folder that is searched, with a
            folder beside it.
    """
    from maagiqa_pyiqa.gallery.gallery import EMBEDDED

    target = arguments.gallery
    if target is None:
        return
    if target == STANDARD_OUTPUT or is_url(target):
        raise InputError(f"'--gallery {target}': a gallery links to the pictures, so name a file on this machine.")
    only_files(paths)
    page = Path(os.path.realpath(Path(target).expanduser()))
    for folder in (item for item in arguments.inputs if len(paths) > EMBEDDED and os.path.isdir(item)):
        if Path(os.path.realpath(folder)) in page.parents:
            raise InputError(
                f"'--gallery {target}' lies in '{folder}', which is searched: beyond {EMBEDDED} images it puts "
                "thumbnails beside it, which would be scored next time; name a file elsewhere."
            )


def show_with_gallery(
    arguments: argparse.Namespace,
    table: Table,
    images: Sequence[ImageScores],
    entrants: Mapping[str, Entrant],
    prompts: Mapping[ImagePath, str] | None = None,
    regions: Callable[[ImagePath], RegionMap | None] | None = None,
    **others: Callable[[], str | bytes],
) -> None:
    """As ``verbs.show``, and the gallery of these images by the metrics of these entrants if one was asked for."""
    from maagiqa_pyiqa.gallery.gallery import Gallery

    if arguments.gallery is None:
        show(arguments, table, **others)
        return
    lower_better = {name: entrant.lower_better for name, entrant in entrants.items()}
    options = {} if regions is None else {"regions": regions}
    gallery = Gallery(Path(arguments.gallery), images, lower_better, prompts or {}, arguments.workers, **options)
    show(arguments, table, gallery=gallery.make_page, **others)
    gallery.remove_old_thumbnails()
