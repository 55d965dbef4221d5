"""Weights of every origin into the network: the authors' file, a pyiqa training checkpoint, our safetensors.

Formats are told apart by content, never by file name. Nothing is unpickled beyond plain tensors.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from maagiqa_pyiqa.support.files import written_whole
from maagiqa_pyiqa.support.reachability import require_reachable

StateDict = Mapping[str, torch.Tensor]

OFFICIAL_DRIVE_ID = "1YT9Fryok-ozYPIvT1V3gEnEF-Ij3UxPp"
OFFICIAL_FILE = "maagiqa_agiqa3k_official.safetensors"

# authors' name -> ours; all other names of the quality branch only gain a prefix
OFFICIAL_NAMES = {
    "vit.": "quality_branch.backbone.model.",
    "fc4096_784_a2.": "fusion.semantic_transforms.0.",
    "fc4096_784_b2.": "fusion.semantic_transforms.1.",
    "fc784_784.": "fusion.quality_transform.",
    "gating.": "fusion.gate.",
    "output_fc.": "fusion.regression.",
} | {name: f"quality_branch.{name}" for name in (
    "tablock1.", "tablock2.", "conv1.", "conv2.", "swintransformer1.", "swintransformer2.", "fc_score.", "fc_weight."
)}  # fmt: skip
# parameters of the authors' file that its forward pass never reads
OFFICIAL_UNUSED = re.compile(
    r"vit\.(blocks\.1[01]|norm|head)\.|swintransformer[12]\.downsample\.|fc39_784\.|encoder_layer\.|fc_output\."
    r"|fc4096_784_[ab]\.|quality\.|fc784x3_1\.|fc4096_1024_[ab]\."
)
COMPUTED_BUFFERS = ("relative_position_index", "attn_mask")


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read any supported checkpoint as a state dict under our names.

    Args:
        path: the authors' ``.pt``, pyiqa's ``{'params': ...}`` or a ``.safetensors`` file.

    Returns:
        Tensors on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or one that holds anything but tensors; says what was found.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint '{path}' does not exist.")
    state_dict = _strip_module(_read_tensors(path))
    return convert_official(state_dict) if "gating.weight" in state_dict else state_dict


def _read_tensors(path: Path) -> StateDict:
    with path.open("rb") as file:
        start = file.read(9)
    try:
        if start[8:9] == b"{":  # safetensors: 8 bytes of header length, then JSON
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"'{path}' ({path.stat().st_size:,} bytes) cannot be read as a checkpoint of tensors: {reason[:200]} "
            "Expected the authors' .pt, a pyiqa training checkpoint or .safetensors; if cut short, fetch it again."
        ) from error
    for key in ("params", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(map(torch.is_tensor, content.values())):
        found = f"a {type(content).__name__}"
        found += f" with keys {list(content)[:5]}" if isinstance(content, Mapping) else ""
        raise ValueError(f"'{path}' is not a MAAGIQA checkpoint: expected named tensors, found {found}.")
    return content


def _strip_module(state_dict: StateDict) -> dict[str, torch.Tensor]:
    return {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}


def convert_official(state_dict: StateDict) -> dict[str, torch.Tensor]:
    """Rename the authors' state dict to ours and leave out the parameters it never reads.

    Raises:
        ValueError: a name that the authors' network does not have.
    """
    converted = {}
    for name, tensor in state_dict.items():
        if OFFICIAL_UNUSED.match(name) or name.endswith(COMPUTED_BUFFERS):
            continue
        prefix = next((prefix for prefix in OFFICIAL_NAMES if name.startswith(prefix)), None)
        if prefix is None:
            raise ValueError(f"'{name}' is not part of the authors' network; is this another model's checkpoint?")
        converted[OFFICIAL_NAMES[prefix] + name.removeprefix(prefix)] = tensor
    return converted


def load_checkpoint(net: nn.Module, path: str | Path) -> None:
    """Load a checkpoint into the network, every parameter or none.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or of another network or configuration; names what is missing, unexpected or
            of another shape.
    """
    state_dict = read_state_dict(path)
    problems = _mismatches(net.state_dict(), state_dict)
    if problems:
        raise ValueError(
            f"'{path}' does not fit this network ({len(state_dict)} tensors, first: {_first(state_dict, 3)}). "
            + " ".join(problems)
            + " Was it trained with other options (preset, backbone, num_prompts, feature_dim)?"
        )
    net.load_state_dict(state_dict, strict=False)  # only computed buffers may be absent, see above


def _mismatches(own: StateDict, given: StateDict) -> list[str]:
    missing = [name for name in own if name not in given and not name.endswith(COMPUTED_BUFFERS)]
    unexpected = [name for name in given if name not in own]
    shapes = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in given and own[name].shape != given[name].shape
    ]
    found = {"Missing": missing, "Unexpected": unexpected, "Other shapes": shapes}
    return [f"{what}: {_first(names)}." for what, names in found.items() if names]


def _first(names: Iterable[str], limit: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def save_checkpoint(state_dict: StateDict, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write safetensors, whole or not at all."""
    with written_whole(path) as aside:
        save_file({name: tensor.contiguous() for name, tensor in state_dict.items()}, aside, dict(metadata or {}))


