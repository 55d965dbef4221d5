"""docs/own_data.md, from a table of ratings to a metric: every command and snippet of it runs in its order."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import yaml

from maagiqa_pyiqa.cli.main import build_parser, main
from maagiqa_pyiqa.cli.own_data import own_option_file
from maagiqa_pyiqa.models import recipes
from maagiqa_pyiqa.models.start_scale import StartScale
from tests.helpers.places import ROOT

PAGE = (ROOT / "docs" / "own_data.md").read_text()
COMMANDS = [
    line.strip()
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.strip().startswith("maagiqa ")
]
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
QUICK = ["--force_yml", "train:total_epoch=1", "datasets:train:num_worker_per_gpu=0",
         "datasets:train:persistent_workers=false"]  # fmt: skip


def run(folder, *words):
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def maagiqa(folder, words):
    quick = QUICK if words[0] == "train" else []
    done = run(folder, "-m", "maagiqa_pyiqa.cli.main", *words, *quick)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def workplace(quarters, tmp_path_factory):
    """A folder with pictures, one of them in a folder of its own, and ratings from 1 to 10."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(quarters / "images", folder / "pictures")
    table = pandas.read_csv(quarters / "data.csv")
    table = pandas.DataFrame(
        {"name": table["name"], "prompt": table["prompt"], "rating": 1 + 9 / 5 * table["mos_quality"]}
    )
    (folder / "pictures" / "cats").mkdir()
    for row, name in enumerate(("a_cat_01.png", "cats/a_cat_02.png")):
        (folder / "pictures" / table["name"][row]).rename(folder / "pictures" / name)
        table.loc[row, "name"] = name
    table.to_csv(folder / "mine.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def outputs(workplace):
    """What each command of the page printed, run one after the other."""
    return {line: maagiqa(workplace, shlex.split(line)[1:]) for line in COMMANDS}


def test_the_page_goes_from_ratings_to_a_metric(outputs, workplace):
    assert [line.split()[1] for line in outputs] == ["train", "score", "benchmark", "split", "train"]
    said = outputs[COMMANDS[0]]
    assert "48 images of" in said
    assert "no prompt in two parts (column prompt)" in said
    assert "weights: " in said
    (log,) = (workplace / "experiments" / "mine").glob("train_*.log")
    assert "will not be optimized" not in log.read_text()  # hundreds of lines on what is frozen
    option = yaml.safe_load((workplace / "experiments/mine/mine.yml").read_text())
    assert option["network"]["rescale"][0] > 0
    assert "as column part says" in outputs[COMMANDS[4]]


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_of_the_page_run(outputs, workplace, code):
    done = run(workplace, "-c", code)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_three_ways_that_the_end_names_work_and_agree(outputs, workplace):
    said = outputs[COMMANDS[0]].splitlines()
    score, benchmark, create = (line.strip() for line in said[said.index("to use it:") + 1 :][:3])
    maagiqa(workplace, [*shlex.split(score)[1:], "--json", "scores.json"])
    scored = {
        image["image"]: image["scores"]["mine"]
        for image in json.loads((workplace / "scores.json").read_text())["images"]
    }
    maagiqa(workplace, [*shlex.split(benchmark)[1:], "--out", "again"])
    results = json.loads((workplace / "again" / "results.json").read_text())
    assert {one["name"] for one in results["participants"]} == {"maagiqa-lite", "mine"}
    done = run(workplace, "-c", f"import pyiqa\nprint({create}('pictures/a_cat_01.png').item())")
    assert float(done.stdout.split()[-1]) == pytest.approx(scored["pictures/a_cat_01.png"], abs=1e-3)
    assert 3 < sum(scored.values()) / len(scored) < 8  # of ratings from 1 to 10


def test_test_scores_name_images_as_the_table_does(outputs, workplace):
    names = set(pandas.read_csv(workplace / "mine.csv")["name"])
    scores = pandas.read_csv(workplace / "experiments/mine/test_scores.csv")
    assert len(scores) > 4
    assert set(scores["name"]) <= names


REFUSED = {
    "nothing": ([], "name either your table of ratings"),
    "both": (["--csv", "mine.csv", "-opt", "maagiqa_lite_3k"], "name either your table of ratings"),
    "no table": (["--csv", "yours.csv"], "CSV 'yours.csv' does not exist"),
    "column": (["--csv", "mine.csv", "--mos-column", "ratign"], "no column 'ratign'. Did you mean 'rating'?"),
    "no cache": (["--csv", "mine.csv", "--images", "pictures", "--mos-column", "rating", "--recipe", "official"],
                 "recipe 'official' learns from the features of a large model"),
    "name": (["--csv", "mine.csv", "--name", "a/b"], "cannot hold slashes"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_is_said_in_one_line_before_anything_is_written(
    workplace, monkeypatch, capsys, words, message
):
    monkeypatch.chdir(workplace)
    before = set(workplace.glob("experiments/*"))
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert set(workplace.glob("experiments/*")) == before


def test_a_run_that_is_resumed_keeps_its_own_option_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "experiments" / "mine" / "mine.yml"
    kept.parent.mkdir(parents=True)
    kept.touch()
    arguments = build_parser().parse_args(["train", "--csv", "mine.csv", "--name", "mine", "--resume"])
    with own_option_file(arguments) as path:
        assert path == "experiments/mine/mine.yml"


def test_a_scale_on_which_lower_is_better_is_remarked_on(quarters, monkeypatch, capsys):
    monkeypatch.setattr(recipes, "start_scale_of_lite", lambda _: StartScale(-1.8, 10.0))
    csv = str(quarters / "data.csv")
    words = ["train", "--csv", csv, "--images", str(quarters / "images"), "--mos-column", "mos_quality"]
    with own_option_file(build_parser().parse_args(words)) as path:
        assert yaml.safe_load(Path(path).read_text())["name"] == "data_lite"
    said = capsys.readouterr().out
    assert "recipe lite: 20 epochs, batch 16, AdamW at 0.0003; scores start at -1.8 * score +10" in said
    assert "lower ones seem to be better" in said
