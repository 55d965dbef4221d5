"""The leaderboard from options to results: who takes part, what is scored once, and what is said of what fails."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas
import pyiqa
import pytest
import torch
import yaml
from PIL import Image
from pyiqa.default_model_configs import DEFAULT_CONFIGS

from maagiqa_pyiqa.agreement.statistics import STATISTICS, Statistic, evaluate
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.data.splits import official_split
from maagiqa_pyiqa.leaderboard import compare, entrants, run_metrics
from maagiqa_pyiqa.leaderboard.datasets import DatasetChoice, load_data
from maagiqa_pyiqa.leaderboard.entrants import parse_entrant, parse_entrants
from maagiqa_pyiqa.leaderboard.published import find_published, load_published
from maagiqa_pyiqa.leaderboard.results import Published
from maagiqa_pyiqa.leaderboard.results_json import parse_results, read_results, to_json
from maagiqa_pyiqa.leaderboard.run import parse_benchmark_options, read_option_file, run_benchmark
from maagiqa_pyiqa.leaderboard.terminal import as_ranking
from tests.helpers import leaderboard_metrics
from tests.helpers.places import ROOT

N = 14


@pytest.fixture(autouse=True)
def _cheap_metrics(monkeypatch):
    for name, config in leaderboard_metrics.configs().items():
        monkeypatch.setitem(DEFAULT_CONFIGS, name, config)
    leaderboard_metrics.CALLS.clear()


@pytest.fixture
def calls():
    """Names of the test metrics, once for each image that one was given."""
    return leaderboard_metrics.CALLS


def draw(path, brightness, seed, side=64):
    noise = np.random.default_rng(seed).integers(-20, 20, (side, side, 3))
    Image.fromarray((255 * brightness + noise).clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def table(tmp_path):
    """CSV of images of two sizes that grow brighter; MOS grows with them, except for one pair."""
    folder = tmp_path / "images"
    folder.mkdir()
    mos = np.linspace(1, 4, N)
    mos[[4, 5]] = mos[[5, 4]]
    rows = []
    for index in range(N):
        name = f"picture{index:02d}.png"
        draw(folder / name, 0.15 + 0.05 * index, index, 64 if index % 3 else 80)
        rows.append({"name": name, "mos": mos[index], "model": "ab"[index % 2], "prompt": f"a {index // 2} & b"})
    path = tmp_path / "mine.csv"
    pandas.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture
def options(table, tmp_path):
    """Make options of a small run; keywords replace and add."""

    default = {
        "dataset": "csv",
        "csv": str(table),
        "root": str(tmp_path / "images"),
        "out": str(tmp_path / "out"),
        "metrics": ["brightness"],
        "group_columns": ["model"],
        "resamples": 50,
        "workers": 0,
        "device": "cpu",
        "batch_size": 4,
    }

    def make(**given):
        return parse_benchmark_options({**default, **given})

    make.default = default
    return make


def rows_of(results, split="all"):
    return {row.name: row for row in results.splits[split].rows}


def participants_of(results):
    return {one.name: one for one in results.participants}


# ------------------------------------------------------------------------------------------------- results as a whole


def test_results_hold_everything_the_report_needs(options, tmp_path):
    results = run_benchmark(options(metrics=["brightness", "darkness"]))
    assert read_results(tmp_path / "out" / "results.json") == results
    assert (tmp_path / "out" / "report.html").is_file()
    assert (len(results.dataset.csv_sha256), len(results.dataset.images_sha256)) == (64, 64)
    assert results.dataset.mos_range == (1, 4)
    assert results.environment.packages["pyiqa"] == pyiqa.__version__
    one = participants_of(results)["brightness"]
    assert (one.kind, one.status, one.parameters, one.device) == ("metric", "ok", 1, "cpu")
    assert one.trained_on is None
    assert one.images_per_second > 0
    assert one.peak_memory_bytes >= 0
    row = rows_of(results)["brightness"]
    assert row.n == N
    assert row.figures["srcc"].low <= row.figures["srcc"].value <= row.figures["srcc"].high
    assert len(row.logistic) == 4
    groups = results.splits["all"].groups["model"]
    assert [(group.group, group.n) for group in groups] == [("a", 7), ("a", 7), ("b", 7), ("b", 7)]
    image = results.images[0]
    assert image.columns == {"model": "a", "prompt": "a 0 & b"}
    assert image.scores.keys() == {"brightness", "darkness"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content: content.update(schema=2), "expected schema 1, got 2; run the benchmark again"),
        (lambda content: content.update(more=1), r"Results: unknown \['more'\], missing \[\]"),
        (lambda content: content.pop("seed"), r"Results: unknown \[\], missing \['seed'\]"),
        (lambda content: content["splits"]["all"]["rows"][0].update(rsme=None), r"figures: unknown \['rsme'\]"),
        (
            lambda content: content["participants"][0].pop("version"),
            r"Participant: unknown \[\], missing \['version'\]",
        ),
    ],
)
def test_results_that_are_not_known_are_refused_by_name(options, edit, message):
    content = json.loads(to_json(run_benchmark(options())))
    edit(content)
    with pytest.raises(ValueError, match=message):
        parse_results(json.dumps(content))


def test_a_new_statistic_is_one_row_and_everything_knows_it(options, tmp_path, monkeypatch, capsys):
    medal = Statistic(
        key="within_one",
        title="Within 1",
        higher_is_better=True,
        function=lambda judged, weights: (weights * (np.abs(judged.mapped - judged.mos) < 1)).sum(1) / weights.sum(1),
        meaning="share of images whose score after the fit is within 1 of MOS",
    )
    monkeypatch.setitem(STATISTICS, "within_one", medal)
    results = run_benchmark(options())
    assert rows_of(results)["brightness"].figures["within_one"].value == 1
    assert read_results(tmp_path / "out" / "results.json") == results
    assert "Within 1" in as_ranking(results, "all")
    assert evaluate(np.arange(9.0), np.arange(9.0))["within_one"] == 1


def test_lower_better_counts_as_its_negative_and_keeps_its_raw_scores(options):
    results = run_benchmark(options(metrics=["darkness", "brightness"]))
    rows = rows_of(results)
    assert rows["darkness"].figures["srcc"] == rows["brightness"].figures["srcc"]
    assert rows["brightness"].figures["srcc"].value > 0.9
    assert rows["darkness"].figures["rmse"].value == pytest.approx(rows["brightness"].figures["rmse"].value)
    assert results.images[0].scores["darkness"] == pytest.approx(-results.images[0].scores["brightness"])
    assert rows["brightness"].p_against_best == 1  # the same order: the first of the two is called the best
    assert [row.is_best for row in results.splits["all"].rows] == [True, False]


def test_gate_weights_stand_beside_scores(options):
    results = run_benchmark(options(metrics=["maagiqa-lite"]))
    gates = [image.gate["maagiqa-lite"] for image in results.images]
    assert all(len(gate) == 3 for gate in gates)
    assert participants_of(results)["maagiqa-lite"].parameters > 3e6


def test_a_column_of_scores_takes_part(options, table, tmp_path):
    scores = pandas.read_csv(table)
    scores["image"] = ["/elsewhere/" + name for name in scores["name"]]  # as maagiqa score writes paths
    scores["reward"] = -scores["mos"]
    scores[["image", "reward"]].to_csv(tmp_path / "scores.csv", index=False)
    results = run_benchmark(options(metrics=[f"mine=csv:{tmp_path}/scores.csv:-reward"]))
    assert rows_of(results)["mine"].figures["srcc"].value == pytest.approx(1)
    assert participants_of(results)["mine"].kind == "scores"


# --------------------------------------------------------------------------------------------------------- scored once


def test_a_second_run_scores_only_what_is_new(options, table, tmp_path, calls):
    run_benchmark(options())
    assert len(calls) == N
    calls.clear()
    again = run_benchmark(options(metrics=["brightness", "darkness"], seed=1))
    assert set(calls) == {"darkness"}
    assert participants_of(again)["brightness"].images_per_second > 0
    calls.clear()
    draw(tmp_path / "images" / "new.png", 0.5, seed=99)
    with table.open("a") as file:
        file.write("new.png,2.5,a,new\n")
    run_benchmark(options())
    assert calls == ["brightness"]


def test_scores_belong_to_pixels_and_weights_not_to_names(options, tmp_path, calls):
    run_benchmark(options())
    calls.clear()
    renamed = tmp_path / "renamed"
    (tmp_path / "images").rename(renamed)
    run_benchmark(options(root=str(renamed)))
    assert not calls
    draw(renamed / "picture03.png", 0.9, seed=3)  # another picture of the old name
    run_benchmark(options(root=str(renamed)))
    assert calls == ["brightness"]
    calls.clear()
    run_benchmark(options(root=str(renamed), metrics=[{"name": "b", "metric": "brightness", "options": {"sign": 2.0}}]))
    assert len(calls) == N


def test_a_killed_run_resumes(options, tmp_path, calls):
    (tmp_path / "run.yml").write_text(yaml.safe_dump({**options.default, "batch_size": 2}))
    script = Path(leaderboard_metrics.__file__)
    environment = {**os.environ, "SECONDS_AN_IMAGE": "0.5", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path / "run.yml")], env=environment)
    kept = wait_for_scores(tmp_path / "out" / "scores.sqlite", 3, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert kept < N
    results = run_benchmark(options())
    assert 0 < len(calls) <= N - kept
    assert rows_of(results)["brightness"].n == N


def wait_for_scores(path, count, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with sqlite3.connect(path) as database:
                kept = database.execute("SELECT COUNT(*) FROM scores").fetchone()[0]
        except sqlite3.OperationalError:
            kept = 0
        if kept >= count:
            return kept
        time.sleep(0.05)
    raise AssertionError("the run wrote no scores")


# ------------------------------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("ends-the-program", "ended the program"),
        ("lacks-a-package", "lacks the package 'no_such_package'; pip install it"),
        ("lacks-memory", "out of memory: the model needs 15 GiB"),
        ("never-works", "14 of 14 images have no score, mostly: index out of range"),
    ],
)
def test_a_broken_metric_is_a_row_with_its_reason(options, metric, reason):
    results = run_benchmark(options(metrics=[metric, "brightness"]))
    one = participants_of(results)[metric]
    assert one.status == "failed"
    assert reason in one.reason
    assert list(rows_of(results)) == ["brightness"]


def test_a_fault_of_the_machine_is_found_with_the_first_batch_and_tried_again_next_time(options, calls):
    run_benchmark(options(metrics=["lacks-memory"]))
    assert len(calls) <= 4
    calls.clear()
    run_benchmark(options(metrics=["never-works"]))
    first = len(calls)
    run_benchmark(options(metrics=["never-works"]))
    assert len(calls) == 2 * first


def test_nan_on_some_images_is_part_of_a_row(options, calls):
    results = run_benchmark(options(metrics=["brightness", "nan-in-the-dark"]))
    one = participants_of(results)["nan-in-the-dark"]
    assert one.status == "partial"
    assert set(one.failed_images.values()) == {"the metric gave nan"}
    assert rows_of(results)["nan-in-the-dark"].n == N - len(one.failed_images)
    assert 0 < rows_of(results)["nan-in-the-dark"].p_against_best <= 1
    calls.clear()
    run_benchmark(options(metrics=["nan-in-the-dark"]))
    assert not calls
    run_benchmark(options(metrics=["nan-in-the-dark"], retry_failed=True))
    assert len(calls) == len(one.failed_images)


def test_what_a_metric_cannot_take_in_batches_is_scored_one_by_one(options):
    results = run_benchmark(options(metrics=["batchless", "brightness"]))
    assert rows_of(results)["batchless"].figures["srcc"] == rows_of(results)["brightness"].figures["srcc"]


def test_an_unreadable_image_is_missing_in_every_metric(options, tmp_path):
    (tmp_path / "images" / "picture07.png").write_text("no image")
    results = run_benchmark(options(metrics=["brightness", "darkness"]))
    for one in results.participants:
        assert one.status == "partial"
        assert "not an image" in one.failed_images["picture07.png"]


# ------------------------------------------------------------------------------------------------------- out of reach


@pytest.fixture
def no_hosts(monkeypatch, tmp_path):
    """No host answers, and pyiqa's folder of weights is an empty one."""
    monkeypatch.setattr(run_metrics, "find_unreachable", list)
    monkeypatch.setattr("pyiqa.utils.download_util.DEFAULT_CACHE_DIR", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_weights_out_of_reach_are_named_and_appear_once_they_are_there(options, no_hosts):
    start = time.monotonic()
    results = run_benchmark(options(metrics=["cnniqa", "brisque"]))
    assert time.monotonic() - start < 15
    reason = participants_of(results)["cnniqa"].reason
    assert "put CNNIQA_koniq10k-e6f14c91.pth (https://" in reason
    assert reason.endswith(f"into {no_hosts}")
    torch.manual_seed(0)
    net = pyiqa.archs.build_network({"type": "CNNIQA", "pretrained": None})
    torch.save({"params": net.state_dict()}, no_hosts / "CNNIQA_koniq10k-e6f14c91.pth")
    torch.save((torch.rand(5, 1), torch.rand(5, 36)), no_hosts / "brisque_svm_weights.pth")
    results = run_benchmark(options(metrics=["cnniqa", "brisque"]))
    assert [one.reason for one in results.participants] == [None, None]


def test_the_hub_is_not_asked_where_it_does_not_answer(options, no_hosts, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    start = time.monotonic()
    results = run_benchmark(options(metrics=["hyperiqa"]))
    assert time.monotonic() - start < 15
    assert "run 'hf download timm/resnet50.a1_in1k' where the hub answers" in results.participants[0].reason


# -------------------------------------------------------------------------------------------------------- participants


def test_forms_of_a_participant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("net.pth", "s.csv"):
        (tmp_path / name).touch()
    words = ["piqe", "maagiqa=net.pth", "ours=maagiqa=net.pth", "reward=csv:s.csv:r", "loss=csv:s.csv:-r"]
    found = parse_entrants(words)
    assert [one.name for one in found] == ["piqe", "maagiqa=net.pth", "ours", "reward", "loss"]
    assert [one.kind for one in found] == ["metric", "checkpoint", "checkpoint", "scores", "scores"]
    assert [one.lower_better for one in found] == [True, False, False, False, True]
    assert [one.source.checkpoint for one in found[1:3]] == ["net.pth", "net.pth"]
    assert (found[4].source.file, found[4].source.column) == ("s.csv", "r")


def test_a_checkpoint_of_any_network_takes_part(tmp_path):
    net = pyiqa.archs.build_network({"type": "LeaderboardTestNet", "sign": 3.0})
    torch.save({"params": net.state_dict()}, tmp_path / "net_best.pth")
    word = {"name": "mine", "network": {"type": "LeaderboardTestNet"}, "checkpoint": str(tmp_path / "net_best.pth")}
    metric = parse_entrant(word).source.create("cpu")
    assert metric(torch.ones(1, 3, 8, 8)).item() == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["maagiqa-lit"], "Did you mean 'maagiqa-lite'"),
        (["psnr"], "does not score an image by itself"),
        (["maniqua=net.pth"], "Did you mean 'maniqa'"),
        (["piqe", "piqe"], "'piqe' takes part twice"),
        (["x=csv:scores.csv"], "is not one of NAME, NAME=CHECKPOINT"),
        ([{"name": "x", "metrc": "piqe"}], "Did you mean 'metric'"),
        ([{"name": "x"}], "give either metric, or network, or file and column"),
    ],
)
def test_participants_that_make_no_sense(words, message):
    with pytest.raises(ValueError, match=message):
        parse_entrants(words)


