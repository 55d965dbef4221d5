"""Why a file's metadata is left alone."""

from __future__ import annotations

from maagiqa_pyiqa.support.errors import InputError


class MetadataError(InputError):
    """A file that is damaged, of another format, or laid out so that nothing can be put into it safely."""
