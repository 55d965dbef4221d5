"""``maagiqa compare``: winner, difference and interval are those computed here straight from the scores."""

import csv
import json
import shutil

import numpy as np
import pandas
import pytest
from PIL import Image
from pyiqa.default_model_configs import DEFAULT_CONFIGS

import maagiqa_pyiqa
from maagiqa_pyiqa.cli.main import main
from tests.helpers import leaderboard_metrics

RESAMPLES, SEED = 400, 5
OPTIONS = ["--resamples", str(RESAMPLES), "--seed", str(SEED)]


def compare(tmp_path, *words):
    """The comparisons by metric."""
    report = tmp_path / "comparison.json"
    assert main(["compare", *map(str, words), *OPTIONS, "--json", str(report)]) == 0
    return {one["metric"]: one for one in json.loads(report.read_text())["comparisons"]}


def direct_pairs(a, b):
    """Mean difference of pairs and the ends of its interval."""
    differences = np.asarray(a) - np.asarray(b)
    draws = np.random.default_rng(SEED).integers(0, len(differences), (RESAMPLES, len(differences)))
    means = [np.mean([differences[number] for number in draw]) for draw in draws]
    return [np.mean(differences), *np.percentile(means, [2.5, 97.5])]


def direct_groups(a, b):
    """The same where nothing belongs together: each group is resampled for itself."""
    generator = np.random.default_rng(SEED)
    means = [
        [
            np.mean([group[number] for number in draw])
            for draw in generator.integers(0, len(group), (RESAMPLES, len(group)))
        ]
        for group in (a, b)
    ]
    return [np.mean(a) - np.mean(b), *np.percentile(np.subtract(*means), [2.5, 97.5])]


def assert_same(comparison, expected):
    found = comparison["difference"]
    assert [found["value"], found["low"], found["high"]] == pytest.approx(expected, abs=1e-6)


@pytest.fixture(scope="module")
def generators(quarters, tmp_path_factory):
    """Quarters of the images of two generators, in a folder each."""
    folder = tmp_path_factory.mktemp("generators")
    for generator in ("AttnGAN", "xl2.2"):
        (folder / generator).mkdir()
        for path in sorted((quarters / "images").glob(f"{generator}*")):
            shutil.copy(path, folder / generator)
    return folder


@pytest.fixture(scope="module")
def scores(generators):
    """Scores by path."""
    table = maagiqa_pyiqa.score(generators, ["maagiqa-lite", "piqe"]).set_index("image")
    return {metric: table[metric] for metric in ("maagiqa-lite", "piqe")}


def of_group(scores, folder):
    return [score for path, score in scores.items() if path.startswith(f"{folder}/")]


def test_two_generators_without_common_names_stand_all_against_all(generators, scores, tmp_path, capsys):
    a, b = generators / "AttnGAN", generators / "xl2.2"
    found = compare(tmp_path, a, b, "-m", "maagiqa-lite", "-m", "piqe")
    for metric, lower_better in (("maagiqa-lite", False), ("piqe", True)):
        of_a, of_b = of_group(scores[metric], a), of_group(scores[metric], b)
        assert len(of_a) == len(of_b) == 8
        expected = direct_groups(of_a, of_b)
        assert_same(found[metric], expected)
        decided = expected[1] > 0 or expected[2] < 0
        assert found[metric]["better"] == (("A" if (expected[0] > 0) != lower_better else "B") if decided else None)
        wins = [(x < y) if lower_better else (x > y) for x in of_a for y in of_b]
        assert found[metric]["wins"]["value"] == pytest.approx(np.mean(wins))
        assert found[metric]["paired_by"] is None
    assert found["maagiqa-lite"]["better"] == "B"  # a generator of 2023 against one of 2018
    out = capsys.readouterr().out
    assert "maagiqa-lite (higher is better): B is better" in out
    assert "all 8 x 8 pairs, since none belong together" in out


def test_pairs_of_one_prompt_are_resampled_together_and_count_once(generators, scores, tmp_path):
    a, b = generators / "AttnGAN", generators / "xl2.2"
    prompts = {path: f"prompt {row % 6}" for group in (a, b) for row, path in enumerate(sorted(group.iterdir()))}
    table = pandas.DataFrame({"file": [str(path) for path in prompts], "words": list(prompts.values())})
    table = table.iloc[::-1]
    table.to_csv(tmp_path / "prompts.csv", index=False)
    words = ["--per-prompt", tmp_path / "prompts.csv", "--name-column", "file", "--prompt-column", "words"]
    found = compare(tmp_path, a, b, *words, "--csv", tmp_path / "pairs.csv")["maagiqa-lite"]
    lite = scores["maagiqa-lite"]
    means = [
        [
            np.mean([lite[str(path)] for path in sorted(group.iterdir()) if prompts[path] == f"prompt {n}"])
            for n in range(6)
        ]
        for group in (a, b)
    ]
    assert_same(found, direct_pairs(*means))
    assert found["better"] == "B"
    assert found["paired_by"] == "prompt"
    assert found["wins"]["value"] == pytest.approx(np.mean(np.greater(*means)))
    with (tmp_path / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["pair"] for row in rows] == [f"prompt {n}" for n in range(6)]
    assert [int(row["images_a"]) for row in rows] == [2, 2, 1, 1, 1, 1]
    assert [float(row["difference"]) for row in rows] == pytest.approx(list(np.subtract(*means)))


