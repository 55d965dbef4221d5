"""The gallery as files: one page, or a page with thumbnails beside it, whole or not there, whatever names hold."""

import json
import re

import pytest

from maagiqa_pyiqa.archs import region_map
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.gallery import gallery as gallery_module
from maagiqa_pyiqa.gallery.entries import link
from maagiqa_pyiqa.gallery.gallery import Gallery
from maagiqa_pyiqa.metrics.scoring import ImageScores
from tests.helpers.gallery_pages import HOSTILE, draw
from tests.helpers.html_page import Page


@pytest.fixture
def scored(tmp_path):
    """Five images with scores."""
    return [ImageScores(draw(tmp_path / "pictures" / f"{i}.png", i), scores={"lite": i / 2}) for i in range(5)]


@pytest.fixture
def linked(monkeypatch):
    """Thumbnails lie beside the page from three images on."""
    monkeypatch.setattr(gallery_module, "EMBEDDED", 2)


def write(page, images, **options):
    gallery = Gallery(page, images, {"lite": False}, options.pop("prompts", {}), workers=0)
    page.write_text(gallery.make_page())
    gallery.remove_old_thumbnails()
    return page


def known(page):
    """What the page's script is given."""
    (text,) = re.findall(r'<script type="application/json" id="known">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(text)


def thumbnails(folder):
    return sorted(path.name for path in folder.glob("*.jpg"))


def test_a_small_gallery_is_one_file_that_names_no_place_outside(tmp_path, scored):
    page = write(tmp_path / "out.html", scored)
    text = page.read_text()
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")  # the name of SVG, which nobody fetches
    assert "default-src 'none'" in text
    assert Page(text).balanced
    assert [image["scores"] for image in known(page)["images"]] == [[i / 2] for i in range(5)]
    assert all(image["thumbnail"].startswith("data:image/jpeg;base64,") for image in known(page)["images"])
    assert not (tmp_path / "out_files").exists()


def test_a_large_gallery_has_its_thumbnails_beside_it(tmp_path, scored, linked):
    page = write(tmp_path / "out.html", scored)
    sources = [image["thumbnail"] for image in known(page)["images"]]
    assert all((tmp_path / source).is_file() for source in sources)
    assert len(set(sources)) == len(thumbnails(tmp_path / "out_files")) == 5


def test_a_new_page_removes_thumbnails_of_the_old_one_and_nothing_else(tmp_path, scored, linked):
    write(tmp_path / "out.html", scored)
    (tmp_path / "out_files" / "mine.jpg").touch()
    page = write(tmp_path / "out.html", scored[:3])
    kept = {image["thumbnail"].split("/")[1] for image in known(page)["images"]}
    assert set(thumbnails(tmp_path / "out_files")) == {*kept, "mine.jpg"}
    (tmp_path / "out_files" / "mine.jpg").unlink()
    write(tmp_path / "out.html", scored[:2])
    assert not (tmp_path / "out_files").exists()


def test_an_old_page_keeps_its_thumbnails_while_a_new_one_fails(tmp_path, scored, linked, monkeypatch):
    page = write(tmp_path / "out.html", scored[:3])
    monkeypatch.setattr(gallery_module, "render_page", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(page, scored[1:])
    assert all((tmp_path / image["thumbnail"]).is_file() for image in known(page)["images"])


def test_an_image_that_went_away_since_has_no_thumbnail(tmp_path, scored):
    scored[1].path.unlink()
    page = write(tmp_path / "out.html", scored)
    assert [image["thumbnail"] is None for image in known(page)["images"]] == [False, True, False, False, False]


def test_links_start_from_the_page_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real/deeper")
    (tmp_path / "real" / "deeper").mkdir()
    image = draw(tmp_path / "a b?#%.png")
    assert link(image.relative_to(tmp_path), tmp_path / "out.html") == "a%20b%3F%23%25.png"
    assert link(image, tmp_path / "real" / "out.html") == "../a%20b%3F%23%25.png"
    assert link(image, tmp_path / "linked" / "out.html") == "../../a%20b%3F%23%25.png"
    assert link(tmp_path / "javascript:x.png", tmp_path / "out.html") == "javascript%3Ax.png"


def test_hostile_names_and_prompts_stay_words(tmp_path):
    images = [ImageScores(draw(tmp_path / "p" / name), scores={"lite": 1.0}) for name in HOSTILE]
    failed = [ImageScores(tmp_path / name, errors={"": f"reason {name}"}) for name in HOSTILE]
    page = write(tmp_path / "out.html", [*images, *failed], prompts={image.path: image.path.name for image in images})
    parsed = Page(page.read_text())
    assert parsed.balanced
    assert not [element for element in parsed.elements if "onerror" in element.attrib]
    items = [element for element in parsed.elements if element.tag == "li"]
    assert len(items) == len(HOSTILE)
    assert [child.tag for item in items for child in item] == ["b"] * len(HOSTILE)
    entries = known(page)["images"]
    assert [entry["name"] for entry in entries[:3]] == HOSTILE[:3]
    assert all(entry[key].isprintable() for entry in entries for key in ("name", "folder", "prompt"))


def run(folder, *words, verb="score"):
    return main([verb, str(folder), "-m", "entropy", "--workers", "0", "--device", "cpu", *map(str, words)])


def test_score_writes_a_gallery_with_what_failed_and_why(tmp_path, scored, capsys):
    (tmp_path / "pictures" / "empty.png").touch()
    assert run(tmp_path / "pictures", "--gallery", tmp_path / "out.html") == 1
    text = (tmp_path / "out.html").read_text()
    assert "Not scored: 1" in text
    assert "empty.png</b>: empty file (0 bytes)" in text
    assert len(known(tmp_path / "out.html")["images"]) == 5


def test_an_explained_gallery_knows_standings_and_regions_without_writing_heat_maps(tmp_path, scored):
    words = ["-m", "maagiqa-lite", "-m", "entropy", "--explain", "--gallery", tmp_path / "out.html"]
    assert main(["score", str(tmp_path / "pictures"), "--device", "cpu", *map(str, words)]) == 0
    entries = known(tmp_path / "out.html")["images"]
    for image in entries:
        assert image["standings"][0].startswith("better than ")
        assert image["standings"][1] == ""
        (region,) = [score for row in image["regions"]["scores"] for score in row]  # a small picture is one
        assert region == pytest.approx(image["scores"][0], abs=2e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.html", "pictures"]


def test_a_metric_without_regions_is_explained_as_far_as_it_goes(tmp_path, scored):
    assert run(tmp_path / "pictures", "--explain", "--gallery", tmp_path / "out.html") == 0
    assert [image["regions"] for image in known(tmp_path / "out.html")["images"]] == [None] * 5
    assert known(tmp_path / "out.html")["colours"] == []


def test_heat_maps_and_gallery_map_each_image_once(tmp_path, scored, monkeypatch):
    real, done = region_map.map_regions, []
    monkeypatch.setattr(region_map, "map_regions", lambda net, x: done.append(x) or real(net, x))
    words = ["--heatmap", tmp_path / "maps", "--gallery", tmp_path / "out.html", "--device", "cpu"]
    assert main(["score", str(tmp_path / "pictures"), *map(str, words)]) == 0
    assert len(done) == len(scored) == len(list((tmp_path / "maps").iterdir()))
    assert all(image["regions"] for image in known(tmp_path / "out.html")["images"])


def test_rank_shows_what_it_kept_with_prompts(tmp_path, scored):
    rows = "".join(f"{i}.png,{'a cat' if i % 2 else 'a dog'}\n" for i in range(5))
    (tmp_path / "prompts.csv").write_text("name,prompt\n" + rows)
    words = ["--top", 1, "--per-prompt", tmp_path / "prompts.csv", "--gallery", tmp_path / "best.html"]
    assert run(tmp_path / "pictures", *words, verb="rank") == 0
    assert sorted(image["prompt"] for image in known(tmp_path / "best.html")["images"]) == ["a cat", "a dog"]


@pytest.mark.parametrize("target", ["-", "s3://bucket/out.html"])
def test_a_gallery_has_to_be_a_file_here(tmp_path, scored, capsys, target):
    assert run(tmp_path / "pictures", "--gallery", target) == 2
    assert "name a file on this machine" in capsys.readouterr().err


def test_thumbnails_that_would_be_scored_next_time_are_refused(tmp_path, scored, capsys, linked):
    assert run(tmp_path / "pictures", "--gallery", tmp_path / "pictures" / "out.html") == 2
    assert "would be scored next time; name a file elsewhere" in capsys.readouterr().err
    assert run(tmp_path / "pictures", "--gallery", tmp_path / "out.html") == 0


def test_a_gallery_that_cannot_be_written_loses_no_other_output(tmp_path, scored, capsys, monkeypatch):
    monkeypatch.setattr(Gallery, "make_page", lambda self: (_ for _ in ()).throw(OSError("disk full")))
    words = ["--gallery", tmp_path / "out.html", "--csv", tmp_path / "scores.csv"]
    assert run(tmp_path / "pictures", *words) == 2
    assert "disk full" in capsys.readouterr().err
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 6
    assert not (tmp_path / "out.html").exists()
