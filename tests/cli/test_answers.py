"""Answers from a table into a folder, their text encoder, and what a folder holds."""

import hashlib
import json
import re

import pandas
import pytest

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.semantics.answers.store import TEXT_PROMPT, Answers
from maagiqa_pyiqa.semantics.extractor import create_extractor
from tests.helpers.fake_extractor import write_pictures


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A list of six images with answers and parts; the last image is the same picture as the first."""
    images = write_pictures(tmp_path / "images", 5)
    (tmp_path / "images" / "again.png").write_bytes(images[0].read_bytes())
    rows = {
        "name": [*(path.name for path in images), "again.png"],
        "seen": ["a cat", "a dog", "blur", "=1", "sky", "other words"],
        "rating": ["7", "8", "1", "0", "10", "3"],
        "prompt": ["a cat", "a cat", "a dog", "a dog", "sea", "sea"],
        "part": ["train", "train", "train", "test", "test", "val"],
    }
    pandas.DataFrame(rows).to_csv(tmp_path / "list.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return images


IMPORT = ["answers", "import", "answers", "list.csv", "--root", "images", "--model", "someone"]
COLUMNS = ["--answer", "description=seen", "--answer", "coherence=rating", "--prompt-column", "prompt"]
FIT = ["answers", "fit", "answers", "list.csv", "--root", "images"]


def test_a_table_becomes_a_folder_whose_features_are_those_of_its_words(table, capsys):
    assert main([*IMPORT, *COLUMNS]) == 0
    assert main([*FIT, "--only", "part=train"]) == 0
    assert "for 3 images of the training part" in capsys.readouterr().out
    extractor = create_extractor("answers:answers")
    assert tuple(extractor.prompts) == ("description", "coherence")
    expected = extractor.encoding.encoder.encode(["a dog", "8"])
    assert (extractor.extract([table[1]])[0, :, :-2] == expected).all()
    assert given_about(table[3])["description"].text == "=1"


def given_about(path):
    return Answers("answers").of_file(hashlib.sha256(path.read_bytes()).hexdigest())


def test_imported_again_nothing_is_added_and_a_picture_keeps_its_first_answer(table, capsys):
    main([*IMPORT, *COLUMNS])
    main([*IMPORT, *COLUMNS])
    out = capsys.readouterr().out
    assert "15 answers about 6 images added" in out  # three texts of five pictures
    assert "0 answers about 6 images added" in out
    assert given_about(table[0])[TEXT_PROMPT].text == "a cat"


def test_an_unreadable_image_is_named_and_the_others_are_taken_over(table, capsys):
    table[1].write_bytes(b"no image")
    assert main([*IMPORT, *COLUMNS]) == 1
    captured = capsys.readouterr()
    assert "12 answers about 6 images added" in captured.out
    assert "0001.png' cannot be read" in captured.err


def test_info_counts_and_names_the_encoder(table, tmp_path, capsys):
    main([*IMPORT, *COLUMNS])
    assert main(["answers", "info", "answers", "--json", "before.json"]) == 0
    main([*FIT, "--alignment"])
    assert main(["answers", "info", "answers", "--json", "after.json"]) == 0
    before, after = (json.loads((tmp_path / name).read_text()) for name in ("before.json", "after.json"))
    assert (before["model"], before["images"], before["answers"]) == ("someone", 5, 15)
    assert "text encoder" not in before
    assert after["text encoder"]["fitted_on"] == 18  # the picture that is there twice counts twice
    assert after["alignment"] is True
    assert "text encoder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            [*IMPORT, "--answer", "coherence=sen"],
            "has no 'sen': it has to be a column of the list .*name, seen, rating",
        ),
        ([*IMPORT, "--answer", "coherence"], "'--answer coherence': two names with = between them"),
        ([*IMPORT, "--answer", "text_prompt=seen"], "none of the name 'text_prompt'"),
        ([*FIT, "--only", "fold=1"], "has no 'fold'"),
        ([*FIT, "--only", "part=training"], "no answers to fit the text encoder on"),
        (["answers", "info", "nowhere"], "'nowhere' holds no answers"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(table, command, message, capsys):
    main([*IMPORT, *COLUMNS])
    capsys.readouterr()
    assert main(command) == 2
    assert re.search(message, capsys.readouterr().err)


def test_other_questions_need_another_folder(table, capsys):
    main([*IMPORT, *COLUMNS])
    assert main([*IMPORT, "--answer", "description=rating"]) == 2
    assert "holds other answers (questions" in capsys.readouterr().err
