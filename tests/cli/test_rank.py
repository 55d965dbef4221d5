"""``maagiqa rank`` picks the best of many generations, per prompt where prompts are given."""

import json

import pandas
import pyiqa
import pytest
import torch
from PIL import Image, ImageFilter

from maagiqa_pyiqa.cli.main import main


@pytest.fixture
def folder(tmp_path, image_paths):
    """Two real pictures, each with a blurred and a shuffled version, and the CSV of their prompts."""
    rows = []
    (tmp_path / "pictures").mkdir()
    for number, path in enumerate(image_paths[1:3]):
        picture = Image.open(path).resize((128, 128))
        for name, image in (("b", picture), ("a", picture.filter(ImageFilter.GaussianBlur(6)))):
            image.save(tmp_path / "pictures" / f"{name}{number}.png")
            rows.append({"name": f"{name}{number}.png", "prompt": f"prompt {number}"})
    pandas.DataFrame(rows).to_csv(tmp_path / "prompts.csv", index=False)
    return tmp_path


def run(folder, *arguments):
    out = folder / "out.json"
    code = main(["rank", str(folder / "pictures"), "--json", str(out), "--workers", "0", "--device", "cpu", *arguments])
    return code, json.loads(out.read_text())


def test_images_are_ranked_best_first_by_the_metric(folder):
    code, rows = run(folder)
    metric = pyiqa.create_metric("maagiqa-lite", device=torch.device("cpu"))
    expected = {str(path): float(metric(str(path))) for path in (folder / "pictures").iterdir()}
    assert code == 0
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert [row["image"] for row in rows] == sorted(expected, key=expected.get, reverse=True)
    for row in rows:
        assert row["score"] == pytest.approx(expected[row["image"]], abs=1e-4)


def test_lower_better_metrics_are_ranked_the_other_way(folder):
    _, rows = run(folder, "-m", "piqe")
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1]


def test_the_best_of_each_prompt_is_kept_and_copied(folder):
    options = ("--per-prompt", str(folder / "prompts.csv"), "--copy-to", str(folder / "best"), "--top", "1")
    code, rows = run(folder, *options)
    assert code == 0
    assert [(row["prompt"], row["rank"]) for row in rows] == [("prompt 0", 1), ("prompt 1", 1)]
    assert [row["image"].rsplit("/", 1)[-1] for row in rows] == ["b0.png", "b1.png"]  # sharp before blurred
    copies = sorted(path.name for path in (folder / "best").glob("[!.]*"))
    assert copies == ["0001_001_b0.png", "0002_001_b1.png"]
    assert (folder / "best" / copies[0]).read_bytes() == (folder / "pictures" / "b0.png").read_bytes()


def test_an_image_without_a_prompt_is_named(folder, capsys):
    Image.new("RGB", (50, 50)).save(folder / "pictures" / "new.png")
    assert main(["rank", str(folder / "pictures"), "--per-prompt", str(folder / "prompts.csv")]) == 2
    assert "1 problems\n  " in (said := capsys.readouterr().err)
    assert "new.png: has no row" in said


def test_a_missing_column_names_the_nearest(folder, capsys):
    arguments = ["--per-prompt", str(folder / "prompts.csv"), "--prompt-column", "prompts"]
    assert main(["rank", str(folder / "pictures"), *arguments]) == 2
    assert "has no column 'prompts'. Did you mean 'prompt'" in capsys.readouterr().err


def test_a_bad_image_is_listed_and_the_others_are_ranked(folder, capsys):
    (folder / "pictures" / "bad.png").write_text("no image")
    code, rows = run(folder)
    assert code == 1
    assert len(rows) == 4
    assert "not ranked:" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- where copies go


def copies_in(folder):
    return sorted(path.name for path in folder.glob("[!.]*"))


def test_a_second_ranking_takes_the_place_of_the_first(folder):
    assert run(folder, "--copy-to", str(folder / "best"))[0] == 0
    assert len(copies_in(folder / "best")) == 4
    assert run(folder, "--copy-to", str(folder / "best"), "--top", "1", "-m", "piqe")[0] == 0
    assert len(copies_in(folder / "best")) == 1


@pytest.mark.parametrize("place", [".", "best"])
def test_copies_do_not_go_where_images_are_ranked(folder, capsys, place):
    target = folder / "pictures" / place
    assert main(["rank", str(folder / "pictures"), "--copy-to", str(target)]) == 2
    assert f"lies in '{folder / 'pictures'}', which is being ranked" in capsys.readouterr().err
    image = str(folder / "pictures" / "a0.png")
    assert main(["rank", image, "--copy-to", str(folder / "pictures")]) == 2
    assert "which is being ranked" in capsys.readouterr().err


def test_files_of_others_are_neither_mixed_with_copies_nor_removed(folder, capsys):
    assert run(folder, "--copy-to", str(folder / "best"))[0] == 0
    (folder / "best" / "mine.png").touch()
    assert main(["rank", str(folder / "pictures"), "--copy-to", str(folder / "best")]) == 2
    assert "holds files that no ranking put there, such as 'mine.png'" in capsys.readouterr().err
    assert len(copies_in(folder / "best")) == 5


@pytest.mark.parametrize("names", ['["../prompts.csv"]', '["/etc/passwd"]', "{}", "no JSON", "[1]"])
def test_a_list_of_copies_from_a_stranger_removes_nothing(folder, capsys, names):
    (folder / "best").mkdir()
    (folder / "best" / ".maagiqa-rank.json").write_text(names)
    assert main(["rank", str(folder / "pictures"), "--copy-to", str(folder / "best")]) == 2
    assert "is no list of a ranking's copies" in capsys.readouterr().err
    assert (folder / "prompts.csv").exists()
