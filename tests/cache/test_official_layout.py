"""The authors' files come in and go out exactly, or are refused by name."""

import re

import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.cache.official_layout import official_files
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cli.main import main
from tests.helpers import extraction_runs
from tests.helpers.extraction_runs import extract, features_by_name
from tests.helpers.fake_extractor import spec, write_pictures

fake, images, cache = extraction_runs.fake, extraction_runs.images, extraction_runs.cache


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
