"""Images as requests hold them: the pixels that are decoded here, whatever the file."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from maagiqa_pyiqa.asking.payload import as_data_url
from maagiqa_pyiqa.cache.keys import ImageFile
from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8))


def encoded(kind, image=PICTURE, **options):
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return file.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("JPEG", exif=exif)


AS_IT_IS = {
    "jpeg": encoded("JPEG", quality=60),
    "png": encoded("PNG"),
    "webp": encoded("WEBP", lossless=True),
    "upright": encoded("JPEG", exif=Image.Exif()),
}
AS_PNG = {
    "bmp": encoded("BMP"),
    "tiff": encoded("TIFF"),
    "gif": encoded("GIF"),
    "gray": encoded("PNG", PICTURE.convert("L")),
    "palette": encoded("PNG", PICTURE.convert("P")),
    "alpha": encoded("PNG", PICTURE.convert("RGBA")),
    "transparent": encoded("PNG", transparency=(1, 2, 3)),
    "cmyk": encoded("JPEG", PICTURE.convert("CMYK")),
    "turned by EXIF": turned(),
    "animated": encoded("PNG", save_all=True, append_images=[PICTURE.rotate(180)]),
    "16 bit": encoded("PNG", Image.fromarray(np.arange(126, dtype=np.uint16).reshape(9, 14) * 500)),
}


def content_of(url):
    kind, data = url.split(";base64,")
    return kind.removeprefix("data:image/"), base64.b64decode(data)


@pytest.mark.parametrize("content", AS_IT_IS.values(), ids=AS_IT_IS)
def test_plain_files_are_sent_as_they_are(content):
    kind, sent = content_of(as_data_url(ImageFile(content)))
    assert sent == content
    assert kind == Image.open(io.BytesIO(content)).format.lower()


@pytest.mark.parametrize("content", AS_PNG.values(), ids=AS_PNG)
def test_what_others_may_see_differently_is_sent_as_a_plain_png_of_the_pixels_decoded_here(content):
    kind, sent = content_of(as_data_url(ImageFile(content)))
    opened = Image.open(io.BytesIO(sent))
    assert (kind, opened.format, opened.mode) == ("png", "PNG", "RGB")
    assert np.array_equal(np.asarray(opened), np.asarray(decode(content)))


def test_what_is_no_image_is_refused():
    with pytest.raises(UnreadableImageError, match="not an image of a format"):
        as_data_url(ImageFile(b"nothing"))
