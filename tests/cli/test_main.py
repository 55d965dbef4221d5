"""What a user can mend is one line; what is a fault of ours is told with its traceback."""

import pytest

from maagiqa_pyiqa.cli import score
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.support.errors import InputError, InputTypeError


@pytest.fixture
def failing(monkeypatch):
    def fail(error):
        def raise_it(arguments):
            raise error

        monkeypatch.setattr(score, "run", raise_it)
        return main(["score", "a.png"])

    return fail


@pytest.mark.parametrize("error", [InputError("no"), InputTypeError("no"), OSError("no"), ImportError("no")])
def test_what_the_user_can_mend_is_one_line(failing, capsys, error):
    assert failing(error) == 2
    assert capsys.readouterr().err == "maagiqa score: no\n"


@pytest.mark.parametrize("error", [ValueError("shapes differ"), TypeError("no"), RuntimeError("no"), KeyError("no")])
def test_a_fault_of_ours_shows_its_traceback(failing, capsys, error):
    assert failing(error) == 70
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert "in raise_it" in said
    assert "please report it" in said


def test_an_error_without_words_is_named(failing, capsys):
    assert failing(MemoryError()) == 2
    assert capsys.readouterr().err == "maagiqa score: MemoryError\n"


def test_a_message_cannot_write_to_the_terminal(failing, capsys):
    assert failing(InputError("'\x1b[2J.png' is no image")) == 2
    assert capsys.readouterr().err == "maagiqa score: '\\x1b[2J.png' is no image\n"


def test_who_interrupts_the_start_is_told_no_more(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("maagiqa_pyiqa.cli.main.build_parser", interrupted)
    assert main(["score", "a.png"]) == 130
    assert capsys.readouterr().err == ""


def test_errors_of_users_are_the_built_in_ones_too():
    assert issubclass(InputError, ValueError)
    assert issubclass(InputTypeError, TypeError)


def test_a_misspelt_verb_is_told_the_nearest(capsys):
    with pytest.raises(SystemExit):
        main(["scor", "a.png"])
    assert "there is no verb 'scor'. Did you mean 'score'? Verbs: score, rank," in capsys.readouterr().err
