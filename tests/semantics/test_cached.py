"""A cache in place of the model: images are found by their content, and only what is there."""

import numpy as np
import pyiqa
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.semantics import extractor
from maagiqa_pyiqa.semantics.cached import NotCachedError
from maagiqa_pyiqa.semantics.extractor import create_extractor, feature_dim_of
from maagiqa_pyiqa.semantics.protocol import SemanticExtractor
from tests.helpers import extraction_runs
from tests.helpers.extraction_runs import extract
from tests.helpers.fake_extractor import BACKENDS, FakeExtractor

fake, images, cache = extraction_runs.fake, extraction_runs.images, extraction_runs.cache


def test_renamed_moved_and_losslessly_reencoded_images_are_hits(images, cache, tmp_path, capsys):
    extract(*images[:4], cache=cache)
    expected = FakeExtractor().extract(images[:4]).half().float()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    images[0].rename(moved / "renamed.png")
    Image.open(images[1]).save(moved / "a.webp", lossless=True)
    Image.open(images[2]).save(moved / "b.bmp")
    Image.open(images[3]).save(moved / "c.tiff")
    paths = [moved / name for name in ("renamed.png", "a.webp", "b.bmp", "c.tiff")]
    extractor = create_extractor(f"cache:{cache}")
    assert torch.equal(extractor.extract(paths), expected)
    assert torch.equal(extractor.extract(map(str, paths)), expected)
    assert torch.equal(extractor.extract(map(Image.open, paths)), expected)
    assert torch.equal(extractor.extract(torch.stack([to_tensor(Image.open(path)) for path in paths])), expected)
    assert extract(moved, cache=cache) == 0
    assert "0 extracted, 4 cached before" in capsys.readouterr().out


def test_an_edited_image_is_a_miss_that_names_it_and_the_command(images, cache):
    extract(*images, cache=cache)
    pixels = np.array(Image.open(images[0]))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(images[0])
    extractor = create_extractor(f"cache:{cache}")
    command = rf"extract it first: maagiqa extract .* --cache {cache}"
    with pytest.raises(NotCachedError, match=rf"image '{images[0]}' is not in the feature cache '{cache}'; {command}"):
        extractor.extract(images)
    with pytest.raises(NotCachedError, match=rf"an image \(by its pixels\) is not in the feature cache.*{command}"):
        extractor.extract(to_tensor(Image.fromarray(pixels))[None])
    (_, miss), (_, hit) = extractor.stream(images[:2])
    assert isinstance(miss, NotCachedError)
    assert torch.equal(hit, FakeExtractor().extract(images[1:2])[0].half().float())


def test_a_cache_keeps_the_protocol_of_what_filled_it(images, cache):
    extract(*images, cache=cache)
    extractor = create_extractor(f"cache:{cache}")
    assert isinstance(extractor, SemanticExtractor)
    assert extractor.prompts == FakeExtractor().prompts
    assert extractor.fingerprint == FakeExtractor().fingerprint
    assert feature_dim_of(f"cache:{cache}") == extractor.feature_dim == 8
    assert extractor.extract([]).shape == (0, 2, 8)
    CacheWriter.create(cache, extractor)


def test_a_metric_scores_from_the_cache_with_no_model_loaded(cache, tmp_path, monkeypatch):
    paths = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(paths):
        noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((240, 180), Image.Resampling.BICUBIC).save(path)
    assert extract(*paths[:2], cache=cache, extractor="visual", cache_dtype="float32") == 0
    expected = pyiqa.create_metric("maagiqa-lite-2026a", device="cpu")(str(paths[0]))

    monkeypatch.setattr(extractor, "BACKENDS", {"cache": BACKENDS["cache"]})  # no model can be loaded
    metric = pyiqa.create_metric("maagiqa-lite-2026a", semantics=f"cache:{cache}", device="cpu")
    torch.testing.assert_close(metric(str(paths[0])), expected, atol=1e-5, rtol=0)
    batch = torch.stack([to_tensor(Image.open(path)) for path in paths])
    torch.testing.assert_close(metric(batch[:2])[:1], expected, atol=1e-5, rtol=0)
    with pytest.raises(NotCachedError, match=r"is not in the feature cache .*maagiqa extract"):
        metric(batch)
