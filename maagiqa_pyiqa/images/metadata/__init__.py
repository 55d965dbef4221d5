"""A short text inside PNG, JPEG and WebP files; pixels and whatever else is in them stay as they are, byte for byte."""

from maagiqa_pyiqa.images.metadata.files import MetadataError, read_text, with_text

__all__ = ["MetadataError", "read_text", "with_text"]
