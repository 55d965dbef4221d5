"""``ImageQuality`` does what torchmetrics asks of a metric, as its MetricTester has it, with the scores' figures."""

import copy
import json
import pickle
import subprocess
import sys

import numpy as np
import pyiqa
import pytest
import torch
from PIL import Image

import maagiqa_pyiqa

torchmetrics = pytest.importorskip("torchmetrics")
from torchmetrics.utilities.checks import check_forward_full_state_property  # noqa: E402

from maagiqa_pyiqa.integrations.torchmetrics_metric import ImageQuality  # noqa: E402

QUANTILES = (0.0, 0.25, 0.5, 0.9)


class Mean(torch.nn.Module):
    """Mean of the pixels; has a weight, so that it has a device and a state."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.weight * x.mean((1, 2, 3))[:, None]


@pytest.fixture
def batches():
    """Four batches of different length."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(n, 3, 8, 8, generator=generator) for n in (3, 1, 4, 2)]


@pytest.fixture
def quality():
    return ImageQuality(Mean(), quantiles=QUANTILES)


def figures(*batches):
    """Straight from the pixels."""
    scores = np.concatenate([batch.numpy().mean((1, 2, 3)) for batch in batches])
    return {"mean": scores.mean(), **{f"q{q:g}": np.quantile(scores, q) for q in QUANTILES}, "failed": 0}


def assert_figures(result, *batches):
    assert all(torch.is_tensor(value) and value.ndim == 0 for value in result.values())
    assert {name: value.item() for name, value in result.items()} == pytest.approx(figures(*batches), abs=1e-6)


def test_compute_gives_the_figures_of_all_batches(quality, batches):
    for batch in batches:
        quality.update(batch)
    assert_figures(quality.compute(), *batches)
    assert quality.update_count == 4


def test_forward_gives_those_of_the_batch_and_keeps_all(quality, batches):
    for batch in batches:
        fresh = quality.clone()
        fresh.reset()
        fresh.update(batch)
        assert_figures(quality(batch), batch)
        assert_figures(fresh.compute(), batch)
    assert_figures(quality.compute(), *batches)


def test_reset_forgets(quality, batches):
    quality.update(batches[0])
    quality.reset()
    assert not quality.update_called
    quality.update(batches[1])
    assert_figures(quality.compute(), batches[1])


@pytest.mark.parametrize("again", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy, lambda m: m.clone()])
def test_a_copy_goes_on_by_itself(quality, batches, again):
    quality.update(batches[0])
    other = again(quality)
    assert type(other) is ImageQuality
    other.update(batches[1])
    assert_figures(other.compute(), batches[0], batches[1])
    assert_figures(quality.compute(), batches[0])


def test_the_packaged_metric_can_be_pickled(batches):
    quality = ImageQuality("maagiqa-lite")
    other = pickle.loads(pickle.dumps(quality))
    assert {name: value.item() for name, value in other(batches[0]).items()} == pytest.approx(
        {name: value.item() for name, value in quality(batches[0]).items()}, abs=1e-6
    )


def test_states_of_two_merge(quality, batches):
    other = quality.clone()
    for batch in batches[:2]:
        quality.update(batch)
    for batch in batches[2:]:
        other.update(batch)
    quality.merge_state(other)
    assert_figures(quality.compute(), *batches)


def test_what_is_constant_cannot_be_set_and_it_is_hashable(quality):
    for name in ("is_differentiable", "higher_is_better", "full_state_update"):
        with pytest.raises(RuntimeError, match=f"Can't change const `{name}`"):
            setattr(quality, name, not getattr(quality, name))
    assert hash(quality) != hash(quality.clone())


def test_it_brings_no_weights_into_the_model_that_holds_it(quality, batches):
    quality.update(batches[0])
    model = torch.nn.ModuleList([torch.nn.Linear(2, 2), quality])
    assert quality.state_dict() == {}
    assert len(list(model.parameters())) == 2
    quality.persistent(True)
    assert quality.state_dict().keys() == {"scores", "failed"}


