"""Where thumbnails go: into the page, or into a folder beside it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote

from maagiqa_pyiqa.images.thumbnails import as_data_url
from maagiqa_pyiqa.support.files import ASIDE_SUFFIX

FOLDER_SUFFIX = "_files"
OURS = re.compile(rf"[0-9a-f]{{32}}\.jpg({re.escape(ASIDE_SUFFIX)})?")


def embed(jpeg: bytes) -> str:
    """URL of a thumbnail that the page itself holds."""
    return as_data_url(jpeg)


class ThumbnailFolder:
    """Thumbnails as files named by their content, so that a page that was there before keeps its own.

    Args:
        folder: made when a first thumbnail is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: set[str] = set()

    @classmethod
    def beside(cls, page: Path) -> ThumbnailFolder:
        """The folder of a page: ``out_files`` of ``out.html``."""
        page = page.expanduser()
        return cls(page.with_name(page.stem + FOLDER_SUFFIX))

    def write(self, jpeg: bytes) -> str:
        """Write a thumbnail and return its URL, relative to the page."""
        name = hashlib.sha256(jpeg).hexdigest()[:32] + ".jpg"
        if name not in self._written:
            self._write(name, jpeg)
            self._written.add(name)
        return f"{quote(os.fsencode(self.folder.name))}/{name}"

    def _write(self, name: str, jpeg: bytes) -> None:
        """Whole or not at all, but not synced to the disk, which takes longer than making it: it can be made again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / (name + ASIDE_SUFFIX)
        aside.write_bytes(jpeg)
        aside.replace(self.folder / name)

    def keep_only_written(self) -> None:
        """Remove thumbnails that were not written through this object, and the folder if nothing is left in it."""
        if not self.folder.is_dir():
            return
        for name in os.listdir(self.folder):
            if OURS.fullmatch(name) and name not in self._written:
                (self.folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other files are in it
            self.folder.rmdir()
