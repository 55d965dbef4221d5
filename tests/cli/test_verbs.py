"""The other verbs, and what holds for all of them."""

import json
import subprocess
import sys

import pandas
import pytest

from maagiqa_pyiqa.cli.main import VERBS, build_parser, main


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert f"maagiqa {verb}" in out


def test_shared_arguments_mean_the_same_in_every_verb():
    verbs = build_parser()._subparsers._group_actions[0].choices
    for option in ("--device", "--engine", "--dtype"):
        actions = [parser._option_string_actions.get(option) for parser in verbs.values()]
        meanings = {(action.help, action.metavar, action.default) for action in actions if action}
        assert len(meanings) == 1
        assert sum(action is not None for action in actions) > 1


def test_help_imports_nothing_heavy():
    code = "import sys; from maagiqa_pyiqa.cli.main import build_parser as b; b(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_an_unknown_argument_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "--colour"])
    assert stopped.value.code == 2


@pytest.fixture
def table(prompt_ids, tmp_path):
    """A CSV as long as AGIQA-3k's, whose rows share prompts as its rows do."""
    path = tmp_path / "data.csv"
    pandas.DataFrame({"prompt": prompt_ids["agiqa_3k"]}).to_csv(path, index_label="name")
    return str(path)


def test_split_writes_the_official_split(table, tmp_path, capsys):
    assert main(["split", table, "--csv", str(tmp_path / "s.csv"), "--json", str(tmp_path / "s.json")]) == 0
    assert "597 images, 597 share their prompt" in capsys.readouterr().out
    split = json.loads((tmp_path / "s.json").read_text())
    assert {part: len(rows) for part, rows in split.items()} == {"train": 2087, "val": 298, "test": 597}
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0].endswith(",part")
    assert lines[1 + split["test"][0]].endswith(",test")


def test_prompt_disjoint_split_shares_no_prompt(table, capsys):
    assert main(["split", table, "--split", "prompt-disjoint"]) == 0
    assert capsys.readouterr().out.count(", 0 share") == 2


def test_a_public_dataset_is_split_by_its_name(table, tmp_path, capsys):
    words = ["split", "--dataset", "agiqa-3k", "--data", str(tmp_path)]  # the table lies there as data.csv
    assert main([*words, "--csv", str(tmp_path / "named.csv")]) == 0
    assert main(["split", table, "--csv", str(tmp_path / "listed.csv")]) == 0
    assert (tmp_path / "named.csv").read_bytes() == (tmp_path / "listed.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name either the CSV of a dataset, or a public dataset"),
        (["data.csv", "--dataset", "agiqa-3k"], "name either the CSV of a dataset, or a public dataset"),
        (["--dataset", "agiqa-3k"], "needs its folder; name it with --data DIR"),
        (["--dataset", "agiqa-4k", "--data", "."], "Did you mean 'agiqa-3k'"),
        (["data.csv", "--data", "."], "'--data' is for '--dataset NAME'"),
    ],
)
def test_split_asks_for_one_table(capsys, words, message):
    assert main(["split", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "prompt-disjont"], "Did you mean 'prompt-disjoint'"),
        (["--split", "prompt-disjoint", "--prompt-column", "promt"], "Did you mean 'prompt'"),
    ],
)
def test_split_names_what_is_wrong(tmp_path, capsys, arguments, message):
    table = tmp_path / "data.csv"
    table.write_text("name,prompt\na.png,x\nb.png,y\n")
    assert main(["split", str(table), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_train_without_its_option_file_says_so(capsys):
    assert main(["train", "-opt", "none.yml"]) == 2
    assert "option file 'none.yml' does not exist" in capsys.readouterr().err