@pytest.mark.filterwarnings("ignore:std")  # of one repetition
def test_torchmetrics_finds_that_no_full_state_is_needed(batches, capsys):
    check_forward_full_state_property(
        ImageQuality, {"metric": Mean()}, {"images": batches[0]}, num_update_to_compare=[2], reps=1
    )
    assert "Full state for 2 steps took" in capsys.readouterr().out  # what it says where both ways agree


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated", "ignore:This property will be removed")
def test_it_can_be_scripted_and_set_to_another_type_as_torchmetrics_asks(quality, batches):
    torch.jit.script(quality)
    for change in (quality.half, quality.double, quality.float):
        change()
        quality.reset()
        quality.update(batches[0])
        assert_figures(quality.compute(), batches[0])


def test_it_stands_in_a_collection(batches):
    collection = torchmetrics.MetricCollection(
        {"ours": ImageQuality(Mean(), quantiles=()), "other": torchmetrics.MeanMetric()}, compute_groups=False
    )
    collection["ours"].update(batches[0])
    collection["other"].update(batches[0])
    result = collection.compute()
    assert result["mean"].item() == pytest.approx(result["other"].item(), abs=1e-6)


def test_direction_is_that_of_pyiqa():
    assert ImageQuality("entropy").higher_is_better
    assert not ImageQuality(pyiqa.create_metric("piqe", device=torch.device("cpu"))).higher_is_better


def test_its_scores_are_those_of_score_and_files_that_fail_are_counted(tmp_path):
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_text("no image")
    quality = ImageQuality("maagiqa-lite", quantiles=(1.0,))
    result = quality(tmp_path)
    scores = maagiqa_pyiqa.score(tmp_path)["maagiqa-lite"]
    assert result["failed"] == 1
    assert result["mean"].item() == pytest.approx(scores.mean(), abs=1e-6)
    assert result["q1"].item() == scores.max()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_without_images_figures_are_nan(quality):
    result = quality.compute()
    assert all(value.isnan() for name, value in result.items() if name != "failed")


@pytest.mark.parametrize("quantiles", [(1.5,), (-0.1,), (0.5, 0.5), (float("nan"),)])
def test_quantiles_that_make_no_sense_are_refused(quantiles):
    with pytest.raises(ValueError, match="different numbers from 0 to 1"):
        ImageQuality(Mean(), quantiles=quantiles)


def test_what_is_no_image_is_refused(quality):
    with pytest.raises(ValueError, match="images must be a path"):
        quality.update(torch.zeros(1, 4, 8, 8))


def test_without_torchmetrics_the_error_names_the_extra():
    code = "import sys; sys.modules['torchmetrics'] = None; import maagiqa_pyiqa.integrations.torchmetrics_metric"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'maagiqa_pyiqa[torchmetrics]'" in done.stderr.splitlines()[-1]


RANK = """
import json, sys
import torch
import torch.distributed as dist
from maagiqa_pyiqa.integrations.torchmetrics_metric import ImageQuality

class Mean(torch.nn.Module):
    def forward(self, x):
        return x.mean((1, 2, 3))[:, None]

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
batches = torch.load(f"{folder}/batches.pt", weights_only=True)
found = {}
for name, shares in {"uneven": [[0, 1, 2], [3]], "one without images": [[0, 1, 2, 3], []]}.items():
    quality = ImageQuality(Mean(), quantiles=(0.0, 0.25, 0.5, 0.9))
    for number in shares[rank]:
        quality.update(batches[number])
    found[name] = {key: value.item() for key, value in quality.compute().items()}
    own = sum(map(len, quality.scores))  # only its own again
    assert own == sum(len(batches[number]) for number in shares[rank]), own
quality = ImageQuality(Mean(), quantiles=(0.0, 0.25, 0.5, 0.9), dist_sync_on_step=True)
found["at each step"] = {key: value.item() for key, value in quality(batches[rank]).items()}
print(json.dumps(found))
"""


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_processes_share_their_scores(tmp_path, batches):
    torch.save(batches, tmp_path / "batches.pt")
    started = [
        subprocess.Popen([sys.executable, "-c", RANK, str(rank), str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    for found in map(json.loads, said):
        assert found["uneven"] == pytest.approx(figures(*batches), abs=1e-6)
        assert found["one without images"] == pytest.approx(figures(*batches), abs=1e-6)
        assert found["at each step"] == pytest.approx(figures(*batches[:2]), abs=1e-6)
