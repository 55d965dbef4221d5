"""``maagiqa ask`` against a server on this machine: many at once, killed and resumed, faults survived, no key kept."""

import collections
import functools
import hashlib
import json
import os
import shutil
import signal

import pytest

pytest.importorskip("openai", reason="asking an endpoint needs openai")

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.semantics.answers.store import TEXT_PROMPT, Answers
from maagiqa_pyiqa.semantics.prompts import QUESTION_SETS, QUESTIONS
from tests.helpers import fake_extractor
from tests.helpers.chat_server import answer_to, serving, set_variables
from tests.helpers.fake_extractor import wait_until, write_pictures

KEY = "sk-secret-key-0123456789"


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def images(tmp_path):
    return write_pictures(tmp_path / "images", 12)


@pytest.fixture
def ask(server, images, tmp_path):
    def run(*options, answers="answers", inputs=None, model="a-model"):
        inputs = inputs or [str(tmp_path / "images")]
        where = ["--endpoint", server.url, "--model", model, "--answers", str(tmp_path / answers)]
        return main(["ask", *inputs, *where, *map(str, options)])

    return run


def texts(folder):
    """Answers by the SHA-256 of the file and the question's name."""
    given = [answer for of_image in Answers(folder) for answer in of_image.values()]
    return {(answer.file_key, answer.question): answer.text for answer in given}


def expected(images, questions=QUESTIONS):
    contents = [path.read_bytes() for path in images]
    return {
        (hashlib.sha256(content).hexdigest(), name): answer_to(content, question)
        for content in contents
        for name, question in questions.items()
    }


def test_every_question_about_every_image_is_asked_once_and_answered(ask, server, images, tmp_path, capsys):
    assert ask("--prices", 2, 10, "--json", tmp_path / "counts.json") == 0
    assert texts(tmp_path / "answers") == expected(images)
    assert set(server.answered.values()) == {1}
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert (counts["answered"], counts["tokens in"], counts["tokens out"]) == (24, 2400, 168)
    assert counts["cost"] == pytest.approx((2400 * 2 + 168 * 10) / 1e6)
    assert "24 answered, 0 answered before, 0 failed" in capsys.readouterr().out


def test_asked_again_nothing_is_asked(ask, server, images, tmp_path, capsys):
    ask()
    renamed = shutil.copytree(tmp_path / "images", tmp_path / "renamed")
    for path in renamed.iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    before = len(server.bodies)
    assert ask(inputs=[str(tmp_path / "images"), str(renamed)]) == 0
    assert len(server.bodies) == before
    assert "0 answered, 48 answered before" in capsys.readouterr().out


def test_the_same_picture_in_two_files_is_asked_about_once(ask, server, images, tmp_path):
    server.seconds = 0.05
    shutil.copy(images[0], tmp_path / "images" / "zzz.png")
    assert ask("--at-once", 13) == 0
    assert sum(server.answered.values()) == 24


def test_no_more_than_asked_for_are_under_way_at_once(ask, server, tmp_path):
    server.seconds = 0.05
    ask("--at-once", 3)
    assert server.most_at_once == 3


def test_many_at_once_give_what_one_by_one_gives(ask, tmp_path):
    ask("--at-once", 12, answers="many")
    ask("--at-once", 1, answers="one")
    assert texts(tmp_path / "many") == texts(tmp_path / "one")
    many, one = ((tmp_path / name / "manifest.json").read_bytes() for name in ("many", "one"))
    assert many == one


def test_faults_are_survived_and_nothing_is_lost(ask, server, images, tmp_path):
    server.faults += [500, 429, "cut", 503]
    assert ask("--at-once", 4) == 0
    assert texts(tmp_path / "answers") == expected(images)
    assert set(server.answered.values()) == {1}
    assert (server.statuses[500], server.statuses[429], server.statuses[503]) == (1, 1, 1)


def test_what_is_refused_is_named_and_asked_again_by_the_next_run(ask, server, images, tmp_path, capsys):
    server.faults += [400]
    assert ask("--at-once", 1) == 1
    captured = capsys.readouterr()
    assert "23 answered, 0 answered before, 1 failed" in captured.out
    assert "semantic_content: " in captured.err
    assert "fault 400" in captured.err
    assert ask() == 0
    assert "1 answered, 23 answered before, 0 failed" in capsys.readouterr().out
    assert texts(tmp_path / "answers") == expected(images)


def test_an_endpoint_that_is_gone_ends_the_run(ask, server, tmp_path, capsys):
    server.faults += [500] * 30
    assert ask("--retries", 0, "--at-once", 1) == 2
    assert "20 questions in a row were asked in vain, the last: coherence: " in capsys.readouterr().err
    assert len(server.bodies) == 20


