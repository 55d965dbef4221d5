"""``maagiqa rank`` picks the best of many generations, per prompt where prompts are given."""

import io
import json
from pathlib import Path

import pandas
import pyiqa
import pytest
import torch
from PIL import Image, ImageFilter

from maagiqa_pyiqa.cli.main import main
from tests.helpers.input_files import make_tar


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
    assert f"lies in '{folder / 'pictures'}', which is searched" in capsys.readouterr().err
    image = str(folder / "pictures" / "a0.png")
    assert main(["rank", image, "--copy-to", str(folder / "pictures")]) == 2
    assert "which is searched" in capsys.readouterr().err


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


# ------------------------------------------------------------------------------------------------- groups and places


@pytest.fixture
def styles(folder):
    """A list of the pictures with a column to group by."""
    rows = [{"file": f"{name}{number}.png", "style": name, "prompt": "x"} for name in "ab" for number in range(2)]
    pandas.DataFrame(rows).to_parquet(folder / "pictures" / "list.parquet")
    return folder


def rank(folder, *arguments, of="pictures"):
    table = folder / "a.csv"
    words = ["rank", folder / of, "-m", "piqe", "--workers", "0", "--device", "cpu", "--csv", table, *arguments]
    code = main([*map(str, words)])
    return code, pandas.read_csv(table) if table.exists() else None


def test_images_are_ranked_within_each_value_of_a_lists_column(styles):
    code, table = rank(styles, "--column", "file", "--by", "style", "--top", 1, of="pictures/list.parquet")
    assert code == 0
    assert list(table.columns) == ["style", "rank", "score", "image"]
    assert list(table["style"]) == ["a", "b"]
    _, table = rank(styles, "--column", "file", "--by", "prompt", of="pictures/list.parquet")
    assert list(table["prompt"]) == ["x"] * 4


def test_images_are_ranked_within_each_folder(folder):
    (folder / "pictures" / "more").mkdir()
    (folder / "pictures" / "a0.png").rename(folder / "pictures" / "more" / "a0.png")
    _, table = rank(folder, "--by", "folder")
    assert list(table["folder"]) == [*[str(folder / "pictures")] * 3, str(folder / "pictures" / "more")]
    assert list(table["rank"]) == [1, 2, 3, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "style"], "4 of 4 images have no 'style'"),
        (["--by", "rank"], "a ranking has a column 'rank' of its own"),
        (["--by", "folder", "--per-prompt", "prompts.csv"], "'--per-prompt' is for '--by prompt'"),
        (["--copy-to", "prompts.csv"], "'--copy-to prompts.csv' is no folder"),
        (["--move-to", "prompts.csv", "--yes"], "'--move-to prompts.csv' is no folder"),
        (["--dry-run"], "are for --copy-to, --link-to and --move-to"),
        (["--undo", "moves.csv"], "leave the images out"),
        (["--move-to", "best"], "there is no terminal to answer on; say --yes, or --dry-run"),
    ],
)
def test_groups_and_places_that_make_no_sense_are_refused_before_the_work(
    folder, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("maagiqa_pyiqa.cli.rank.start_scoring", lambda *_: pytest.fail("the work has started"))
    assert rank(folder, *arguments)[0] == 2
    assert message in capsys.readouterr().err


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")}


def test_a_move_is_shown_done_and_undone(folder, capsys):
    before = tree(folder)
    assert rank(folder, "--top", 2, "--move-to", folder / "best", "--dry-run")[0] == 0
    assert "move 2 images to" in capsys.readouterr().out
    assert tree(folder) == before
    code, table = rank(folder, "--top", 2, "--move-to", folder / "best", "--yes")
    assert code == 0
    moved = {f"best/{place:03d}_{Path(image).name}" for place, image in enumerate(table["image"], start=1)}
    assert {name for name in tree(folder) if name.startswith("best/")} == moved
    assert len(tree(folder)) == len(before)
    assert main(["rank", "--undo", str(folder / "best" / "moves.csv")]) == 0
    assert tree(folder) == before
    assert not (folder / "best").exists()


@pytest.mark.parametrize(("answer", "moved"), [("y\n", 4), ("n\n", 0), ("\n", 0), ("", 0)])
def test_on_a_terminal_a_move_waits_for_a_yes(folder, monkeypatch, answer, moved):
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert rank(folder, "--move-to", folder / "best")[0] == 0
    assert len(list((folder / "best").glob("*.png"))) == moved


def test_a_move_that_was_stopped_is_gone_on_with_and_not_begun_anew(folder, capsys, monkeypatch):
    before = tree(folder)
    monkeypatch.setattr("maagiqa_pyiqa.cli.placing.finish", lambda moves: ["stopped"])
    assert rank(folder, "--move-to", folder / "best", "--yes")[0] == 1
    monkeypatch.undo()
    assert rank(folder, "--move-to", folder / "best", "--yes")[0] == 2
    assert f"go on with it by --finish {folder / 'best' / 'moves.csv'}" in capsys.readouterr().err
    assert tree(folder) == before
    assert main(["rank", "--finish", str(folder / "best" / "moves.csv")]) == 0
    assert len(list((folder / "best").glob("*.png"))) == 4


def test_a_link_is_not_moved(folder, capsys):
    (folder / "pictures" / "link.png").symlink_to("a0.png")
    assert rank(folder, "--move-to", folder / "best", "--yes")[0] == 2
    assert "link.png' is a link" in capsys.readouterr().err


def test_a_page_of_pictures_that_are_to_be_moved_is_refused_before_the_work(folder, capsys, monkeypatch):
    monkeypatch.setattr("maagiqa_pyiqa.cli.rank.start_scoring", lambda *_: pytest.fail("the work has started"))
    assert rank(folder, "--move-to", folder / "best", "--yes", "--gallery", folder / "a.html")[0] == 2
    assert f"maagiqa score {folder / 'best'} --gallery" in capsys.readouterr().err


def test_links_point_at_the_best_and_take_the_place_of_earlier_ones(folder):
    assert rank(folder, "--link-to", folder / "best")[0] == 0
    code, table = rank(folder, "--link-to", folder / "best", "--top", 1)
    assert code == 0
    (link,) = (folder / "best").glob("*.png")
    assert link.is_symlink()
    assert link.resolve() == Path(table["image"][0]).resolve()


def test_images_in_a_tar_are_ranked_but_not_placed(folder, capsys):
    make_tar(folder / "shard.tar", sorted((folder / "pictures").iterdir()))
    assert rank(folder, of="shard.tar")[0] == 0
    assert rank(folder, "--copy-to", folder / "best", of="shard.tar")[0] == 2
    assert "is not a file on this machine; copy or unpack it first" in capsys.readouterr().err