def test_absent_files_of_participants():
    for word in ("piqe=none.pth", "x=csv:none.csv:score"):
        with pytest.raises(FileNotFoundError, match="does not exist"):
            parse_entrant(word)


def test_a_default_metric_that_this_pyiqa_lacks_is_a_row(options, monkeypatch):
    monkeypatch.setattr(entrants, "DEFAULT_METRICS", ("brightness", "no-such-metric"))
    results = run_benchmark(options(metrics=[]))
    assert [one.status for one in results.participants] == ["ok", "failed"]
    assert "pyiqa has no metric" in results.participants[1].reason


# ----------------------------------------------------------------------------------------------------- data and options


def test_scores_that_are_not_whole_are_one_error(options, table, tmp_path):
    scores = pandas.DataFrame({"name": pandas.read_csv(table)["name"], "s": np.arange(N, dtype=float)})
    scores.loc[2, "s"] = np.nan
    scores = pandas.concat([scores.drop(index=[5, 6]), scores.iloc[[0]]])
    scores.to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(ValueError, match="4 problems") as error:
        run_benchmark(options(metrics=["brightness", f"mine=csv:{tmp_path}/scores.csv:s"]))
    for line in ("picture00.png: named more than once", "picture05.png: no row", "picture02.png: 's' is not a finite"):
        assert line in str(error.value)
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_table_that_is_not_whole_is_one_error(options, table, tmp_path):
    rows = pandas.read_csv(table)
    rows.loc[3, "mos"] = np.nan
    pandas.concat([rows, rows.iloc[[1]]]).to_csv(table, index=False)
    (tmp_path / "images" / "picture05.png").unlink()
    with pytest.raises(ValueError, match="3 problems") as error:
        run_benchmark(options())
    for line in ("picture01.png: named more than once", "picture03.png: MOS nan", "picture05.png: no such image"):
        assert line in str(error.value)


