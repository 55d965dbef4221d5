"""Batches of Ray Data get scores: paths, bytes and arrays, and what fails; test_docs_pipelines.py has a pipeline."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import maagiqa_pyiqa
from maagiqa_pyiqa.integrations.ray_data import ImageScorer


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three pictures and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "text.png").write_text("no image")
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def expected(pictures):
    return maagiqa_pyiqa.score(pictures, ["entropy", "piqe"])


def check(batch, expected):
    for metric in ("entropy", "piqe"):
        np.testing.assert_array_equal(batch[metric], expected[metric])
    assert [bool(error) for error in batch["error"]] == expected["error"].notna().tolist()


def as_column(values):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@pytest.mark.parametrize("kind", ["paths", "bytes"])
def test_files_get_the_scores_of_the_command_line(pictures, expected, kind):
    values = pictures if kind == "paths" else [Path(path).read_bytes() for path in pictures]
    batch = ImageScorer(["entropy", "piqe"], column="file", device="cpu")(
        {"file": as_column(values), "id": np.arange(4)}
    )
    assert list(batch) == ["file", "id", "entropy", "piqe", "error"]
    check(batch, expected)


def test_arrays_of_one_size_or_several_are_taken(pictures, expected):
    arrays = [np.asarray(Image.open(path)) for path in pictures[:3]]
    scorer = ImageScorer(["entropy", "piqe"], column="image", device="cpu")
    check(scorer({"image": np.stack(arrays)}), expected[:3])
    check(scorer({"image": as_column(arrays)}), expected[:3])


def test_what_cannot_be_is_told_with_the_remedy(pictures):
    with pytest.raises(ValueError, match="Did you mean"):
        ImageScorer("piqee")
    scorer = ImageScorer("entropy", device="cpu")
    with pytest.raises(ValueError, match="no column 'path' of images; there are file"):
        scorer({"file": as_column(pictures)})
    with pytest.raises(ValueError, match="column 'entropy' is there already"):
        scorer({"path": as_column(pictures), "entropy": np.zeros(4)})
    with pytest.raises(ValueError, match=r"path\[0\] must be an array \(H, W, 3\) of uint8"):
        scorer({"path": np.zeros((1, 8, 8, 3))})
