"""Three hundred malformed files: each is an image or a reason, in little time and memory."""

import io
import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maagiqa_pyiqa.images import decoding
from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
NUMBERS = [order + kind for order in "<>" for kind in "IH"]  # how headers write numbers
JUDGE = """
import json, resource, sys, time
from pathlib import Path
from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode, read_image
decode(Path(sys.argv[1], "sound.png"))  # what is imported and reserved once
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
for path in sorted(Path(sys.argv[1]).iterdir()):
    started = time.process_time()  # of this process: a busy machine is no fault
    try:
        outcome = list(read_image(path).shape)
    except UnreadableImageError as error:
        outcome = str(error)
    except BaseException as error:
        outcome = {"raw": f"{type(error).__name__}: {error}"}
    print(json.dumps([path.name, time.process_time() - started, outcome]), flush=True)
"""


def sound(kind):
    pixels = np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def truncated(content, dice):
    return content[: dice.randrange(1, len(content))]


def flipped(content, dice):
    damaged = bytearray(content)
    for _ in range(dice.choice([1, 4, 32])):
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def flipped_header(content, dice):
    return flipped(content[:64], dice) + content[64:]


def lying(content, dice):
    """Another number somewhere in the first bytes, mostly a huge one."""
    place = dice.randrange(4, min(96, len(content) - 4))
    number = dice.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x3FFF3FFF, 0x00FF00FF])
    return content[:place] + struct.pack("<I", number) + content[place + 4 :]


def bomb(content, dice):
    """Wherever the header seems to give width and height, larger ones."""
    side = dice.choice([9_000, 60_000])
    if content.startswith(b"P6"):
        return content.replace(b"48 32", b"%d %d" % (side, side), 1)
    head = content[:300]
    for code in NUMBERS:
        for true in (48, 32):
            head = head.replace(struct.pack(code, true), struct.pack(code, side), 1)
    return head + content[300:]


def mutations():
    dice = random.Random(11)
    for index in range(300):
        kind = FORMATS[index % len(FORMATS)]
        mutate = (truncated, flipped, flipped_header, lying, bomb)[index // len(FORMATS) % 5]
        yield f"{index:03d}-{mutate.__name__}.{kind.lower()}", mutate(sound(kind), dice)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of memory as Linux has them")
def test_malformed_images_are_an_image_or_a_reason(tmp_path):
    (tmp_path / "sound.png").write_bytes(sound("PNG"))
    for name, content in mutations():
        (tmp_path / name).write_bytes(content)
    run = subprocess.run([sys.executable, "-c", JUDGE, tmp_path], capture_output=True, text=True, timeout=300)
    judged = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(judged) == 301
    assert [entry for entry in judged if isinstance(entry[2], dict)] == []
    assert max(seconds for _, seconds, _ in judged) < 5
    refused = [name for name, _, outcome in judged if isinstance(outcome, str)]
    assert len(refused) > 100  # the mutations bite


def test_an_image_above_the_limit_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_MEGAPIXELS", 0.001)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(UnreadableImageError, match=r"48 x 32 are .* reduce the image first"):
        decode(sound("PNG"))


@pytest.mark.parametrize("error", [struct.error("unpack"), KeyError(3), TypeError("x"), AttributeError("y")])
def test_whatever_a_decoder_raises_is_a_reason(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(UnreadableImageError, match="cannot be decoded"):
        decode(sound("PNG"))