def test_a_correlation_over_four_images_is_refused(options, table):
    pandas.read_csv(table).head(4).to_csv(table, index=False)
    with pytest.raises(ValueError, match="has 4 images: a correlation over fewer than 5 means nothing"):
        run_benchmark(options())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"datset": "csv"}, "Did you mean 'dataset'"),
        ({"dataset": "agiqa-3"}, "Did you mean 'agiqa-3k'"),
        ({"split": "offical"}, "Did you mean 'official'"),
        ({"part": "tset"}, "Did you mean 'test'"),
        ({"resamples": 0}, "resamples must be an integer of at least 1"),
        ({"baseline": "brightnes"}, "Did you mean 'brightness'"),
        ({"where": "modle=a"}, "Did you mean 'model'"),
        ({"group_columns": ["modle"]}, "Did you mean 'model'"),
        ({"mos_column": "moss"}, "Did you mean 'mos'"),
        ({"dataset": "csv", "csv": None}, "needs its file"),
        ({"dataset": "agiqa-3k", "root": None}, "needs its folder"),
    ],
)
def test_options_that_make_no_sense(options, given, message):
    with pytest.raises(ValueError, match=message):
        run_benchmark(options(**given))


def test_option_files_describe_whole_runs():
    folder = ROOT / "options"
    for name in ("benchmark_agiqa3k.yml", "benchmark_aigcqa20k.yml"):
        options = parse_benchmark_options(read_option_file(folder / name), name)
        assert options.data.split == ("official", "prompt-disjoint")


