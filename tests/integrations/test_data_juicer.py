"""The Filter of data-juicer, with the real package: statistics and choice, with files, bytes and images that fail."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import maagiqa_pyiqa

pytest.importorskip("data_juicer", reason="data-juicer is not installed: pip install py-data-juicer")

from data_juicer.core.data import NestedDataset
from data_juicer.ops import load_ops
from data_juicer.utils.constant import Fields

from maagiqa_pyiqa.integrations import data_juicer


@pytest.fixture
def pictures(tmp_path):
    """Three pictures of noise that is weaker from one to the next, and a file that is none."""
    random = np.random.default_rng(0)
    for number in range(3):
        pixels = random.integers(0, 256 >> (2 * number), (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "text.png").write_text("no image")
    return [str(path) for path in sorted(tmp_path.iterdir())]


@pytest.fixture
def entropy(pictures):
    """Scores of the pictures by ``maagiqa_pyiqa.score``."""
    return dict(zip(pictures, maagiqa_pyiqa.score(pictures, "entropy")["entropy"], strict=True))


def run(rows, **options):
    """What a recipe's operator leaves of samples, by their ids, and all statistics."""
    (operator,) = load_ops([{data_juicer.NAME: {"metric": "entropy", "num_proc": 1, "workers": 0, **options}}])
    dataset = NestedDataset.from_list([{"id": number, **row} for number, row in enumerate(rows)])
    scored = operator.run(dataset, reduce=False)
    return [row["id"] for row in operator.run(dataset)], scored[Fields.stats]


def about(scores, pictures):
    """As data-juicer keeps them, in JSON."""
    return pytest.approx([scores[path] for path in pictures], abs=1e-9)


def test_statistics_are_the_scores_with_the_reason_where_there_is_none(pictures, entropy):
    kept, stats = run([{"images": pictures[:2]}, {"images": []}, {"images": pictures[2:]}])
    assert [stats[0]["entropy_scores"], stats[1]["entropy_scores"]] == [about(entropy, pictures[:2]), []]
    assert stats[2]["entropy_scores"][:1] == about(entropy, pictures[2:3])
    assert stats[2]["entropy_scores"][1] is None  # as JSON has a NaN
    assert stats[2]["entropy_errors"][0] == ""
    assert "not an image" in stats[2]["entropy_errors"][1]
    assert kept == [0, 1, 2]


def test_samples_within_the_range_are_kept_by_one_image_or_by_all(pictures, entropy):
    rows = [{"images": [path]} for path in pictures] + [{"images": pictures[:2]}]
    limit = (entropy[pictures[0]] + entropy[pictures[1]]) / 2
    assert run(rows, min_score=limit)[0] == [0, 4]
    assert run(rows, min_score=limit, any_or_all="all")[0] == [0]
    assert run(rows, max_score=limit)[0] == [1, 2, 4]
    assert run(rows, min_score=limit, reversed_range=True)[0] == [1, 2, 4]  # what has no score is never within


def test_bytes_of_a_sample_are_read_in_place_of_its_files(pictures, entropy):
    content = [Path(path).read_bytes() for path in pictures[:2]]
    _, stats = run([{"images": ["a", "b"], "image_bytes": content}])
    assert stats[0]["entropy_scores"] == about(entropy, pictures[:2])


def test_a_wrong_metric_and_a_wrong_strategy_are_told_before_the_work():
    with pytest.raises(ValueError, match="Did you mean"):
        data_juicer.MaagiqaFilter("maagiqa-light")
    with pytest.raises(ValueError, match="must be 'any' or 'all', got 'some'"):
        data_juicer.MaagiqaFilter(any_or_all="some")
