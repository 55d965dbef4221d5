"""Weights come in whole or not at all, and every failure says what was found and what to do."""

import re

import pytest
import torch

from maagiqa_pyiqa.archs.checkpoints import read
from maagiqa_pyiqa.archs.checkpoints.read import load_checkpoint, read_state_dict, save_checkpoint
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA


@pytest.fixture
def saved(tiny_net, tmp_path):
    path = tmp_path / "net_best.pth"
    torch.save({"params": tiny_net(seed=3).state_dict()}, path)
    return path


def snapshot(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def assert_refused(net, path, message):
    """Loading fails with the message, and the network is as it was."""
    before = snapshot(net)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(net, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


# what is refused


def test_pickled_object_is_refused_and_never_made(tiny_net, tmp_path):
    made = tmp_path / "made"

    class Malicious:
        def __reduce__(self):
            return made.touch, ()

    path = tmp_path / "net.pt"
    torch.save({"params": Malicious()}, path)
    assert_refused(tiny_net(), path, "cannot be read as a checkpoint of tensors")
    assert not made.exists()


@pytest.mark.parametrize("cut", [0, 5, 100, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_truncated_file_is_refused_with_its_size(tiny_net, tmp_path, saved, kind, cut):
    if kind == "safetensors":
        saved = tmp_path / "net.safetensors"
        save_checkpoint(tiny_net(seed=3).state_dict(), saved)
    whole = saved.read_bytes()
    size = cut if isinstance(cut, int) else int(cut * len(whole))
    saved.write_bytes(whole[:size])
    assert_refused(tiny_net(), saved, rf"{saved.name}' \({size:,} bytes\) cannot be read .* fetch it again")


def test_text_file_is_refused(tiny_net, tmp_path):
    path = tmp_path / "error.pt"
    path.write_text("<!DOCTYPE html><title>Sign in</title>")
    assert_refused(tiny_net(), path, r"\(37 bytes\) cannot be read as a checkpoint of tensors")


FOREIGN = {
    "no dictionary": ([torch.zeros(1)], "found a list"),
    "empty": ({}, r"found a dict with keys \[\]"),
    "training state": ({"epoch": 3, "iter": 90}, r"found a dict with keys \['epoch', 'iter'\]"),
    "a tensor": (torch.zeros(3), "found a Tensor"),
}


@pytest.mark.parametrize(("content", "message"), FOREIGN.values(), ids=FOREIGN)
def test_file_without_named_tensors_is_refused_with_what_it_holds(tiny_net, tmp_path, content, message):
    path = tmp_path / "net.pt"
    torch.save(content, path)
    assert_refused(tiny_net(), path, f"{path.name}' is not a MAAGIQA checkpoint: expected named tensors, {message}")


def test_checkpoint_of_another_network_is_refused_with_what_it_holds(tiny_net, tmp_path):
    path = tmp_path / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(3), "fc.weight": torch.zeros(2)}, path)
    assert_refused(
        tiny_net(),
        path,
        r"does not fit this network \(2 tensors, first: conv1.weight, fc.weight\)\. "
        r"Missing: quality_branch.* and \d+ more\. Unexpected: conv1.weight, fc.weight\.",
    )


def test_authors_layout_with_a_strange_name_is_refused_by_that_name(tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"gating.weight": torch.zeros(3), "vision_tower.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"'vision_tower\.weight' is not part of the authors' network"):
        read_state_dict(path)


MISFITS = {
    "missing": ({"fusion.gate.bias": None}, r"Missing: fusion\.gate\.bias\."),
    "unexpected": ({"fusion.gate.scale": torch.ones(1)}, r"Unexpected: fusion\.gate\.scale\."),
    "shape": ({"fusion.gate.bias": torch.ones(4)}, r"Other shapes: fusion\.gate\.bias \(4,\) instead of \(3,\)\."),
}


@pytest.mark.parametrize(("change", "message"), MISFITS.values(), ids=MISFITS)
def test_tensor_that_does_not_fit_is_named(tiny_net, tmp_path, change, message):
    state_dict = {**tiny_net().state_dict(), **change}
    path = tmp_path / "net.pt"
    torch.save({name: tensor for name, tensor in state_dict.items() if tensor is not None}, path)
    assert_refused(tiny_net(seed=1), path, message + " Was it trained with other options")


def test_checkpoint_of_another_configuration_is_refused_with_the_options_to_look_at(tiny_net, saved):
    assert_refused(tiny_net(num_prompts=3), saved, r"preset, backbone, num_prompts, feature_dim")


@pytest.mark.parametrize("name", ["absent.pt", "."])
def test_missing_file_is_named(tiny_options, tmp_path, name):
    with pytest.raises(FileNotFoundError, match=re.escape(f"checkpoint '{tmp_path / name}' does not exist")):
        MAAGIQA(**tiny_options, pretrained_model_path=tmp_path / name)


# what is written


def test_saved_checkpoint_is_read_back_bit_for_bit(tiny_net, tmp_path):
    state_dict = tiny_net(seed=3).state_dict()
    path = tmp_path / "folder" / "net.safetensors"
    save_checkpoint(state_dict, path)
    loaded = read_state_dict(path)
    assert loaded.keys() == state_dict.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state_dict.items())
    assert [p.name for p in path.parent.iterdir()] == ["net.safetensors"]


def test_interrupted_save_leaves_no_file_and_keeps_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    save_checkpoint({"a": torch.ones(2)}, path)

    def interrupted(tensors, aside, metadata):
        aside.write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(read, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint({"a": torch.zeros(2)}, path)
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]
    assert torch.equal(read_state_dict(path)["a"], torch.ones(2))


def test_save_moves_a_whole_file_into_place_under_a_reader_of_the_one_before(tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint({"a": torch.ones(2)}, path)
    before = path.read_bytes()
    with path.open("rb") as reader:
        save_checkpoint({"a": torch.zeros(2)}, path)
        assert reader.read() == before