def test_agiqa3k_has_generators_groups_and_both_splits(agiqa3k):
    data = load_data(DatasetChoice(root=str(agiqa3k)))
    assert data.splits == ("official", "prompt-disjoint")
    assert len(data.positions("official")) == 597
    assert {image.columns["generator"] for image in data.images} == {
        "AttnGAN", "DALLE2", "glide", "midjourney", "sd1.5", "xl2.2",
    }  # fmt: skip
    assert data.group_columns == ("generator", "style", "adj1", "adj2")


def experiment(folder, **section):
    """A checkpoint and test scores as ``maagiqa train`` leaves them."""
    (folder / "models").mkdir(parents=True)
    (folder / "resolved_options.json").write_text(json.dumps({"datasets": {"train": section}}))
    (folder / "models" / "net_best.pth").touch()
    (folder / "test_scores.csv").write_text("name,mos,score\n")
    return folder


def test_images_that_weights_were_trained_on_are_counted(agiqa3k, tmp_path):
    plain = experiment(tmp_path / "plain", type="AGIQA3kDataset", split="prompt-disjoint")
    wrapped = experiment(tmp_path / "wrapped", type="SemanticFeatureDataset", base={"type": "AGIQA3kDataset"})
    elsewhere = experiment(tmp_path / "elsewhere", type="AIGCQA20kDataset")
    own = experiment(tmp_path / "own", type="CSVQualityDataset")
    data = load_data(DatasetChoice(root=str(agiqa3k)))

    def seen(word):
        one = run_metrics.EntrantScores(entrant=parse_entrant(word), status="ok")
        images = {split: [data.images[position] for position in data.positions(split)] for split in data.splits}
        counts = {split: compare._count_seen(one, data, members, {}) for split, members in images.items()}
        return [name for name, count in counts.items() if count > 300], sum(counts.values()) > 0

    assert seen("maagiqa") == (["prompt-disjoint"], True)
    assert seen("piqe") == ([], False)
    assert seen(f"maagiqa={plain}/models/net_best.pth") == (["official"], True)
    assert seen(f"x=csv:{plain}/test_scores.csv:score") == (["official"], True)
    assert seen(f"maagiqa={wrapped}/models/net_best.pth") == (["prompt-disjoint"], True)
    assert seen(f"maagiqa={elsewhere}/models/net_best.pth") == ([], False)
    assert seen(f"maagiqa={own}/models/net_best.pth") == ([], False)
    said = {"dataset": "agiqa-3k", "split": "prompt-disjoint"}
    assert seen({"name": "x", "metric": "maagiqa", "trained_on": said}) == (["official"], True)


