"""What scores mean: percentiles, anchors in words, and the weights that they belong to."""

import json

import numpy as np
import pytest

from benchmarks.lite.distribution import GENERATORS, quantiles
from maagiqa_pyiqa.metrics import explanation
from maagiqa_pyiqa.metrics.explanation import (
    Explanation,
    ScoreDistribution,
    distribution_of,
    explained,
    weights_fingerprint,
)
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.weights import packaged_scores

DISTRIBUTION = ScoreDistribution(
    np.linspace(0, 4, 101),
    {
        "Old (2017)": np.linspace(0, 1, 101),
        "Middle (2022)": np.linspace(1, 3, 101),
        "New (2023)": np.linspace(2, 4, 101),
    },
)


def test_a_score_stands_above_the_share_of_lower_ones_and_words_name_the_nearest_generators():
    standing = DISTRIBUTION.standing(2.5)
    assert standing.percentile == 62.5
    assert standing.better_than == {"Old (2017)": 100, "Middle (2022)": 75, "New (2023)": 25}
    assert standing.in_words() == (
        "better than 62 % of AGIQA-3k: 75 % of the Middle (2022) pictures and 25 % of the New (2023) pictures"
    )
    assert (DISTRIBUTION.standing(-1).percentile, DISTRIBUTION.standing(9).percentile) == (0, 100)


def test_quantiles_are_those_of_each_generator():
    names = [f"{prefix}_normal_{i:03d}.jpg" for prefix in GENERATORS for i in range(11)]
    scores = np.array([place + i / 100 for place in range(len(GENERATORS)) for i in range(11)])
    content = quantiles(names, scores)
    assert content["images"] == dict.fromkeys(GENERATORS.values(), 11)
    for place, title in enumerate(GENERATORS.values()):
        own = content["generators"][title]
        assert (own[0], own[50], own[100]) == pytest.approx((place, place + 0.05, place + 0.1))
    assert content["all"][100] == pytest.approx(5.1)


def test_the_packaged_distribution_is_of_the_packaged_weights_and_no_others(tmp_path, monkeypatch):
    content = json.loads(packaged_scores("lite").read_text())
    assert content["weights_sha256"] == weights_fingerprint("lite"), "run python -m benchmarks.lite.distribution"
    assert sum(content["images"].values()) == 597
    found = distribution_of("maagiqa-lite")
    assert found.standing(-1).percentile == 0 < found.standing(2.5).percentile < found.standing(5).percentile == 100
    other = tmp_path / "lite_scores.json"
    other.write_text(json.dumps({**content, "weights_sha256": "0" * 64}))
    monkeypatch.setattr(explanation, "packaged_scores", lambda name: other)
    with pytest.raises(ValueError, match="made for other weights"):
        distribution_of("maagiqa-lite")
    with pytest.raises(ValueError, match="not of piqe"):
        distribution_of("piqe")


def test_a_stream_gets_explanations_where_there_is_anything_to_say():
    images = [ImageScores(None, {"lite": 1.0, "other": 5.0}, {}, {"lite": [0.1, 0.2, 0.7]}), ImageScores(None)]
    first, second = explained((image for image in images), {"lite": DISTRIBUTION})
    assert first.explanations == {
        "lite": Explanation(DISTRIBUTION.standing(1.0), {"existence": 0.1, "coherence": 0.2, "quality": 0.7})
    }
    assert first.explanations["lite"].in_words()[1] == "weighs existence 0.10, coherence 0.20, quality 0.70"
    assert second.explanations == {}
