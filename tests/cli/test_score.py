"""``maagiqa score`` scores what it can, lists what it cannot, and writes both."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.metrics import scoring


@pytest.fixture
def folder(tmp_path):
    """Six good images of two sizes, and two that cannot be read."""
    generator = np.random.default_rng(0)
    for index in range(6):
        side = 64 if index % 2 else 96
        small = Image.fromarray(generator.integers(0, 256, (2 + index, 2 + index, 3), dtype=np.uint8))
        small.resize((side, side), Image.Resampling.BICUBIC).save(tmp_path / f"good{index}.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("no image")
    return tmp_path


def test_scores_all_and_lists_the_unreadable(folder, capsys):
    table, report = folder / "out" / "scores.csv", folder / "out" / "scores.json"
    code = main(
        ["score", str(folder), "-m", "maagiqa-lite", "-m", "entropy", "--csv", str(table), "--json", str(report)]
    )
    out, err = capsys.readouterr()
    assert code == 1
    assert out.splitlines()[0].split() == ["rank", "maagiqa-lite", "\u2191", "entropy", "\u2191", "image"]
    assert "2 not scored" in err
    assert "empty.png: empty file" in err
    with table.open() as file:
        rows = list(csv.DictReader(file))
    scores = [float(row["maagiqa-lite"]) for row in rows if row["maagiqa-lite"]]
    assert len(rows) == 8
    assert len(scores) == 6
    assert scores == sorted(scores, reverse=True)
    images = json.loads(report.read_text())["images"]
    assert [image["image"] for image in images] == [row["image"] for row in rows]
    assert sum(image["error"] is not None for image in images) == 2


def test_failures_are_told_also_where_the_table_finds_no_room(folder, capsys):
    code = main(["score", str(folder), "--workers", "0", "-m", "entropy", "--csv", "/dev/full"])
    said = capsys.readouterr().err
    assert code == 2
    assert "2 not scored" in said
    assert "'/dev/full' could not be written" in said


def test_exit_code_is_zero_when_everything_is_scored(folder):
    assert main(["score", str(folder / "good0.png"), "--workers", "0", "-m", "entropy"]) == 0


def test_a_checkpoint_scores_under_its_label(folder):
    checkpoint, report = folder / "net_best.pth", folder / "scores.json"
    net = MAAGIQA(pretrained="lite", rescale=(-2.0, 10.0))
    torch.save({"params": net.state_dict()}, checkpoint)
    words = ["-m", "maagiqa-lite", "-m", f"mine=maagiqa-lite={checkpoint}"]
    assert main(["score", str(folder / "good0.png"), *words, "--workers", "0", "--json", str(report)]) == 0
    (image,) = json.loads(report.read_text())["images"]
    assert image["scores"]["mine"] == pytest.approx(10 - 2 * image["scores"]["maagiqa-lite"], abs=1e-4)


def test_a_large_image_is_scored_without_a_warning(folder, capsys, monkeypatch, recwarn):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)  # half of what is refused as a bomb
    Image.new("RGB", (40, 40)).save(folder / "large.png")
    assert main(["score", str(folder / "large.png"), "--workers", "0", "-m", "entropy"]) == 0
    assert not [warning for warning in recwarn if "exceeds limit" in str(warning.message)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "mine=maagiqa-lite=nowhere.pth"], "checkpoint 'nowhere.pth' does not exist"),
        (["-m", f"mine=csv:{__file__}:x"], "scores that are in a file already do not score images"),
        (["-m", "maagiqa-lit"], "Did you mean 'maagiqa-lite'"),
        (["-m", "psnr"], "does not score an image by itself"),
        (["nowhere.png"], "'nowhere.png' does not exist"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_two(folder, capsys, arguments, message):
    assert main(["score", str(folder), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_a_metric_that_cannot_be_made_does_not_stop_the_others(folder, capsys, monkeypatch):
    create = scoring.pyiqa.create_metric

    def broken(name, **options):
        if name == "brisque":
            raise ConnectionError("no network")
        return create(name, **options)

    monkeypatch.setattr(scoring.pyiqa, "create_metric", broken)
    assert main(["score", str(folder / "good0.png"), "-m", "brisque", "-m", "entropy"]) == 1
    out, err = capsys.readouterr()
    assert "metric brisque cannot run here: no network" in err
    assert "good0.png" in out