def test_training_images_are_recognised_by_content_in_another_table_under_other_names(agiqa3k, options, tmp_path):
    table = pandas.read_csv(agiqa3k / "data.csv")
    split = official_split(len(table))
    folder = tmp_path / "renamed"
    folder.mkdir()
    rows = []
    for part, count in (("train", 6), ("test", 4)):
        for row in split[part][:count]:
            name = f"{len(rows)}.png"
            Image.open(agiqa3k / "images" / table["name"][row]).save(folder / name)  # losslessly encoded anew
            rows.append({"name": name, "mos": table["mos_quality"][row]})
    pandas.DataFrame(rows).to_csv(tmp_path / "own.csv", index=False)
    given = {"csv": str(tmp_path / "own.csv"), "root": str(folder), "group_columns": [], "mos_range": [0, 5]}
    said = {"name": "said", "metric": "brightness", "trained_on": {"dataset": "agiqa-3k"}}
    results = run_benchmark(options(**given, metrics=[said, "maagiqa-lite", "darkness"]))
    seen = {row.name: row.seen_in_training for row in results.splits["all"].rows}
    assert seen == {"said": 6, "maagiqa-lite": 6, "darkness": 0}
    assert rows_of(results)["darkness"].is_best


def test_what_is_said_of_training_data_is_checked():
    with pytest.raises(ValueError, match=r"trained_on.*unknown option 'splt'.*Did you mean 'split'"):
        parse_entrant({"name": "x", "metric": "piqe", "trained_on": {"dataset": "agiqa-3k", "splt": "official"}})
    with pytest.raises(ValueError, match=r"trained_on: dataset must be one of.*got 'agiqa3k'.*Did you mean 'agiqa-3k'"):
        parse_entrant({"name": "x", "metric": "piqe", "trained_on": {"dataset": "agiqa3k"}})


