"""``maagiqa describe`` prints the model's own words, for every question and image, and goes on past a bad image."""

import json

import pytest
from PIL import Image

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.semantics.extractor import create_extractor
from maagiqa_pyiqa.semantics.prompts import QUESTIONS


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    Image.linear_gradient("L").resize((80, 60)).save(path)
    return path


def test_both_questions_are_answered_in_the_models_words(checkpoint, picture, tmp_path, capsys):
    out = tmp_path / "words.json"
    command = ["describe", str(picture), "--semantics", f"mplug-owl2:{checkpoint}", "--device", "cpu"]
    assert main([*command, "--max-tokens", "9", "--json", str(out)]) == 0
    model = create_extractor(f"mplug-owl2:{checkpoint}", "cpu", words=True)
    expected = {name: "".join(model.describe(picture, name, 9)).strip() for name in QUESTIONS}
    assert json.loads(out.read_text()) == [{"image": str(picture), "answers": expected, "error": None}]
    printed = capsys.readouterr().out
    for name, question in QUESTIONS.items():
        assert question in printed
        assert expected[name].splitlines()[0] in printed


def test_a_bad_image_is_named_and_the_others_are_described(checkpoint, picture, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    command = ["describe", str(bad), str(picture), "--semantics", f"mplug-owl2:{checkpoint}", "--max-tokens", "2"]
    assert main([*command, "--json", str(tmp_path / "words.json")]) == 1
    assert "bad.png' cannot be read: not an image" in capsys.readouterr().err
    first, second = json.loads((tmp_path / "words.json").read_text())
    assert "not an image" in first["error"]
    assert set(second["answers"]) == set(QUESTIONS)


@pytest.mark.parametrize(
    ("spec", "message"),
    [("visual", "has no words"), ("mplug-owl2:/nowhere/at/all", "'/nowhere/at/all' does not exist")],
)
def test_what_cannot_describe_says_so(picture, capsys, spec, message):
    assert main(["describe", str(picture), "--semantics", spec]) == 2
    assert message in capsys.readouterr().err
