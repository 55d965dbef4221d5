"""The runners of the paper's experiments: every row is a configuration of the one network, every run is made once."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest
import torch

from benchmarks import cross_dataset, training_runs
from benchmarks.ablation import ROWS, name_of, option_of, parse_arguments
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.data.public_datasets import dataset_sections, with_root
from maagiqa_pyiqa.data.splits import make_split
from maagiqa_pyiqa.models.train_options import check_option_sections

CACHE = SimpleNamespace(
    location="features", manifest=SimpleNamespace(prompts=("semantic_content", "coherence"), feature_dim=24)
)


@pytest.fixture
def parsed(tmp_path):
    return parse_arguments(["--root", str(tmp_path), "--out", str(tmp_path / "out"), "--epochs", "2"])


@pytest.mark.parametrize("label", ROWS)
def test_every_row_is_a_configuration_of_the_one_network(label, parsed):
    option = option_of(label, 7, CACHE, parsed)
    train = check_option_sections(option)
    network = {key: value for key, value in option["network"].items() if key not in ("type", "backbone_weights")}
    net = MAAGIQA(**network).eval()
    row = ROWS[label]
    assert (net.quality_branch is not None, net.options.num_prompts) == (row.use_quality, len(row.prompts))
    assert (option["manual_seed"], train.total_epoch) == (7, 2)
    names = [name for name, _ in net.named_parameters()]
    assert all(any(name.startswith(prefix) for name in names) for prefix in train.freeze)
    features = torch.randn(2, len(row.prompts), 24) if row.prompts else None
    with torch.no_grad():
        assert net(torch.rand(2, 3, 64, 64), features).shape == (2, 1)


@pytest.mark.parametrize("label", ROWS)
def test_datasets_hand_over_the_prompts_of_the_row(label, parsed):
    prompts = [CACHE.manifest.prompts[position] for position in ROWS[label].prompts]
    for section in dataset_sections(option_of(label, 0, CACHE, parsed)):
        assert section.get("prompts", []) == prompts
        assert section.get("base", section)["type"] == "AGIQA3kDataset"
        assert section.get("base", section)["root"] == str(parsed.root)


def test_names_tell_rows_and_seeds_apart():
    assert len({name_of(label, seed) for label in ROWS for seed in range(3)}) == 3 * len(ROWS)


def test_what_is_trained_is_not_trained_again(tmp_path, monkeypatch):
    folder = tmp_path / "experiments" / "done"
    folder.mkdir(parents=True)
    (folder / "test_figures.json").write_text(json.dumps({"srcc": 0.5}))
    monkeypatch.setattr(training_runs.subprocess, "run", lambda *_, **__: pytest.fail("trained again"))
    assert training_runs.train({"name": "done"}, tmp_path) == {"srcc": 0.5}


def test_a_failed_training_names_its_log(tmp_path):
    with pytest.raises(RuntimeError, match=r"training 'bad' failed with code \d; see .*bad\.log"):
        training_runs.train({"name": "bad", "nmae": 1, "model_type": "MAAGIQAModel"}, tmp_path)


def test_the_table_gives_mean_and_deviation_over_seeds():
    runs = [{"srcc": value, "plcc": value, "krcc": value, "rmse": value} for value in (0.5, 0.7)]
    assert "| all | 2 | 0.6000 ± 0.1414 |" in training_runs.summary({"all": runs})


def test_recipes_name_their_data_from_anywhere():
    for section in dataset_sections(training_runs.load_recipe("maagiqa_3k")):
        for path in (section["cache"], section["base"]["root"]):
            assert Path(path).is_absolute()


def test_runs_end_in_the_leaderboards_report(quarters, tmp_path):
    table = pandas.read_csv(quarters / "data.csv")
    rows = table.iloc[make_split("official", None, len(table))["test"]]
    folder = tmp_path / "experiments" / "all_seed0"
    folder.mkdir(parents=True)
    rows.assign(score=rows["mos_quality"]).to_csv(folder / "test_scores.csv", index=False)
    test = with_root(training_runs.load_recipe("ablation_lite_3k"), quarters)["test"]
    training_runs.report(tmp_path, test, {"all, MoE@agiqa-3k": "all_seed0"})
    (row,) = json.loads((tmp_path / "report" / "results.json").read_text())["splits"]["official"]["rows"]
    assert (row["srcc"]["value"], row["published"]["srcc"]) == (1, 0.8939)
    assert (tmp_path / "report" / "report.html").is_file()


def test_a_cross_dataset_run_trains_on_one_and_tests_on_the_other(tmp_path):
    words = ["--train", "maagiqa_3k", "--test", "maagiqa_20k", "--out", str(tmp_path), "--part", "val"]
    option = cross_dataset.option_of("maagiqa_3k", 3, cross_dataset.parse_arguments(words))
    assert {section["base"]["type"] for section in option["datasets"].values()} == {"AGIQA3kDataset"}
    assert option["test"]["base"]["type"] == "AIGCQA20kDataset"
    assert (option["test"]["base"]["part"], option["manual_seed"]) == ("val", 3)
    assert cross_dataset.label_of(option) == "maagiqa@agiqa-3k"
    check_option_sections(option)