def test_what_was_trained_on_the_images_is_the_best_only_where_it_is_alone(options, monkeypatch):
    count = {"brightness": 7}
    monkeypatch.setattr(compare, "_count_seen", lambda one, *_: count.get(one.entrant.name, 0))
    results = run_benchmark(options(metrics=["brightness", "nan-in-the-dark"]))
    first, last = results.splits["all"].rows
    assert (first.name, first.is_best, first.p_against_best) == ("nan-in-the-dark", True, None)
    assert (last.name, last.is_best, last.seen_in_training) == ("brightness", False, 7)
    assert rows_of(run_benchmark(options(metrics=["brightness"])))["brightness"].is_best


def test_published_figures_stand_beside_ours(tmp_path):
    path = tmp_path / "published.yml"
    row = {"name": "PIQE", "metric": "piqe", "trained_on": None, "srcc": 0.5, "plcc": 0.6}
    table = {"table": "1", "dataset": "agiqa-3k", "split": "official", "source": "S", "rows": [row]}
    path.write_text(yaml.safe_dump([table]))
    tables, piqe = load_published(path), parse_entrant("piqe")
    assert find_published(tables, "AGIQA-3k", "official", piqe) == Published("S", {"srcc": 0.5, "plcc": 0.6})
    assert find_published(tables, "AGIQA-3k", "prompt-disjoint", piqe) is None
    assert find_published(tables, "AGIQA-3k", "official", parse_entrant("entropy")) is None