def test_an_unreadable_image_is_named_and_the_others_are_asked_about(ask, server, images, tmp_path, capsys):
    images[3].write_bytes(b"no image")
    assert ask() == 1
    assert f"{images[3]}: not an image of a format" in capsys.readouterr().err
    assert sum(server.answered.values()) == 22


def test_the_questions_may_be_others(ask, server, images, tmp_path, capsys):
    assert ask("--questions", "yes-no") == 0
    assert texts(tmp_path / "answers") == expected(images, QUESTION_SETS["yes-no"])
    (tmp_path / "questions.yml").write_text("sharpness: Is it sharp?\n")
    assert ask("--questions", tmp_path / "questions.yml") == 2
    assert "holds other answers (questions" in capsys.readouterr().err
    assert ask("--questions", tmp_path / "questions.yml", answers="others") == 0
    assert texts(tmp_path / "others") == expected(images, {"sharpness": "Is it sharp?"})
    assert ask("--questions", "papr") == 2
    assert "neither a file nor one of: paper, yes-no. Did you mean 'paper'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["1: Is it sharp?\n", "yes: Is it sharp?\n", "sharp: ''\n", "'': Is it?\n", "a: 1\n"]
)
def test_questions_without_names_or_words_are_refused(ask, server, images, tmp_path, capsys, content):
    (tmp_path / "questions.yml").write_text(content)
    assert ask("--questions", tmp_path / "questions.yml") == 2
    assert "has to hold questions by name" in capsys.readouterr().err
    assert not server.bodies


@pytest.mark.parametrize("options", [("--retries", -1), ("--timeout", 0), ("--timeout", "nan"), ("--at-once", 0)])
def test_numbers_that_mean_nothing_are_refused(ask, options, capsys):
    with pytest.raises(SystemExit, match="2"):
        ask(*options)
    assert f"argument {options[0]}: " in capsys.readouterr().err


def test_an_image_that_is_refused_by_403_does_not_end_the_run(ask, server, images, tmp_path, capsys):
    server.faults += [403]
    assert ask("--at-once", 1) == 1
    assert "23 answered, 0 answered before, 1 failed" in capsys.readouterr().out


def test_hostile_answers_leave_a_folder_that_can_be_read(ask, server, images, tmp_path, capsys):
    message = {"content": ["Yes"]}
    server.faults += [{"choices": [{"message": message}]}, {"choices": [{"message": {"content": ""}}]}, "<html></html>"]
    assert ask("--at-once", 1) == 1
    assert len(texts(tmp_path / "answers")) == 21
    assert "3 failed" in capsys.readouterr().out
    assert ask() == 0
    assert texts(tmp_path / "answers") == expected(images)


def test_prompts_may_have_line_breaks(ask, images, tmp_path):
    lines = ["name,text", *(f'{path.name},"a ""picture""\nof {path.stem}, \u2028 and more"' for path in images)]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n", newline="")
    assert ask("--root", tmp_path / "images", "--prompt-column", "text", inputs=[str(tmp_path / "list.csv")]) == 0
    given = {of_image[TEXT_PROMPT].text for of_image in Answers(tmp_path / "answers")}
    assert given == {f'a "picture"\nof {path.stem}, \u2028 and more' for path in images}


def test_another_model_length_or_temperature_needs_another_folder(ask, capsys):
    ask()
    assert ask(model="b-model") == ask("--max-tokens", 9) == ask("--temperature", "default") == 2
    assert capsys.readouterr().err.count("holds other answers") == 3
    assert ask("--temperature", "0.0") == 0  # as before


@pytest.mark.parametrize(("given", "sent"), [("0", 0), ("0.7", 0.7), ("default", None)])
def test_a_temperature_is_sent_as_given_or_left_to_the_endpoint(ask, server, images, tmp_path, given, sent):
    assert ask("--temperature", given) == 0
    assert {body.get("temperature") for body in server.bodies} == {sent}
    assert texts(tmp_path / "answers") == expected(images)


@pytest.mark.parametrize("given", ["-1", "2.5", "nan", "hot"])
def test_what_is_no_temperature_is_named(ask, capsys, given):
    with pytest.raises(SystemExit):
        ask(f"--temperature={given}")
    assert given in capsys.readouterr().err


def test_prompts_of_a_list_are_kept_also_where_everything_is_answered(ask, server, images, tmp_path):
    ask()
    before = len(server.bodies)
    lines = ["name,text", *(f"{path.name},a picture of {path.stem}" for path in images)]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    command = ["--root", str(tmp_path / "images"), "--prompt-column", "text"]
    assert ask(*command, inputs=[str(tmp_path / "list.csv")]) == 0
    given = Answers(tmp_path / "answers")
    assert sorted(of_image[TEXT_PROMPT].text for of_image in given)[0] == "a picture of 0000"
    assert len(given) == 12
    assert len(server.bodies) == before