def test_two_generators_of_agiqa3k_by_their_prompts(agiqa3k, tmp_path, monkeypatch):
    """All images of two generators; by the mean of their pixels, since what is measured does not matter here."""
    monkeypatch.setitem(DEFAULT_CONFIGS, "brightness", leaderboard_metrics.configs()["brightness"])
    table = pandas.read_csv(agiqa3k / "data.csv")
    table = table[table["name"].str.match("AttnGAN_|glide_")].assign(generator=table["name"].str.partition("_")[0])
    for name, generator in zip(table["name"], table["generator"], strict=True):
        (tmp_path / generator).mkdir(exist_ok=True)
        (tmp_path / generator / name).symlink_to(agiqa3k / "images" / name)
    a, b, keep = tmp_path / "AttnGAN", tmp_path / "glide", ["--keep", tmp_path / "kept"]
    found = compare(tmp_path, a, b, "-m", "brightness", "--per-prompt", agiqa3k / "data.csv", *keep)["brightness"]
    assert main(["score", *map(str, (a, b, "-m", "brightness", *keep, "--csv", tmp_path / "scores.csv"))]) == 0
    scores = pandas.read_csv(tmp_path / "scores.csv").assign(name=lambda scored: scored["image"].str.rpartition("/")[2])
    scores = table.merge(scores).pivot_table(index="prompt", columns="generator", values="brightness").dropna()
    scores = scores.loc[[pair["key"] for pair in found["pairs"]]]  # all of them, in the order that is resampled
    assert len(scores) == len(found["pairs"]) > 290
    expected = direct_pairs(scores["AttnGAN"], scores["glide"])
    assert_same(found, expected)
    assert found["better"] == ("A" if expected[1] > 0 else "B" if expected[2] < 0 else None)


@pytest.fixture
def folders(tmp_path):
    """Two checkpoints' images: six of the same names, in other formats and folders, and one more each."""
    for folder, extension, level in (("before", "png", 100), ("after", "jpg", 120)):
        for number in range(6):
            path = tmp_path / folder / ("cats" if number % 2 else "dogs") / f"{number}.{extension}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.linear_gradient("L").point(lambda p, top=level + 10 * number: p * top / 255).convert("RGB").save(path)
    Image.new("RGB", (64, 64), "gray").save(tmp_path / "before" / "more.png")
    return tmp_path


def test_names_pair_whatever_the_extension(folders, tmp_path, capsys):
    found = compare(tmp_path, folders / "before", folders / "after", "-m", "entropy")["entropy"]
    assert [pair["key"] for pair in found["pairs"]] == ["cats/1", "cats/3", "cats/5", "dogs/0", "dogs/2", "dogs/4"]
    assert found["left_out"] == {"a": 1, "b": 0}
    assert found["images"] == {"a": 7, "b": 6}
    scores = maagiqa_pyiqa.score(folders / "before", "entropy")["entropy"][:6]
    others = maagiqa_pyiqa.score(folders / "after", "entropy")["entropy"]
    assert_same(found, direct_pairs(scores, others))
    out = capsys.readouterr().out
    assert "of 6 pairs by name" in out
    assert "1 images of A and 0 of B, which have no partner" in out


def test_an_image_that_cannot_be_read_is_left_out_and_named(folders, capsys):
    (folders / "after" / "cats" / "1.jpg").write_text("no image")
    assert main(["compare", str(folders / "before"), str(folders / "after"), "-m", "entropy"]) == 1
    out, err = capsys.readouterr()
    assert "of 5 pairs by name" in out
    assert "left out: " in err
    assert "cats/1.jpg: not an image" in err


def test_a_group_without_any_score_is_named(folders, capsys):
    (folders / "bad").mkdir()
    (folders / "bad" / "0.png").write_text("no image")
    assert main(["compare", str(folders / "before"), str(folders / "bad"), "-m", "entropy"]) == 1
    assert f"metric entropy has scored no image of {folders / 'bad'}" in capsys.readouterr().err


def test_of_too_few_images_nothing_is_claimed(folders, capsys):
    assert main(["compare", str(folders / "before" / "cats"), str(folders / "after" / "cats"), "-m", "entropy"]) == 0
    out = capsys.readouterr().out
    assert "too few to tell" in out
    assert "95 %" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "'nowhere' does not exist"),
        (["{after}", "--pair-by", "prompt"], "name a CSV of names and prompts, --per-prompt"),
        (["{after}", "--pair-by", "name", "--per-prompt", "p.csv"], "'--per-prompt' is for pairs by prompt"),
        (["{after}", "--per-prompt", "p.csv"], "CSV 'p.csv' does not exist"),
        (["{after}", "-m", "entropi"], "Did you mean 'entropy'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_two(folders, capsys, words, message):
    words = [word.format(after=folders / "after") for word in words]
    assert main(["compare", str(folders / "before"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
