"""The gallery: which images are in it, and what stands under each."""

import base64
import io

from PIL import Image

from maagiqa_pyiqa.leaderboard.report.gallery import disputes, thumbnail
from tests.helpers.html_page import text_of
from tests.helpers.predictions import make_predictions
from tests.helpers.synthetic_results import make_image, make_results, with_score


def test_disputes_go_both_ways_strongest_first():
    mos = [1, 2, 3, 4]
    results = make_results([make_image(f"{m}.png", m) for m in mos], metrics=(), columns=())
    good = make_predictions([1, 2.5, 4.4, 4], mos)
    bad = make_predictions([4, 2.5, 3, 1.5], mos)
    won, lost = disputes(results, good, bad)
    assert [dispute.image.mos for dispute in won] == [1, 4]
    assert [dispute.image.mos for dispute in lost] == [3]
    assert won[0].advantage > won[1].advantage > 0 > lost[0].advantage


def test_gallery_shows_scores_gates_and_says_where_an_image_is_missing(results, render):
    page = render(with_score(results, 1, "good", 40.0))  # image_001.png is not on disk
    cards = page.section("Gallery").findall(".//article")
    card = next(card for card in cards if text_of(card.find("h4")) == "image_001.png")
    texts = [text_of(element) for element in card.iter()]
    assert "image not found or unreadable" in texts
    assert "Gate of good: existence 0.12, coherence -0.20, quality 1.08" in texts
    assert not any(text.startswith("Gate of fair") for text in texts)
    assert "a <i>cat</i> no. 1" in texts
    scores = [[text_of(cell) for cell in row] for row in card.iter("tr")]
    assert scores[0] == ["Metric", "Score", "As MOS"]
    assert scores[1][:2] == ["good", "40"]


def test_gallery_has_cards_of_both_metrics_with_picture_line_and_figures(page):
    gallery = page.section("Gallery")
    assert {"good closer to people", "fair|* closer to people"} <= {text_of(title) for title in gallery.iter("h3")}
    pictures = [card.find("img") for card in gallery.iter("article")]
    assert len(pictures) > 10
    assert all(p is None or p.get("src").startswith("data:image/jpeg;base64,") for p in pictures)
    assert all(card.find("svg").get("aria-label").startswith("MOS ") for card in gallery.iter("article"))


def test_thumbnails_are_small_jpegs(tmp_path):
    Image.new("RGBA", (1000, 500), "red").save(tmp_path / "a.png")
    content = thumbnail(tmp_path / "a.png").removeprefix("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (192, 96)
    (tmp_path / "b.png").write_bytes(b"no image")
    assert thumbnail(tmp_path / "b.png") is None
