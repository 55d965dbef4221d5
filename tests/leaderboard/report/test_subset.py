"""Parts of the images, picked by a filter: which images they hold, and their figures."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from maagiqa_pyiqa.leaderboard.report import write_report
from maagiqa_pyiqa.leaderboard.report.subset import measure, parse_subset
from maagiqa_pyiqa.leaderboard.report.view import predictions
from tests.helpers.html_page import text_of
from tests.helpers.synthetic_results import paths_of

COLUMNS = ("generator", "prompt", "style")


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        ("generator=SDXL", lambda i: i.columns["generator"] == "SDXL"),
        ("generator == SDXL", lambda i: i.columns["generator"] == "SDXL"),
        ("generator!=SDXL", lambda i: i.columns["generator"] != "SDXL"),
        ("mos<1.5", lambda i: i.mos < 1.5),
        ("mos >= 1.5 & mos<=3", lambda i: 1.5 <= i.mos <= 3),
        ("prompt~CAT</i> NO. 1", lambda i: "no. 1" in i.columns["prompt"]),
        ("generator~gan> & prompt~5", lambda i: "Attn" in str(i) and "5" in i.columns["prompt"]),
        ("name=image_007.png", lambda i: i.name == "image_007.png"),
        ("style=", lambda i: True),
        ("style<1", lambda i: False),
    ],
)  # fmt: skip
def test_a_subset_holds_what_fulfils_all_conditions(results, text, keeps):
    expected = [i for i, image in enumerate(results.images) if keeps(image)]
    assert list(parse_subset(text, COLUMNS).positions(results)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("genrator=SDXL", "no column 'genrator'. Did you mean 'generator'"),
        ("SDXL", "'SDXL' is no condition"),
        ("", "'' is no condition"),
        ("mos<high", "'high' after < is no number"),
        ("mos<3 &", "'' is no condition"),
    ],
)
def test_a_filter_that_cannot_be_read_is_an_error(results, folder, tmp_path, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        write_report(results, tmp_path, paths_of(results, folder), where=[text])
    assert not list(tmp_path.iterdir())


def test_figures_of_a_subset_are_those_of_its_images(results):
    whole = predictions(results, "official", "worse_when_high")
    part = whole.only(parse_subset("mos>2", COLUMNS).positions(results))
    figures = measure(results, part)
    assert figures["srcc"].value == pytest.approx(spearmanr(-part.scores, part.mos)[0])
    assert figures["srcc"].low < figures["srcc"].value < figures["srcc"].high
    by_prompt = replace(results, dataset=replace(results.dataset, resampled_by="generator"))
    assert measure(by_prompt, part)["srcc"].value == figures["srcc"].value
    assert measure(by_prompt, part)["srcc"].low != figures["srcc"].low
    assert figures["rmse_fitted"].value == pytest.approx(np.sqrt(np.mean(part.errors**2)))
    assert measure(results, part.only(part.positions[:4])) == dict.fromkeys(figures)


def test_page_has_the_subsets_asked_for_with_table_and_scatters(page):
    section = page.section("Subsets")
    titles = [text_of(title) for title in section.iter("h3")]
    assert titles == ["Images with generator=Attn<GAN> & mos<3", "Images with mos>100"]
    texts = [text_of(text) for text in section.iter("p")]
    assert any(re.match(r"[1-9]\d* of 45 images\.", text) for text in texts)
    assert any(text.startswith("0 of 45 images.") for text in texts)
    assert [text_of(table.find("caption")) for table in section.iter("table")] == ["Agreement on the subset"] * 2
    captions = [text_of(caption) for caption in section.iter("figcaption")]
    assert captions == [f"{name}the subset, with all images pale behind" for name in ("good", "fair|*")] * 2
