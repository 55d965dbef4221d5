"""A text inside image files: pixels and all other metadata stay, the text comes back, and once more changes nothing."""

import io
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from maagiqa_pyiqa.images.metadata import MetadataError, read_text, with_text
from maagiqa_pyiqa.images.metadata.jpeg import XMP

TEXT = '{"piqe": {"score": 3.25, "model": "<a> & \\"b\\" \\udce9"}}'
OTHER_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="a &lt; b"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
PROMPT = "a cat, masterpiece\nNegative prompt: blurry\nSteps: 20, Seed: 1"


def picture(mode="RGB", size=(23, 17), seed=0):
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze(), mode if mode != "P" else "L").convert(mode)


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def prompt_chunks():
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", PROMPT)
    info.add_itxt("workflow", '{"é": 1}', zip=True)
    info.add_text("zipped", "x" * 1000, zip=True)
    return info


def exif():
    values = Image.Exif()
    values[0x9286] = PROMPT
    return values


def files():
    frames = {"save_all": True, "append_images": [picture(seed=1), picture(seed=2)], "duration": 50}
    sixteen = Image.fromarray(np.arange(391, dtype=np.uint16).reshape(17, 23) * 160)
    return {
        "png": saved(picture(), "PNG", pnginfo=prompt_chunks(), exif=exif(), icc_profile=b"profile", dpi=(72, 72)),
        "png with alpha": saved(picture("RGBA"), "PNG"),
        "png with palette": saved(picture("P"), "PNG", transparency=3),
        "png of 16 bit": saved(sixteen, "PNG"),
        "png of many parts": saved(picture(size=(400, 300)), "PNG", compress_level=0),
        "png with something after it": saved(picture(), "PNG") + b"a zip file, say",
        "animated png": saved(picture(), "PNG", **frames),
        "jpeg": saved(picture(), "JPEG", exif=exif(), icc_profile=b"profile" * 20_000, comment=b"says"),
        "progressive jpeg": saved(picture(), "JPEG", progressive=True, quality=30),
        "jpeg of four colours": saved(picture("CMYK"), "JPEG"),
        "jpeg with xmp": saved(picture(), "JPEG", xmp=OTHER_XMP),
        "jpeg with something after it": saved(picture(), "JPEG") + b"more",
        "webp": saved(picture(), "WEBP", quality=40),
        "webp without loss": saved(picture(), "WEBP", lossless=True),
        "webp with alpha": saved(picture("RGBA"), "WEBP", lossless=True),
        "webp with alpha and loss": saved(picture("RGBA"), "WEBP", quality=40),
        "webp with all": saved(picture(), "WEBP", exif=exif(), icc_profile=b"profile", xmp=OTHER_XMP),
        "animated webp": saved(picture(), "WEBP", **frames),
    }


FILES = files()


def all_of(content):
    """Pixels of every frame, and all that Pillow tells beside them, without our text."""
    with Image.open(io.BytesIO(content)) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append((image.mode, image.size, np.asarray(image).tobytes(), image.getpalette()))
        told = {name: value for name, value in image.info.items() if name not in ("maagiqa", "xmp")}
        return image.format, frames, told, dict(image.getexif())


@pytest.mark.parametrize("name", FILES)
def test_pixels_and_other_metadata_stay_and_the_text_comes_back(name):
    content = FILES[name]
    assert read_text(content) is None
    changed = with_text(content, TEXT)
    assert read_text(changed) == TEXT
    assert all_of(changed) == all_of(content)


@pytest.mark.parametrize("name", FILES)
def test_the_same_text_changes_nothing_and_another_takes_its_place(name):
    changed = with_text(FILES[name], TEXT)
    assert with_text(changed, TEXT) == changed
    other = with_text(changed, "{}")
    assert read_text(other) == "{}"
    assert with_text(other, TEXT) == changed
    assert all_of(other) == all_of(FILES[name])


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("png")])
def test_all_other_chunks_of_a_png_are_the_same_bytes(name):
    changed = with_text(FILES[name], TEXT)
    place = changed.index(b"iTXtmaagiqa") - 4
    size = int.from_bytes(changed[place : place + 4], "big") + 12
    assert changed[:place] + changed[place + size :] == FILES[name]
    assert (
        zlib.crc32(changed[place + 4 : place + size - 4]).to_bytes(4, "big") == changed[place + size - 4 : place + size]
    )


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "jpeg of four colours", "jpeg with something after it"])
def test_all_other_segments_of_a_jpeg_are_the_same_bytes(name):
    changed = with_text(FILES[name], TEXT)
    place = changed.index(XMP) - 4
    size = int.from_bytes(changed[place + 2 : place + 4], "big") + 2
    assert changed[:place] + changed[place + size :] == FILES[name]


@pytest.mark.parametrize("name", ["jpeg with xmp", "webp with all"])
def test_xmp_of_others_stays_around_ours_and_is_xml(name):
    with Image.open(io.BytesIO(with_text(FILES[name], TEXT))) as image:
        described = ElementTree.fromstring(image.info["xmp"].decode())[0]
    assert described[0].get("{http://purl.org/dc/elements/1.1/}title") == "a < b"
    assert described[1][0].text == TEXT


def test_a_text_that_another_program_has_made_an_attribute_is_found_and_replaced():
    packet = OTHER_XMP.replace(b'dc:title="', b'xmlns:maagiqa="urn:maagiqa:scores:1" maagiqa:scores="{}" dc:title="')
    content = saved(picture(), "JPEG", xmp=packet)
    assert read_text(content) == "{}"
    assert read_text(with_text(content, TEXT)) == TEXT
    assert with_text(content, TEXT).count(b"maagiqa:scores") == 2  # the attribute, and the name of the vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved(picture(), "BMP"), "a text can be put into PNG, JPEG and WebP only"),
        (b"", "a text can be put into PNG, JPEG and WebP only"),
        (FILES["png"][:-20], "cut short"),
        (FILES["jpeg"][:30], "damaged or cut short"),
        (FILES["webp"][:-20], "cut short"),
        (saved(picture(), "JPEG", xmp=b"x" * 60), "not understood"),
        (saved(picture(), "JPEG", xmp=OTHER_XMP.replace(b"</rdf", b" " * 65_150 + b"</rdf")), "as large as it can be"),
        (saved(picture(), "MPO", save_all=True, append_images=[picture(seed=1)]), "holds several images"),
    ],
)
def test_what_nothing_can_be_put_into_says_why(content, message):
    with pytest.raises(MetadataError, match=message):
        with_text(content, TEXT)


@given(st.sampled_from(["png", "jpeg", "webp with all", "webp without loss"]), st.data())
def test_damaged_files_are_refused_or_keep_what_can_be_read(name, data):
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content) - 1, 200)))] = data.draw(st.integers(0, 255))
    try:
        changed = with_text(bytes(content), TEXT)
    except MetadataError:
        return
    assert read_text(changed) == TEXT
