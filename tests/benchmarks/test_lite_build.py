"""How maagiqa-lite is made of two trainings, and how semantic experts are studied."""

from pathlib import Path

import numpy as np
import torch

from benchmarks.lite import build
from benchmarks.lite.build import combine
from benchmarks.lite.experts import answers, train_experts
from benchmarks.lite.read_out import score, start, train_read_out
from benchmarks.lite.seen import look
from benchmarks.lite.versions import versions_of
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.images.damage.table import DAMAGES
from tests.helpers.native_networks import native_network

ALONE = {"semantic_experts": False, "num_prompts": 0, "fusion": "concat"}
BACKBONE = "tf_efficientnet_lite0"


def test_combined_weights_give_the_mean_score_of_both_trainings():
    close, glance = native_network(0, **ALONE, balanced=True), native_network(1, **ALONE)
    both = MAAGIQA(preset="lite", glance_backbone=BACKBONE, quality_dim=16).eval()
    both.load_state_dict(combine(close.state_dict(), glance.state_dict()))
    x = torch.rand(2, 3, 256, 256)  # the size of the glance, so that both see the same
    with torch.no_grad():
        torch.testing.assert_close(both(x), (close(x) + glance(x)) / 2, rtol=0, atol=1e-5)


def test_what_ships_lies_three_quarters_of_the_way_to_the_end_of_the_last_training():
    before = {"weight": torch.tensor([1.0, 2.0]), "seen": torch.tensor(3)}
    after = {"weight": torch.tensor([5.0, 2.0]), "seen": torch.tensor(9)}
    averaged = build.average(before, after)
    assert averaged["weight"].tolist() == [4.0, 2.0]
    assert averaged["seen"] == 9


def test_files_of_every_step_are_taken_by_the_next_and_by_the_metric(tmp_path, monkeypatch):
    torch.manual_seed(0)
    paths = [str(tmp_path / name) for name in ("close.pth", "glance.pth", "trunks.safetensors", "lite.safetensors")]
    for path, backbone in zip(paths, ("tf_efficientnet_lite0", "tf_efficientnet_lite2"), strict=False):
        net = MAAGIQA(preset="lite", backbone=backbone, glance_backbone="", balanced=True)
        torch.save({"params": net.state_dict()}, path)
    close, glance, trunks, weights = paths
    for words in (
        ["trunks", "--close", close, "--glance", glance, "--out", trunks],
        ["weights", trunks, "--trunks", trunks, "--out", weights],
    ):
        monkeypatch.setattr("sys.argv", ["build", *words])
        build.main()
    x = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        joined, shipped = (MAAGIQA(preset="lite", pretrained_model_path=path).eval()(x) for path in (trunks, weights))
    torch.testing.assert_close(joined, shipped, rtol=0, atol=0.01)  # of matrices in half precision
    assert Path(weights).stat().st_size < 0.6 * Path(trunks).stat().st_size


def test_versions_of_an_image_are_always_the_same_and_hold_nothing_that_is_held_out():
    for image in range(50):
        versions, pairs = versions_of(image)
        assert (versions, pairs) == versions_of(image)
        assert len(set(versions)) == len(versions)
        assert all(not DAMAGES[version.damage].held_out for version in versions if version.damage)
        assert all(pair.better.size == pair.worse.size and pair.better in versions for pair in pairs)


def test_experts_and_read_out_learn_from_what_trunks_saw_and_a_second_look_is_read_from_disk(tmp_path, monkeypatch):
    net = native_network(glance_backbone=BACKBONE)
    start(net)
    unread = {}.__getitem__  # fails if it is called
    pictures = np.random.default_rng(0).integers(0, 255, (4, 512, 512, 3), dtype=np.uint8)
    monkeypatch.setattr("benchmarks.lite.experts.EPOCHS", 1)
    monkeypatch.setattr("benchmarks.lite.experts.PAIRS", 2)
    seen = look(net.quality_branch, [0, 1], pictures.__getitem__, tmp_path)
    again = look(net.quality_branch, [0, 1], unread, tmp_path)
    assert torch.equal(seen.close, again.close)
    before = score(net, seen, answers(net.quality_branch.experts, seen))
    train_experts(net.quality_branch.experts, seen)
    vectors = answers(net.quality_branch.experts, seen)
    assert vectors.shape == (len(seen.versions), 2, 8)
    torch.testing.assert_close(score(net, seen, vectors), before)  # the gate is open for quality alone
    train_read_out(net, (seen, vectors), (seen, vectors), steps=3)
    assert not torch.allclose(score(net, seen, vectors), before)
