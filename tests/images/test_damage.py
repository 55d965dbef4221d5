"""Damage done on purpose: the same each time, of the same size, more with more strength."""

import random

import numpy as np
import pytest

from maagiqa_pyiqa.images.damage import at_random
from maagiqa_pyiqa.images.damage.incoherence import SEAMS, duplicate, mirror, shuffle
from maagiqa_pyiqa.images.damage.table import DAMAGES, ROWS
from maagiqa_pyiqa.images.decoding import decode
from tests.helpers.places import SAMPLE

IMAGE = np.asarray(decode(SAMPLE / "images" / "midjourney_normal_007.jpg"))
CROP = IMAGE[100:331, 60:378]  # of odd sides
ORDERED = [row.name for row in ROWS if row.kind != "nothing" and row.name != "shuffled"]


class NoSeams:
    """Random numbers in which every choice is its first: of seams, none."""

    chosen = 0

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def choice(self, options):
        return options[self.chosen]

    def __getattr__(self, name):
        return getattr(self.rng, name)


class WideSeams(NoSeams):
    chosen = -1


def difference(one, other):
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_keeps_size_and_original_and_is_the_same_again(name):
    damage = DAMAGES[name]
    before = CROP.copy()
    for strength in damage.strengths:
        worse = damage(CROP, strength, seed=5)
        assert worse.shape == CROP.shape
        assert worse.dtype == np.uint8
        assert np.array_equal(worse, damage(CROP.copy(), strength, seed=5))
        assert difference(worse, CROP) > 0.3
    assert np.array_equal(CROP, before)


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.name not in ("blur", "jpeg", "resolution")])
def test_what_is_random_depends_on_the_seed(name):
    damage = DAMAGES[name]
    versions = [damage(CROP, damage.strengths[-1], seed) for seed in range(8)]
    assert any(not np.array_equal(versions[0], version) for version in versions[1:])


@pytest.mark.parametrize("name", ORDERED)
def test_stronger_damage_differs_more_from_the_original(name):
    damage = DAMAGES[name]
    differences = [
        np.mean([difference(damage(IMAGE, strength, seed), IMAGE) for seed in range(6)])
        for strength in damage.strengths
    ]
    assert differences == sorted(differences)
    assert differences[-1] > 1.1 * differences[0]


@pytest.mark.parametrize("name", DAMAGES)
def test_tiny_and_thin_images_are_damaged_too(name):
    for shape in ((1, 1, 3), (3, 5, 3), (20, 400, 3)):
        image = np.full(shape, 90, np.uint8)
        assert all(DAMAGES[name](image, strength).shape == shape for strength in DAMAGES[name].strengths)


def test_each_kind_of_incoherence_and_of_nothing_is_trained_on_and_held_out():
    for kind in ("incoherence", "nothing"):
        assert {row.held_out for row in ROWS if row.kind == kind} == {True, False}
    assert len(DAMAGES) == len(ROWS)  # names are unique
    functions = [{row.function for row in ROWS if row.held_out is held_out} for held_out in (True, False)]
    assert functions[0].isdisjoint(functions[1])


def test_shuffled_patches_are_the_same_patches_none_in_its_place():
    image = np.arange(64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    image[..., 0] = np.arange(64)[:, None] // 16 * 4 + np.arange(64)[None] // 16  # the number of the patch
    shuffled = shuffle(image, 4, NoSeams(0))
    places = shuffled[::16, ::16, 0].ravel()
    assert sorted(places) == list(range(16))
    assert (places != np.arange(16)).all()
    assert np.array_equal(np.sort(shuffled.reshape(-1, 3), axis=0), np.sort(image.reshape(-1, 3), axis=0))


def test_half_a_picture_is_mirrored_onto_the_other():
    mirrored = mirror(IMAGE, 0.5, NoSeams(0))
    assert np.array_equal(mirrored[:, :256], IMAGE[:, :256])
    assert np.array_equal(mirrored[:, 256:], IMAGE[:, 255::-1])


def test_a_blended_seam_has_no_sharp_edge():
    """Mirroring a dark stripe onto the bright side makes an edge, which blending flattens."""
    image = np.full((480, 480, 3), 200, np.uint8)
    image[:, :200] = 20
    sharp, blended = (np.diff(mirror(image, 0.2, rng(0))[240, 300:, 0].astype(int)) for rng in (NoSeams, WideSeams))
    assert np.abs(sharp).max() == 180
    assert np.abs(blended).max() <= 180 / (SEAMS[-1] * 480) * 2
    assert blended.sum() == sharp.sum()


@pytest.mark.parametrize("damage", [row for row in ROWS if row.kind == "incoherence"], ids=lambda row: row.name)
@pytest.mark.parametrize("rng", [NoSeams, WideSeams])
def test_moved_parts_bring_no_colours_from_outside_the_picture(damage, rng):
    image = np.full((200, 300, 3), 90, np.uint8)
    assert all(np.abs(damage.function(image, s, rng(1)).astype(int) - 90).max() <= 1 for s in damage.strengths)


def test_duplicates_are_of_pixels_that_are_in_the_picture():
    colours = np.random.default_rng(0).permutation(120 * 120).reshape(120, 120)
    image = np.stack([colours % 256, colours // 256, colours * 0], axis=-1).astype(np.uint8)
    duplicated = duplicate(image, 2, NoSeams(3))
    pixels = {tuple(pixel) for pixel in duplicated.reshape(-1, 3)}
    assert pixels < {tuple(pixel) for pixel in image.reshape(-1, 3)}


def test_damage_at_random_is_none_that_is_held_out_and_repeats_with_the_seed_of_random(monkeypatch):
    drawn = []
    for row in ROWS:
        monkeypatch.setattr(type(row), "__call__", lambda damage, image, *_: drawn.append(damage) or image)
    random.seed(0)
    for _ in range(400):
        at_random.damage_at_random(CROP)
    assert {damage.name for damage in drawn} == {row.name for row in ROWS if not row.held_out}
    monkeypatch.undo()
    versions = []
    for _ in range(2):
        random.seed(1)
        versions.append([at_random.damage_at_random(CROP) for _ in range(3)])
    assert np.array_equal(*versions)
