"""Answers on disk: every whole line counts, whatever happened to the process that wrote."""

import json

import pytest

from maagiqa_pyiqa.semantics.answers.store import Answer, Answers, Asked, OtherAnswersError, writing

ASKED = Asked("a-model", {"semantic_content": "Is there any?", "coherence": "Is it coherent?"}, {"temperature": 0})


def answer(number, question="coherence", text="Yes."):
    return Answer(f"{number}.png", f"file {number}", f"pixels {number}", question, text, 0.75, 0.25, "stop", 9, 2)


@pytest.fixture
def folder(tmp_path):
    with writing(tmp_path / "answers", ASKED) as answers:
        answers.append([answer(1), answer(1, "semantic_content"), answer(2)])
    return tmp_path / "answers"


def test_answers_are_found_by_pixels_and_by_file(folder):
    answers = Answers(folder)
    assert (answers.asked, len(answers)) == (ASKED, 2)
    assert answers.of_pixels("pixels 1") == {name: answer(1, name) for name in ("coherence", "semantic_content")}
    assert answers.of_file("file 2") == {"coherence": answer(2)}
    assert answers.of_pixels("pixels 3") == answers.of_file("pixels 1") == {}


def test_every_prefix_of_the_file_holds_its_whole_lines(folder):
    path = folder / "answers.jsonl"
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        given = [one for of_image in Answers(folder) for one in of_image.values()]
        assert len(given) == content[:size].count(b"\n")


def test_a_writer_cuts_a_torn_line_off_and_goes_on(folder):
    path = folder / "answers.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    with writing(folder, ASKED) as answers:
        assert len(answers) == 1
        answers.append([answer(2), answer(3)])
    assert len(Answers(folder)) == 3
    assert [json.loads(line)["image"] for line in path.read_text().splitlines()] == ["1.png", "1.png", "2.png", "3.png"]


@pytest.mark.parametrize("line", ["{}", "[1]", "nothing", '{"image": 1}', '{"text": "a", "other": 1}'])
def test_a_damaged_line_is_named(folder, line):
    path = folder / "answers.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, lines[2]]) + "\n")
    with pytest.raises(ValueError, match=rf"'{path}', line 2 is no answer: .*Remove that line"):
        Answers(folder)


@pytest.mark.parametrize("change", [{"yes": float("nan")}, {"no": "0.5"}, {"yes": 2}, {"text": ["a"]}, {"text": None}])
def test_a_line_with_values_of_another_kind_is_named(folder, change):
    with open(folder / "answers.jsonl", "a") as file:
        file.write(json.dumps({**answer(4)._asdict(), **change}) + "\n")
    with pytest.raises(ValueError, match="line 4 is no answer"):
        Answers(folder)


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        ({"model": "b-model"}, "model: 'a-model' there, 'b-model' here"),
        ({"questions": {"coherence": "Is it?"}}, "questions: "),
        ({"sampling": {"temperature": 1}}, "sampling: {'temperature': 0} there, {'temperature': 1} here"),
    ],
)
def test_answers_of_another_model_or_to_other_questions_are_refused(folder, other, shown):
    asked = Asked(**{**ASKED.__dict__, **other})
    with (
        pytest.raises(OtherAnswersError, match=f"holds other answers .{shown}.*give these another folder"),
        writing(folder, asked),
    ):
        pass


def test_one_process_at_a_time_writes(folder):
    with writing(folder, ASKED), pytest.raises(FileExistsError, match="another asking runs in"), writing(folder, ASKED):
        pass


def test_what_is_no_folder_of_answers_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no answers \(no manifest\.json\); ask: maagiqa ask IMAGES"):
        Answers(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 1, "model": "a", "questions": 3}'])
def test_a_damaged_manifest_is_named(folder, content):
    (folder / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=r"manifest\.json' is no manifest of answers"):
        Answers(folder)


def test_a_newer_format_is_refused(folder):
    (folder / "manifest.json").write_text('{"format": 2}')
    with pytest.raises(ValueError, match=r"has format 2; this version reads up to 1\. Update it"):
        Answers(folder)