def test_published_tables_of_the_paper_are_found():
    found = find_published(load_published(), "AGIQA-3k", "official", parse_entrant("maagiqa"))
    assert found.get("srcc") == 0.8939


# ----------------------------------------------------------------------------------------------------------------- verb


def test_the_verb_ranks_and_lists_failures(table, tmp_path, capsys):
    arguments = ["--dataset", "csv", "--csv", str(table), "--root", str(tmp_path / "images"), "--workers", "0"]
    arguments += ["--out", str(tmp_path / "out"), "--resamples", "20", "--where", "model=a", "--device", "cpu"]
    assert main(["benchmark", *arguments, "-m", "brightness", "-m", "lacks-a-package"]) == 1
    out, err = capsys.readouterr()
    assert "   1  brightness" in out
    assert "   -  lacks-a-package  failed" in out
    assert "lacks-a-package cannot run here: lacks the package" in err
    assert main(["benchmark", *arguments, "-m", "brightness"]) == 0
    assert main(["benchmark", *arguments, "-m", "brightnes"]) == 2
    assert "Did you mean 'brightness'" in capsys.readouterr().err


def test_the_command_line_goes_before_the_option_file(table, tmp_path, capsys):
    option_file = tmp_path / "run.yml"
    option_file.write_text(
        yaml.safe_dump({"dataset": "csv", "csv": str(table), "root": str(tmp_path / "images"), "metrics": "entropy"})
    )
    arguments = ["-opt", str(option_file), "--out", str(tmp_path / "o"), "--resamples", "20", "--workers", "0"]
    assert main(["benchmark", *arguments, "-m", "brightness"]) == 0
    assert "entropy" not in capsys.readouterr().out
    option_file.write_text("resample: 3\n")
    assert main(["benchmark", "-opt", str(option_file)]) == 2
    assert "Did you mean 'resamples'" in capsys.readouterr().err
