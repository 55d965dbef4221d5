"""What weights were trained on, as far as it is known."""

import json

import pytest

from maagiqa_pyiqa.cache.keys import pixel_key
from maagiqa_pyiqa.images.decoding import decode
from maagiqa_pyiqa.leaderboard import compare, run_metrics
from maagiqa_pyiqa.leaderboard.datasets import DatasetChoice, load_data
from maagiqa_pyiqa.leaderboard.entrants import parse_entrant
from maagiqa_pyiqa.leaderboard.training_data import TrainingData


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
    last = experiment(tmp_path / "last", type="AGIQA3kDataset", with_val=True)
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
    assert parse_entrant(f"x=maagiqa={last}/models/net_best.pth").trained_on == TrainingData(
        dataset="agiqa-3k", with_val=True
    )
    assert seen(f"maagiqa={own}/models/net_best.pth") == ([], False)
    said = {"dataset": "agiqa-3k", "split": "prompt-disjoint"}
    assert seen({"name": "x", "metric": "maagiqa", "trained_on": said}) == (["official"], True)


def test_an_image_that_a_dataset_holds_twice_is_not_held_against_training_on_its_split(agiqa3k):
    data = load_data(DatasetChoice(root=str(agiqa3k)))
    images = [data.images[position] for position in data.positions("official")]
    keys = {image.name: pixel_key(decode(image.path)) for image in images}
    trained = run_metrics.EntrantScores(entrant=parse_entrant("maagiqa-lite"), status="ok")
    assert any(trained.entrant.trained_on.holds(key) for key in keys.values())
    assert compare._count_seen(trained, data, images, keys) == 0


def test_what_is_said_of_training_data_is_checked():
    with pytest.raises(ValueError, match=r"trained_on.*unknown option 'splt'.*Did you mean 'split'"):
        parse_entrant({"name": "x", "metric": "piqe", "trained_on": {"dataset": "agiqa-3k", "splt": "official"}})
    with pytest.raises(ValueError, match=r"trained_on: dataset must be one of.*got 'agiqa3k'.*Did you mean 'agiqa-3k'"):
        parse_entrant({"name": "x", "metric": "piqe", "trained_on": {"dataset": "agiqa3k"}})


def test_weights_trained_on_parts_of_somebodys_own_may_have_seen_any_image(tmp_path):
    for number, option in enumerate(({"part_column": "part"}, {"split": "random", "test_share": 0.1})):
        folder = experiment(tmp_path / str(number), type="AGIQA3kDataset", **option)
        trained_on = parse_entrant(f"x=maagiqa-lite={folder}/models/net_best.pth").trained_on
        assert trained_on == TrainingData(dataset="agiqa-3k", split="all")


@pytest.mark.parametrize(
    ("spec", "dataset", "zero_shot"),
    [
        ("brisque", "agiqa-3k", True),
        ("musiq", "csv", True),
        ("maagiqa-lite", "agiqa-3k", False),
        ("maagiqa-lite", "aigcqa-20k", True),
        ("brightness", "agiqa-3k", None),
        ({"name": "mine", "metric": "musiq", "options": {"pretrained": "ava"}}, "agiqa-3k", None),
        ({"name": "mine", "metric": "brightness", "trained_on": {"dataset": "aigcqa-20k"}}, "agiqa-3k", True),
    ],
)
def test_a_metric_is_zero_shot_where_its_training_data_are_known_and_others(spec, dataset, zero_shot):
    assert parse_entrant(spec).is_zero_shot(dataset) is zero_shot