def weights_folder() -> Path:
    """Folder where pyiqa keeps its downloads, and we ours."""
    from pyiqa.utils.download_util import DEFAULT_CACHE_DIR

    return Path(DEFAULT_CACHE_DIR)


def fetch_official() -> Path:
    """Return the authors' AGIQA-3k weights as our safetensors, fetching and converting them on first use.

    Raises:
        ConnectionError: the host cannot be reached (found within 10 s) or sends something else; says what to do.
        ImportError: gdown is not installed; names the extra.
    """
    target = weights_folder() / OFFICIAL_FILE
    if target.is_file():
        return target
    by_hand = (
        f"Fetch https://drive.google.com/file/d/{OFFICIAL_DRIVE_ID} by hand and pass pretrained_model_path=FILE; "
        "or use metric 'maagiqa-lite', which needs no download."
    )
    require_reachable("drive.google.com", by_hand)
    download = target.with_name(f".{OFFICIAL_FILE}.{os.getpid()}.pt")
    download.parent.mkdir(parents=True, exist_ok=True)
    try:
        _download_from_drive(OFFICIAL_DRIVE_ID, download, by_hand)
        save_checkpoint(read_state_dict(download), target, {"source": f"Google Drive {OFFICIAL_DRIVE_ID}"})
    except ValueError as error:
        raise ConnectionError(f"The download of the authors' weights is not whole: {error} {by_hand}") from error
    finally:
        download.unlink(missing_ok=True)
    return target


def _download_from_drive(drive_id: str, path: Path, by_hand: str) -> None:
    if importlib.util.find_spec("gdown") is None:
        raise ImportError(
            f"Fetching the authors' weights needs gdown: pip install 'maagiqa_pyiqa[download]'. {by_hand}"
        )
    import gdown

    try:
        gdown.download(id=drive_id, output=str(path))
    except Exception as error:
        raise ConnectionError(f"The authors' weights could not be fetched: {error} {by_hand}") from error
    if not path.is_file():
        raise ConnectionError(f"The authors' weights could not be fetched: the host sent no file. {by_hand}")


def load_backbone_weights(backbone: nn.Module, name: str, source: str) -> None:
    """Start a backbone from pretrained weights.

    Args:
        backbone: a timm model, possibly cut after its last tap.
        name: its timm name.
        source: ``timm`` (timm's own weights from the hub), ``package:MODULE`` (the one ``.pth`` inside an installed
            Python package) or a file.

    Raises:
        ImportError: the package is not installed.
        ValueError: the weights do not fit.
    """
    if source == "timm":
        weights = timm.create_model(name, pretrained=True).state_dict()
    elif source.startswith("package:"):
        weights = _in_timm_order(_read_tensors(_file_in_package(source.removeprefix("package:"))), name)
    else:
        weights = _strip_module(_read_tensors(Path(source)))
    own = backbone.state_dict()
    problems = _mismatches(own, {key: tensor for key, tensor in weights.items() if key in own})
    if problems:
        raise ValueError(f"backbone_weights '{source}' do not fit '{name}'. {' '.join(problems)}")
    backbone.load_state_dict({key: weights[key] for key in own})


def _file_in_package(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(
            f"backbone_weights need the package '{module.replace('_', '-')}': pip install it, or the [dev] extra."
        )
    files = sorted(Path(spec.origin).parent.rglob("*.pth"))
    if len(files) != 1:
        raise ValueError(f"package '{module}' should hold one .pth file, found {len(files)}.")
    return files[0]


def _in_timm_order(weights: StateDict, name: str) -> dict[str, torch.Tensor]:
    """Name tensors as timm does where both packages list the same tensors in the same order."""
    names = timm.create_model(name, pretrained=False).state_dict()
    if [t.shape for t in weights.values()] != [t.shape for t in names.values()]:
        raise ValueError(f"the package's tensors do not correspond to timm's '{name}' in order and shape.")
    return dict(zip(names, weights.values(), strict=True))
