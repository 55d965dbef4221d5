"""``maagiqa score --heatmap`` writes of each image a picture of its regions' quality."""

import numpy as np
import pytest
from PIL import Image

from maagiqa_pyiqa.archs import region_map
from maagiqa_pyiqa.cli.heatmaps import SUFFIX, name_heatmaps
from maagiqa_pyiqa.cli.main import main


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for part in ("x", "y"):
        (folder / part).mkdir(parents=True)
        Image.radial_gradient("L").resize((96, 64)).convert("RGB").save(folder / part / "same.png")
    return folder


def run(pictures, *arguments):
    words = ["score", pictures, "--heatmap", pictures.parent / "maps", "--device", "cpu", "--workers", "0", *arguments]
    return main([*map(str, words)])


def test_every_image_gets_a_map_of_its_own_and_a_bad_one_stops_nothing(pictures, monkeypatch, capsys):
    (pictures / "text.png").write_text("no image")
    (pictures / "x" / "bad.png").write_bytes((pictures / "x" / "same.png").read_bytes())
    real, done = region_map.map_regions, []

    def failing(net, x):
        done.append(x)
        if len(done) == 1:
            raise RuntimeError("something unforeseen")
        return real(net, x)

    monkeypatch.setattr(region_map, "map_regions", failing)
    assert run(pictures) == 1
    written = sorted((pictures.parent / "maps").iterdir())
    assert len(done) == 3
    assert len(written) == 2
    assert "no heat map" in capsys.readouterr().err
    with Image.open(written[0]) as drawn:
        assert drawn.width > 2 * 96
        assert np.asarray(drawn).std() > 10


def test_names_are_those_of_the_images_and_harmless():
    odd = ["a/b.png", "c/B.jpg", "d/one two.png", "e/../x\n<i>\x1b.png", "f/" + "long" * 100 + ".png"]
    names = name_heatmaps(odd)
    assert len({name.casefold() for name in names}) == len(odd)
    assert names[0].startswith("b-")
    assert names[2] == f"one two{SUFFIX}"
    assert names[3] == f"x__i__{SUFFIX}"
    assert all(len(name) < 120 and "/" not in name and name.isprintable() for name in names)


def test_a_metric_without_regions_and_a_folder_that_is_searched_are_refused(pictures, capsys):
    assert run(pictures, "-m", "piqe") == 2
    assert "metric piqe scores no regions" in capsys.readouterr().err
    assert run(pictures, "--heatmap", pictures / "maps") == 2
    assert "would be" in capsys.readouterr().err