# ----------------------------------------------------------------------------------------------------- killed, and keys


def start(server, tmp_path, *options, **variables):
    """``maagiqa ask`` in a process of its own, with output into ``log``."""
    where = ["--endpoint", server.url, "--model", "a-model", "--answers", str(tmp_path / "answers")]
    setup = functools.partial(set_variables, **variables)
    command = ["ask", str(tmp_path / "images"), *where, *options]
    return fake_extractor.start(fake_extractor.run_maagiqa, command, str(tmp_path / "log"), setup=setup)


def test_killed_at_any_moment_it_goes_on_and_asks_nothing_again_that_is_on_the_disk(ask, server, images, tmp_path):
    server.seconds = 0.1
    process = start(server, tmp_path, "--at-once", "4")
    path = tmp_path / "answers" / "answers.jsonl"
    wait_until(lambda: path.is_file() and path.read_bytes().count(b"\n") >= 5)
    process.kill()
    process.join()
    wait_until(lambda: server.under_way == 0)
    kept = texts(tmp_path / "answers")
    assert 5 <= len(kept) < 24
    before, server.seconds = collections.Counter(server.answered), 0.0
    assert ask() == 0
    asked_now = server.answered - before
    names = {question: name for name, question in QUESTIONS.items()}
    assert not {(image, names[question]) for image, question in asked_now} & kept.keys()
    assert sum(asked_now.values()) == 24 - len(kept)
    assert texts(tmp_path / "answers") == expected(images)


def test_interrupted_it_waits_for_what_is_under_way_and_keeps_it(server, images, tmp_path):
    server.seconds = 0.1
    process = start(server, tmp_path, "--at-once", "2")
    wait_until(lambda: sum(server.answered.values()) >= 2)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 130
    assert 2 <= len(texts(tmp_path / "answers")) == sum(server.answered.values()) < 24


def test_interrupted_twice_it_ends_at_once(server, images, tmp_path):
    server.seconds = 60
    process = start(server, tmp_path, "--at-once", "2")
    wait_until(lambda: server.under_way == 2)
    os.kill(process.pid, signal.SIGINT)
    wait_until(lambda: b"once more to stop now" in (tmp_path / "log").read_bytes())
    os.kill(process.pid, signal.SIGINT)
    process.join(20)
    assert process.exitcode == 130


def test_a_second_process_on_the_same_folder_is_refused(ask, server, images, tmp_path, capsys):
    server.seconds = 0.2
    process = start(server, tmp_path, "--at-once", "1")
    wait_until(lambda: server.under_way)
    assert ask() == 2
    assert f"another asking runs in '{tmp_path / 'answers'}': process {process.pid} on " in capsys.readouterr().err
    process.kill()
    process.join()
    server.seconds = 0
    assert ask() == 0


def test_on_a_full_disk_it_ends_with_what_is_whole_and_goes_on_later(ask, server, images, tmp_path):
    setup = functools.partial(fake_extractor.limit_file_size, 3000)
    where = ["--endpoint", server.url, "--model", "a-model", "--answers", str(tmp_path / "answers")]
    command = ["ask", str(tmp_path / "images"), *where]
    process = fake_extractor.start(fake_extractor.run_maagiqa, command, str(tmp_path / "log"), setup=setup)
    process.join()
    assert process.exitcode == 2
    assert "answers' takes no more answers: " in (tmp_path / "log").read_text()
    content = (tmp_path / "answers" / "answers.jsonl").read_bytes()
    assert content.endswith(b"}\n")
    assert 0 < len(texts(tmp_path / "answers")) < 24
    assert ask() == 0
    assert texts(tmp_path / "answers") == expected(images)


def test_the_key_is_in_no_file_and_no_message(images, tmp_path):
    answers = tmp_path / "answers" / "answers.jsonl"
    with serving(key=KEY) as server:
        start(server, tmp_path, "--key-variable", "MY_KEY", MY_KEY=KEY, OPENAI_LOG="debug").join()
        answers.rename(tmp_path / "kept")
        server.key = "another"  # it repeats the wrong key in its message
        start(server, tmp_path, "--key-variable", "MY_KEY", MY_KEY=KEY, OPENAI_LOG="debug").join()
    log = (tmp_path / "log").read_text()
    assert "24 answered" in log
    assert "Incorrect API key provided: ***" in log
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {tmp_path / "log", tmp_path / "kept", answers} < set(files)
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
