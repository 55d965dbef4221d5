"""``maagiqa extract`` and ``maagiqa cache``: every image once, wherever it comes from, and no failure hidden."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
import time
import zlib

import numpy as np
import pyiqa
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.cache.keys import pixel_key
from maagiqa_pyiqa.cache.official_layout import official_files
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.verify import verify
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.extraction.run import Extraction
from maagiqa_pyiqa.images.sources import find_sources
from maagiqa_pyiqa.semantics import extractor
from maagiqa_pyiqa.semantics.cached import NotCachedError
from maagiqa_pyiqa.semantics.extractor import create_extractor, feature_dim_of
from maagiqa_pyiqa.semantics.protocol import SemanticExtractor
from tests.helpers.fake_extractor import BACKENDS, FakeExtractor, run_maagiqa, spec, start, wait_until, write_pictures
from tests.helpers.input_files import make_tar, write_table


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    """The fake extractor, by its name."""
    monkeypatch.setattr(extractor, "BACKENDS", BACKENDS)


@pytest.fixture
def images(tmp_path):
    return write_pictures(tmp_path / "images", 10)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def extract(*inputs, cache, **options):
    """Run ``maagiqa extract`` and return its exit code."""
    arguments = [text for name, value in options.items() for text in option(name, value)]
    known = [] if "extractor" in options else ["--extractor", spec()]
    return main(["extract", *map(str, inputs), "--cache", str(cache), *known, *arguments])


def option(name, value):
    flag = f"--{name.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]


def assert_holds(cache, images):
    """The cache holds these images, each once, with the features they have."""
    opened = CacheReader.open(cache)
    rows = [opened.find_pixels(pixel_key(Image.open(path).convert("RGB"))) for path in images]
    assert torch.equal(opened.get(rows), FakeExtractor().extract(images).half().float())
    assert opened.rows == len(opened) == len(set(rows))


def contents(cache):
    """Features by pixels."""
    opened = CacheReader.open(cache)
    return {entry.pixel_key: opened.get([row])[0].tolist() for row, entry in enumerate(opened.entries())}


def features_by_name(cache):
    opened = CacheReader.open(cache)
    return {entry.source: opened.get([row])[0] for row, entry in enumerate(opened.entries())}


@pytest.mark.parametrize("shard", ["2/2", "0/0", "1", "1/", "/2", "a/b", "0/2/3", "", "1.0/2", "²/3"])
def test_a_shard_that_is_none_is_wrong_usage(images, cache, capsys, shard):
    assert extract(*images, cache=cache, shard=shard) == 2
    error = capsys.readouterr().err
    assert f"a shard is written I/N with 0 <= I < N, such as 0/2 and 1/2; got '{shard}'" in error
    assert not cache.exists()


# ----------------------------------------------------------------------------------------------------------- extraction


def test_features_are_those_of_the_extractor_and_a_second_run_does_nothing(images, cache, tmp_path, capsys):
    assert extract(tmp_path / "images", cache=cache, json=tmp_path / "report.json") == 0
    assert "10 extracted, 0 cached before, 0 failed, 0 failed before, 0 left of 10 images" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report == {"extracted": 10, "cached before": 0, "failed": 0, "failed before": 0, "left": 0, "failures": []}
    assert_holds(cache, images)
    parts = sorted(cache.iterdir())
    assert extract(tmp_path / "images", cache=cache) == 0
    assert "0 extracted, 10 cached before" in capsys.readouterr().out
    assert sorted(cache.iterdir()) == parts


def test_a_model_sees_every_image_once_and_cached_ones_never(images, cache):
    class Counting(FakeExtractor):
        seen = 0

        def _encode(self, batch):
            self.seen += len(batch)
            return super()._encode(batch)

    model = Counting()
    twice = find_sources([*images, *write_pictures(images[0].parent / "copies", 10)])
    for expected in (10, 10):
        Extraction(model, CacheWriter.create(cache, model)).run(twice)
        assert model.seen == expected
    assert_holds(cache, images)


def test_the_cache_does_not_depend_on_batch_size_workers_or_way_of_input(images, tmp_path):
    extract(tmp_path / "images", cache=tmp_path / "plain")
    extract(tmp_path / "images", cache=tmp_path / "batches", batch_size=3, workers=1)
    extract(make_tar(tmp_path / "0.tar", images), cache=tmp_path / "tar")
    rows = [["name"], *([f"images/{path.name}"] for path in images)]
    extract(write_table(tmp_path / "data.csv", rows), cache=tmp_path / "csv")
    plain = contents(tmp_path / "plain")
    assert len(plain) == 10
    for name in ("batches", "tar", "csv"):
        assert contents(tmp_path / name) == plain


def test_shards_give_what_one_run_gives(images, tmp_path, capsys):
    extract(tmp_path / "images", cache=tmp_path / "whole")
    for index in range(2):
        assert extract(tmp_path / "images", cache=tmp_path / f"shard{index}", shard=f"{index}/2") == 0
        assert extract(tmp_path / "images", cache=tmp_path / "together", shard=f"{index}/2") == 0
    assert main(["cache", "merge", str(tmp_path / "shard0"), str(tmp_path / "shard1")]) == 0
    assert "shard1: 5 images added" in capsys.readouterr().out
    assert contents(tmp_path / "shard0") == contents(tmp_path / "together") == contents(tmp_path / "whole")
    assert_holds(tmp_path / "shard0", images)


def test_single_precision_is_kept_where_it_is_asked_for(images, cache):
    extract(*images, cache=cache, cache_dtype="float32")
    features = features_by_name(cache)
    assert torch.equal(torch.stack([features[str(path)] for path in images]), FakeExtractor().extract(images))


def test_another_extractor_is_refused_in_one_line_with_what_differs(images, cache, capsys):
    extract(*images, cache=cache)
    assert extract(*images, cache=cache, extractor=spec(parts={"weights": "b"})) == 2
    assert 'weights: null there, "b" here' in capsys.readouterr().err
    assert_holds(cache, images)


def test_values_beyond_half_precision_end_the_run_with_advice(images, cache, tmp_path, capsys):
    large = spec(scale=1e6)
    assert extract(*images, cache=cache, extractor=large) == 2
    assert "not finite in float16; a cache of dtype float32 holds values beyond 65504" in capsys.readouterr().err
    assert extract(*images, cache=tmp_path / "float32", extractor=large, cache_dtype="float32") == 0


def test_a_name_that_is_not_unicode_is_no_obstacle(images, cache, tmp_path):
    os.rename(images[0], os.fsencode(tmp_path / "images") + b"/caf\xe9.png")
    assert extract(tmp_path / "images", cache=cache) == 0
    assert CacheReader.open(cache).rows == 10
    assert str(tmp_path / "images" / r"caf\udce9.png") in features_by_name(cache)


def test_progress_shows_images_a_second_and_the_time_left(images, cache, tmp_path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = ["extract", str(tmp_path / "images"), "--cache", str(cache), "--extractor", spec(delay=0.2)]
    process = start(run_maagiqa, command, os.ttyname(theirs))
    process.join(60)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    assert process.exitcode == 0
    assert re.search(r" 4/10 \[00:0\d<00:0\d, .*image/s\]", shown)
    assert re.search(r"100%.* 10/10 \[00:0\d<00:00, .*image/s\]", shown)


# ------------------------------------------------------------------------------------------------------------- failures


def bomb():
    """A PNG of a few bytes that claims 40,000 x 40,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def truncated(folder):
    path = folder / "whole.jpg"
    Image.effect_noise((64, 64), 50).convert("RGB").save(path)
    content = path.read_bytes()
    path.unlink()
    return content[: len(content) // 2]


@pytest.fixture
def bad(tmp_path, images):
    """Files beside the images that are none, and why."""
    folder = tmp_path / "images"
    files = {
        "text.png": (b"not an image", "not an image of a format"),
        "empty.png": (b"", r"empty file (0 bytes)"),
        "cut.jpg": (truncated(folder), "truncated"),
        "bomb.png": (bomb(), "decompression bomb"),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    return {str(folder / name): reason for name, (_, reason) in files.items()}


def test_bad_images_are_noted_with_the_reason_and_do_no_harm_to_others(images, bad, cache, tmp_path, capsys):
    assert extract(tmp_path / "images", cache=cache, json=tmp_path / "report.json") == 1
    shown = capsys.readouterr()
    assert "10 extracted, 0 cached before, 4 failed, 0 failed before, 0 left of 14 images" in shown.out
    report = json.loads((tmp_path / "report.json").read_text())
    noted = {failure.source: failure.reason for failure in CacheReader.open(cache).failures.read()}
    assert {failure["image"]: failure["reason"] for failure in report["failures"]} == noted
    assert noted.keys() == bad.keys()
    for name, reason in bad.items():
        assert reason in noted[name]
        assert f"{name}: {noted[name]}" in shown.err
    assert_holds(cache, images)


def test_bad_images_are_not_tried_again_unless_asked(images, bad, cache, tmp_path, capsys):
    extract(tmp_path / "images", cache=cache)
    assert extract(tmp_path / "images", cache=cache) == 1
    shown = capsys.readouterr()
    assert "0 extracted, 10 cached before, 0 failed, 4 failed before" in shown.out
    assert "4 failed in an earlier run; --retry-failed tries again" in shown.err
    assert extract(tmp_path / "images", cache=cache, retry_failed=True) == 1
    assert "0 extracted, 10 cached before, 4 failed, 0 failed before" in capsys.readouterr().out
    assert len(CacheReader.open(cache).failures.read()) == 4


def test_a_bad_image_that_was_mended_is_tried_by_itself(images, bad, cache, tmp_path, capsys):
    extract(tmp_path / "images", cache=cache)
    for index, name in enumerate(bad):
        Image.new("RGB", (5, 5), (index, 0, 0)).save(name)
    assert extract(tmp_path / "images", cache=cache) == 0
    assert "4 extracted, 10 cached before, 0 failed, 0 failed before" in capsys.readouterr().out


def test_an_image_that_vanishes_is_a_failure_and_is_tried_again(images, cache, capsys):
    sources = find_sources(images)
    content = images[3].read_bytes()
    images[3].unlink()
    summary = Extraction(FakeExtractor(), CacheWriter.create(cache, FakeExtractor())).run(sources)
    assert (summary.extracted, [name for name, _ in summary.failures]) == (9, [str(images[3])])
    images[3].write_bytes(content)
    assert extract(*images, cache=cache) == 0
    assert "1 extracted, 9 cached before" in capsys.readouterr().out


def test_a_decoder_that_fails_in_its_own_way_costs_one_image(images, cache, monkeypatch):
    whole = images[5].read_bytes()
    decode = Image.open

    def fail(file, *arguments, **options):
        if file.getvalue() == whole:
            raise ZeroDivisionError("a bug of the decoder")
        return decode(file, *arguments, **options)

    monkeypatch.setattr(Image, "open", fail)
    summary = Extraction(FakeExtractor(), CacheWriter.create(cache, FakeExtractor())).run(find_sources(images))
    assert summary.extracted == 9
    assert summary.failures == [(str(images[5]), "a bug of the decoder")]


def test_features_that_are_not_finite_are_a_failure_of_their_image(images, cache):
    class Broken(FakeExtractor):
        def _encode(self, batch):
            features = super()._encode(batch)
            features[1:2] = torch.nan
            return features

    summary = Extraction(Broken(), CacheWriter.create(cache, Broken())).run(find_sources(images[:4]))
    assert summary.extracted == 3
    assert [name for name, _ in summary.failures] == [str(images[1])]
    assert "not finite" in CacheReader.open(cache).failures.read()[0].reason


def test_damage_is_not_taken_for_a_failure_of_an_image(images, cache, capsys):
    extract(*images, cache=cache)
    part = next(cache.glob("part-*"))
    part.write_bytes(part.read_bytes()[:-30])
    assert extract(*images, cache=cache) == 2
    assert f"part '{part.name}'" in capsys.readouterr().err
    assert main(["cache", "verify", str(cache), "--repair"]) == 0
    assert extract(*images, cache=cache) == 0
    assert_holds(cache, images)


# -------------------------------------------------------------------------------------------------------------- signals


def started(images, cache, tmp_path, delay):
    """A running extraction that has begun its first batch of four."""
    command = ["extract", str(images[0].parent), "--cache", str(cache), "--extractor"]
    process = start(run_maagiqa, [*command, spec(delay=delay, mark=str(tmp_path / "mark"))], tmp_path / "log")
    wait_until((tmp_path / "mark").exists)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_current_batch(images, cache, tmp_path, number, capsys):
    process = started(images, cache, tmp_path, delay=0.5)
    os.kill(process.pid, number)
    process.join(60)
    log = (tmp_path / "log").read_text()
    assert process.exitcode == 130, log
    assert "stopping after this batch; once more to stop now" in log
    assert "4 extracted, 0 cached before, 0 failed, 0 failed before, 6 left of 10 images" in log
    assert "Traceback" not in log
    assert_holds(cache, images[:4])
    assert verify(cache).damage == {}
    assert not list(cache.glob(".*"))
    assert extract(*images, cache=cache) == 0
    assert "6 extracted, 4 cached before" in capsys.readouterr().out
    assert_holds(cache, images)


def test_a_second_signal_ends_it_at_once(images, cache, tmp_path):
    process = started(images, cache, tmp_path, delay=30)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    process.join(20)
    assert process.exitcode == 130
    assert CacheReader.open(cache).rows == 0
    assert not list(cache.glob("[.p]*"))


# ---------------------------------------------------------------------------------------------- images by their content


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
    expected = pyiqa.create_metric("maagiqa-lite", device="cpu")(str(paths[0]))

    monkeypatch.setattr(extractor, "BACKENDS", {"cache": BACKENDS["cache"]})  # no model can be loaded
    metric = pyiqa.create_metric("maagiqa-lite", semantics=f"cache:{cache}", device="cpu")
    torch.testing.assert_close(metric(str(paths[0])), expected, atol=1e-5, rtol=0)
    batch = torch.stack([to_tensor(Image.open(path)) for path in paths])
    torch.testing.assert_close(metric(batch[:2])[:1], expected, atol=1e-5, rtol=0)
    with pytest.raises(NotCachedError, match=r"is not in the feature cache .*maagiqa extract"):
        metric(batch)


# -------------------------------------------------------------------------------------------------------- maagiqa cache


def test_info_tells_what_a_cache_holds(images, bad, cache, tmp_path, capsys):
    extract(tmp_path / "images", cache=cache)
    assert main(["cache", "info", str(cache), "--json", str(tmp_path / "info.json")]) == 0
    facts = json.loads((tmp_path / "info.json").read_text())
    assert (facts["images"], facts["rows"], facts["failures"], facts["parts"]) == (10, 10, 4, 3)
    assert facts["fingerprint"] == FakeExtractor().fingerprint
    assert facts["made by"]["extractor"] == "fake"
    shown = capsys.readouterr().out
    for value in (facts["fingerprint"], "semantic_content, coherence", "2 x 8 float16"):
        assert value in shown


def test_compact_and_merge_say_what_they_did(images, tmp_path, capsys):
    for index, share in enumerate((images[:6], images[4:])):
        extract(*share, cache=tmp_path / f"{index}", batch_size=2)
    capsys.readouterr()
    assert main(["cache", "merge", str(tmp_path / "0"), str(tmp_path / "1"), str(tmp_path / "1")]) == 0
    assert [line.rsplit(": ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "4 images added",
        "0 images added",
    ]
    assert main(["cache", "compact", str(tmp_path / "0")]) == 0
    assert "5 parts became 1" in capsys.readouterr().out
    assert_holds(tmp_path / "0", images)


def test_merge_of_other_features_is_refused_with_both_shown(images, tmp_path, capsys):
    extract(*images, cache=tmp_path / "a", extractor=spec(parts={"weights": "a"}))
    extract(*images, cache=tmp_path / "b", extractor=spec(parts={"weights": "b"}))
    assert main(["cache", "merge", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    error = capsys.readouterr().err
    prints = [FakeExtractor(parts={"weights": name}).fingerprint[:12] for name in "ab"]
    assert f"'{tmp_path / 'a'}' holds other features than cache '{tmp_path / 'b'}'" in error
    assert f"fingerprint {prints[0]} there, {prints[1]} here" in error
    assert 'weights: "a" there, "b" here' in error


@pytest.mark.parametrize("action", ["info", "verify", "compact"])
def test_a_folder_that_is_no_cache_is_one_line_and_wrong_usage(tmp_path, capsys, action):
    assert main(["cache", action, str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "is no feature cache" in error
    assert error.count("\n") == 1


# -------------------------------------------------------------------------------------------------- the authors' layout


@pytest.fixture
def official(images, tmp_path):
    """Writes the authors' files for the images in some dtype; returns the vectors by file name."""

    def write(dtype=torch.float16, paths=images):
        generator = torch.Generator().manual_seed(0)
        vectors = {}
        for path in paths:
            for file in official_files(tmp_path / "files", path.name):
                file.parent.mkdir(exist_ok=True)
                vectors[file.name] = torch.randn(1, 24, generator=generator).to(dtype)
                torch.save(vectors[file.name], file)
        return vectors

    return write


def import_official(tmp_path, cache):
    files = ["--files", str(tmp_path / "files")]
    return main(["cache", "import-official", str(cache), *files, "--images", str(tmp_path / "images")])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_the_authors_files_come_back_exactly(images, official, cache, tmp_path, dtype):
    odd = images[0].rename(tmp_path / "images" / "sd1.5_low_0.9.png")
    vectors = official(dtype, [odd, *images[1:]])
    assert len(vectors) == 20
    assert import_official(tmp_path, cache) == 0
    features = features_by_name(cache)[str(odd)]
    assert torch.equal(features[0], vectors["sd1.5_low_0.9_semantic_content.pt"][0].float())
    assert torch.equal(features[1], vectors["sd1.5_low_0.9_coherence.pt"][0].float())
    assert main(["cache", "export-official", str(cache), "--files", str(tmp_path / "out")]) == 0
    exported = {path.name: torch.load(path, weights_only=True) for path in (tmp_path / "out").iterdir()}
    assert exported.keys() == vectors.keys()
    for name, vector in exported.items():
        assert vector.dtype == dtype
        assert torch.equal(vector, vectors[name])
        assert vector.untyped_storage().nbytes() == 24 * dtype.itemsize


def test_importing_again_adds_what_is_new(images, official, cache, tmp_path):
    official()
    import_official(tmp_path, cache)
    official(paths=[*images, *write_pictures(tmp_path / "images", 1, first=30)])
    assert import_official(tmp_path, cache) == 0
    assert CacheReader.open(cache).rows == 11


def test_images_alike_under_two_names_keep_both_their_files(images, official, cache, tmp_path):
    copied = tmp_path / "images" / "copy.png"
    copied.write_bytes(images[0].read_bytes())
    vectors = official(paths=[*images, copied])
    import_official(tmp_path, cache)
    main(["cache", "export-official", str(cache), "--files", str(tmp_path / "out")])
    assert torch.equal(torch.load(tmp_path / "out" / "copy_coherence.pt"), vectors["copy_coherence.pt"])
    assert torch.equal(torch.load(tmp_path / "out" / "0000_coherence.pt"), vectors["0000_coherence.pt"])


def without_a_file(tmp_path, images):
    (tmp_path / "files" / f"{images[3].stem}_coherence.pt").unlink()


def with_a_clash(tmp_path, images):
    Image.new("RGB", (3, 3)).save(images[3].with_suffix(".bmp"))


def with_another_width(tmp_path, images):
    for prompt in ("semantic_content", "coherence"):
        torch.save(torch.zeros(1, 25).half(), tmp_path / "files" / f"{images[3].stem}_{prompt}.pt")


def with_two_widths(tmp_path, images):
    torch.save(torch.zeros(1, 25).half(), tmp_path / "files" / f"{images[3].stem}_coherence.pt")


def with_single_precision(tmp_path, images):
    torch.save(torch.full((1, 24), 0.1), tmp_path / "files" / f"{images[3].stem}_coherence.pt")
    torch.save(torch.full((1, 24), 0.1), tmp_path / "files" / f"{images[3].stem}_semantic_content.pt")


def with_a_matrix(tmp_path, images):
    torch.save(torch.zeros(8, 24).half(), tmp_path / "files" / f"{images[3].stem}_coherence.pt")


def with_no_tensor(tmp_path, images):
    (tmp_path / "files" / f"{images[3].stem}_coherence.pt").write_text("no tensor")


def with_no_image(tmp_path, images):
    images[3].write_text("no image")


WRONG = {
    without_a_file: r"has no NAME_semantic_content\.pt and NAME_coherence\.pt for 1 of 10 images, first: 0003\.png",
    with_a_clash: r"1 file names stand for several images, first: \['0003'\]; the authors' layout cannot tell",
    with_another_width: r"0003\.png' hold torch\.float16 vectors of 25 values, which a cache of 24",
    with_two_widths: r"two files of '0003\.png' in '.*files' hold vectors of different widths",
    with_single_precision: r"0003\.png' hold torch\.float32 vectors .* 24 values in float16 does not hold exactly",
    with_a_matrix: r"0003_coherence\.pt' is no tensor \(1, D\)",
    with_no_tensor: r"0003_coherence\.pt' is no tensor \(1, D\)",
    with_no_image: r"image '.*0003\.png' cannot be read: not an image",
}


@pytest.mark.parametrize(("spoil", "message"), WRONG.items(), ids=[spoil.__name__ for spoil in WRONG])
def test_what_cannot_be_imported_is_named(images, official, cache, tmp_path, capsys, spoil, message):
    official()
    spoil(tmp_path, images)
    assert import_official(tmp_path, cache) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)


def test_files_of_another_width_do_not_go_into_one_cache(images, official, cache, tmp_path, capsys):
    official()
    import_official(tmp_path, cache)
    for path in (tmp_path / "files").iterdir():
        torch.save(torch.zeros(1, 16).half(), path)
    assert import_official(tmp_path, cache) == 2
    assert "feature_dim: 24 there, 16 here" in capsys.readouterr().err


def test_export_refuses_names_of_several_images(images, cache, tmp_path, capsys):
    write_pictures(tmp_path / "others", 3, first=50)
    for index in range(3):
        (tmp_path / "others" / f"005{index}.png").rename(tmp_path / "others" / f"000{index}.bmp")
    extract(*images, tmp_path / "others", cache=cache)
    assert main(["cache", "export-official", str(cache), "--files", str(tmp_path / "out")]) == 2
    assert "3 file names stand for several images of different content" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_export_refuses_other_prompts(images, cache, tmp_path, capsys):
    extract(*images, cache=cache, extractor=spec(prompts=("beauty", "coherence")))
    assert main(["cache", "export-official", str(cache), "--files", str(tmp_path / "out")]) == 2
    assert "this cache holds ('beauty', 'coherence')" in capsys.readouterr().err
