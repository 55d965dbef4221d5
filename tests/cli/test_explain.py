"""``--explain`` of ``score`` and ``rank`` says what scores mean: on the terminal, in JSON and in a gallery."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.metrics import explanation
from maagiqa_pyiqa.metrics.explanation import ScoreDistribution


@pytest.fixture
def picture(tmp_path, monkeypatch):
    Image.radial_gradient("L").resize((64, 64)).convert("RGB").save(tmp_path / "a.png")
    even = np.linspace(-10, 10, 101)
    monkeypatch.setattr(explanation, "distribution_of", lambda metric: ScoreDistribution(even, {"X (2023)": even}))
    monkeypatch.chdir(tmp_path)
    return "a.png"


def run(*arguments):
    code = main(
        ["score", *arguments, "--device", "cpu", "--workers", "0", "--json", "out.json", "--jsonl", "out.jsonl"]
    )
    with open("out.json") as whole, open("out.jsonl") as lines:
        (image,), (line,) = json.load(whole)["images"], [json.loads(line) for line in lines]
    assert line == image
    return code, image


def test_scores_are_explained_in_words_and_json_only_where_that_is_asked_for(picture, capsys):
    code, image = run(picture, "--explain")
    found = image["explanations"]["maagiqa-lite"]
    assert code == 0
    assert found["percentile"] == pytest.approx(50 + 5 * image["scores"]["maagiqa-lite"], abs=0.1)
    assert found["better_than"] == {"X (2023)": found["percentile"]}
    out = capsys.readouterr().out
    assert f"maagiqa-lite better than {found['percentile']:.0f} % of AGIQA-3k" in out
    assert "explanations" not in run(picture)[1]
    assert "better than" not in capsys.readouterr().out


def test_the_weights_of_experts_are_told_by_their_names_where_a_metric_has_any(picture, capsys):
    code, image = run(picture, "--explain", "-m", "maagiqa-lite-2026a")
    assert code == 0
    assert list(image["explanations"]["maagiqa-lite-2026a"]["gate"]) == ["existence", "coherence", "quality"]
    assert "maagiqa-lite-2026a weighs existence" in capsys.readouterr().out


def test_own_weights_have_no_percentiles(picture, capsys):
    torch.save({"params": MAAGIQA(pretrained="lite").state_dict()}, "own.pth")
    code, image = run(picture, "--explain", "-m", "own=maagiqa-lite=own.pth")
    assert code == 0
    assert "percentile" not in str(image)
    assert "no percentiles of own: where scores stand is known of packaged weights alone" in capsys.readouterr().err


def test_who_interrupts_gets_the_gallery_so_far_without_waiting_for_maps(picture, tmp_path, monkeypatch):
    monkeypatch.setattr("maagiqa_pyiqa.cli.score.collect", lambda stream, *_: (list(stream), True))
    monkeypatch.setattr("maagiqa_pyiqa.archs.region_map.map_regions", lambda *_: pytest.fail("a map is made"))
    words = ["score", picture, "--explain", "--gallery", "page.html", "--device", "cpu", "--workers", "0"]
    assert main(words) == 130
    assert "better than " in (tmp_path / "page.html").read_text()


def test_scores_that_are_only_read_are_not_explained(picture, capsys):
    assert main(["score", picture, "--explain", "--read-metadata"]) == 2
    assert "leave '--read-metadata' out" in capsys.readouterr().err


def test_a_ranking_is_explained_as_scores_are(picture, capsys):
    words = ["rank", picture, "--explain", "--device", "cpu", "--workers", "0"]
    assert main([*words, "--json", "ranking.json"]) == 0
    with open("ranking.json") as file:
        (row,) = json.load(file)
    found = row["explanations"]["maagiqa-lite"]
    assert found == run(picture, "--explain")[1]["explanations"]["maagiqa-lite"]
    assert f"maagiqa-lite better than {found['percentile']:.0f} % of AGIQA-3k" in capsys.readouterr().out
    assert main([*words[:2], *words[3:], "--json", "plain.json"]) == 0
    with open("plain.json") as file:
        assert "explanations" not in json.load(file)[0]


@pytest.mark.parametrize("verb", ["score", "rank"])
def test_an_explained_gallery_says_where_scores_stand_and_holds_the_quality_of_regions(picture, tmp_path, verb):
    words = [verb, picture, "--explain", "--gallery", "page.html", "--heatmap", "maps", "--device", "cpu"]
    assert main([*words, "--workers", "0"]) == 0
    known = re.search(
        r'<script type="application/json" id="known">(.*?)</script>', (tmp_path / "page.html").read_text()
    )
    (image,) = json.loads(known[1])["images"]
    assert image["standings"][0].startswith("better than ")
    assert image["regions"]["scores"]
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["a.heatmap.jpg"]
