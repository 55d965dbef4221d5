"""No file that a metric or network is created from runs code."""

import pickle
import tarfile

import pytest
import scipy.io
import torch
from pyiqa.archs import build_network
from safetensors.torch import save_file

from maagiqa_pyiqa.leaderboard.entrants import parse_entrants
from maagiqa_pyiqa.metrics.creation import create_metric, create_network

CPU = torch.device("cpu")


class Harm:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def harm_by_torch(path, harm):
    torch.save({"params": harm}, path)


def harm_by_pickle(path, harm):
    path.write_bytes(pickle.dumps(harm))


def harm_by_old_pickle(path, harm):
    path.write_bytes(pickle.dumps(harm, protocol=0))


def harm_behind_matlab(path, harm):
    """A tar file, as torch once wrote, whose first bytes are those of MATLAB."""
    inner = path.with_name("MATLAB 5.0 MAT-file")
    inner.write_bytes(pickle.dumps(harm))
    with tarfile.open(path, "w") as file:
        file.add(inner, inner.name)
        for name in ("storages", "tensors", "pickle"):
            file.add(inner, name)


@pytest.fixture(params=[harm_by_torch, harm_by_pickle, harm_by_old_pickle, harm_behind_matlab])
def hostile(request, tmp_path):
    """A checkpoint with code in it, and the file which that makes."""
    request.param(tmp_path / "e.pt", Harm(tmp_path / "harm"))
    return tmp_path / "e.pt", tmp_path / "harm"


WAYS = {
    "checkpoint": lambda path: create_metric("cnniqa", CPU, checkpoint=path),
    "option": lambda path: create_metric("cnniqa", CPU, {"pretrained_model_path": str(path)}),
    "list": lambda path: create_metric("brisque", CPU, {"pretrained_model_path": [str(path)]}),
    "architecture": lambda path: create_network({"type": "CNNIQA", "pretrained_model_path": str(path)}),
    "network": lambda path: create_network({"type": "CNNIQA", "pretrained": None}, path),
    "entrant": lambda path: parse_entrants([f"X=cnniqa={path}"])[0].source.create("cpu"),
}


@pytest.mark.parametrize("create", WAYS.values(), ids=WAYS)
def test_a_checkpoint_with_code_is_refused_and_the_code_not_run(hostile, create):
    path, harm = hostile
    with pytest.raises(ValueError, match=r"e\.pt' .* cannot be read as a checkpoint of tensors"):
        create(path)
    assert not harm.exists()


@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_a_checkpoint_of_tensors_is_loaded(tmp_path, form):
    net = build_network({"type": "CNNIQA", "pretrained": None})
    path = tmp_path / f"e.{form}"
    if form == "pth":
        torch.save({"params": net.state_dict(), "iter": 7}, path)
    else:
        save_file(net.state_dict(), path)
    made = create_metric("cnniqa", CPU, checkpoint=path).net
    for name, tensor in net.state_dict().items():
        assert torch.equal(made.state_dict()[name], tensor)


def test_parameters_in_matlabs_format_are_handed_on(tmp_path):
    scipy.io.savemat(
        tmp_path / "niqe.mat", {"mu_prisparam": torch.zeros(1, 36).numpy(), "cov_prisparam": torch.eye(36).numpy()}
    )
    metric = create_metric("niqe", CPU, checkpoint=tmp_path / "niqe.mat")
    assert metric.net.cov_pris_param.tolist() == torch.eye(36).tolist()


def test_an_absent_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.pt' does not exist"):
        create_metric("cnniqa", CPU, checkpoint=tmp_path / "absent.pt")


def test_a_checkpoint_that_does_not_fit_is_named_as_it_was_given(tmp_path):
    torch.save({"params": {"a": torch.zeros(1)}}, tmp_path / "e.pt")
    with pytest.raises(ValueError, match=rf"'{tmp_path}/e.pt' does not fit this network"):
        create_metric("maagiqa-lite", CPU, checkpoint=tmp_path / "e.pt")


def test_checkpoint_of_another_network_is_named_with_the_metric(tmp_path):
    torch.save({"params": {"some.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other.pth' does not fit metric 'cnniqa': .*some\.weight"):
        create_metric("cnniqa", CPU, checkpoint=tmp_path / "other.pth")
