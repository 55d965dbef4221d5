"""Decoding: every kind of file gives 8-bit RGB or a reason."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode, read_image


def decompression_bomb(side=50_000):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def truncated_jpeg(path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    return path.read_bytes()[: path.stat().st_size // 2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"just some text", "not an image"),
        (decompression_bomb(), "decompression bomb"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, content, reason):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(path)


def test_a_truncated_image_is_named(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(truncated_jpeg(path))
    with pytest.raises(UnreadableImageError, match="truncated"):
        read_image(path)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGBA", 4), ("CMYK", 4), ("LA", 2), ("P", 1), ("1", 1)])
def test_every_mode_becomes_rgb_as_in_pyiqa(tmp_path, mode, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    path = tmp_path / "a.tiff"
    image.save(path)
    expected = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)
    assert len(image.getbands()) == channels
    assert torch.equal(read_image(path), expected)


@given(value=st.integers(0, 65535))
def test_sixteen_bit_is_scaled_and_not_clipped(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("images") / "a.png"
    Image.fromarray(np.full((2, 3), value, np.uint16)).save(path)
    pixels = read_image(path)
    assert pixels.shape == (3, 2, 3)
    assert abs(pixels.float() - value / 257).max() <= 0.5 + 1e-6


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif")[0].min() > 200


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(UnreadableImageError, match="no agreed range"):
        read_image(tmp_path / "a.tiff")


def test_decoding_leaves_the_warnings_of_the_process_alone(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    before, during, convert = list(warnings.filters), [], Image.Image.convert

    def watch(image, mode):
        during.append(list(warnings.filters))
        return convert(image, mode)

    monkeypatch.setattr(Image.Image, "convert", watch)
    read_image(tmp_path / "a.png")
    assert during == [before]  # threads decode at once: what one changes and restores, another finds and keeps


def test_an_error_inside_a_decoder_becomes_a_reason(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("Failed to decode image: Missing or empty image item")

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(UnreadableImageError, match="cannot be decoded: Failed to decode image"):
        read_image(tmp_path / "a.png")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n0 0 10 10 rectfill\nshowpage\n%%EOF\n"


def test_postscript_called_jpg_starts_no_interpreter(tmp_path, monkeypatch):
    (tmp_path / "picture.jpg").write_bytes(POSTSCRIPT)
    interpreter = tmp_path / "gs"
    interpreter.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    interpreter.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # what Pillow remembers of an earlier search
    with pytest.raises(UnreadableImageError, match=r"not an image of a format that is read here \(AVIF, BMP"):
        decode(tmp_path / "picture.jpg")
    assert not (tmp_path / "started").exists()
