"""Keys: the same for the same content, and different for different content."""

import hashlib
import struct

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.cache.keys import pixel_key


def test_pixel_key_is_the_hash_of_size_and_decoded_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    expected = hashlib.sha256(struct.pack("<II", 5, 7) + pixels.tobytes()).digest()
    assert pixel_key(Image.fromarray(pixels)) == expected
    assert pixel_key(torch.from_numpy(pixels).permute(2, 0, 1)) == expected
    assert pixel_key(to_tensor(Image.fromarray(pixels))) == expected


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.data())
def test_pixel_key_of_a_tensor_is_that_of_the_image_and_changes_with_any_level(height, width, seed, data):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    for near in (to_tensor(image), to_tensor(image).half(), to_tensor(image).double() - 0.4 / 255):
        assert pixel_key(near) == pixel_key(image)
    place = data.draw(st.integers(0, pixels.size - 1))
    pixels.reshape(-1)[place] ^= 1
    assert pixel_key(Image.fromarray(pixels)) != pixel_key(image)


def test_the_same_bytes_of_another_size_are_another_image():
    assert pixel_key(Image.new("RGB", (2, 6))) != pixel_key(Image.new("RGB", (6, 2)))
    assert pixel_key(Image.new("RGB", (2, 6))) != pixel_key(Image.new("RGB", (3, 4)))
