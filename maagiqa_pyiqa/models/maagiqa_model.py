"""Training of MAAGIQA in pyiqa's engine.

What it adds to pyiqa's GeneralIQAModel: semantic features from the dataset, a scheduler that steps every iteration,
frozen parts, bf16 autocast, distributed-safe validation of every image, and the final test with the best weights.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas
import torch
from pyiqa.data import build_dataloader, build_dataset
from pyiqa.models.general_iqa_model import GeneralIQAModel
from pyiqa.utils import get_root_logger
from pyiqa.utils.dist_util import master_only
from pyiqa.utils.registry import METRIC_REGISTRY

from maagiqa_pyiqa.agreement.statistics import STATISTICS, evaluate
from maagiqa_pyiqa.archs import trained_features
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.archs.trained_features import TrainedFeatures
from maagiqa_pyiqa.cache.reader import read_manifest
from maagiqa_pyiqa.cache.storage import open_storage
from maagiqa_pyiqa.models import RESOLVED_OPTIONS
from maagiqa_pyiqa.models.arguments import check_arguments_of, refused_as_input_errors
from maagiqa_pyiqa.models.sections import check_small_sections
from maagiqa_pyiqa.support.csv_files import frame_as_csv
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import write_whole, written_whole
from maagiqa_pyiqa.support.option_files import reject_numbers_as_text
from maagiqa_pyiqa.support.options import nearest, parse_options, reject_unknown, require_choice, require_integer

SECTIONS = (
    "name", "model_type", "num_gpu", "manual_seed", "datasets", "test", "network", "path", "train", "val", "logger",
    "dist_params", "find_unused_parameters", "scale", "save_final_results_path",
    "data", "features",  # where YAML anchors stand
    # set by pyiqa's engine
    "dist", "rank", "world_size", "auto_resume", "is_train", "root_path",
)  # fmt: skip
PYIQA_SCHEDULERS = ("MultiStepRestartLR", "CosineAnnealingRestartLR")  # beside PyTorch's


@dataclass(frozen=True)
class TrainOptions:
    """The ``train`` section of an option YAML.

    ``scheduler`` values may be the word ``total_iter``, replaced by the number of iterations of the whole run.
    ``freeze`` lists name prefixes of parameters that are not trained; ``freeze_norm_statistics`` keeps the running
    statistics of batch norms, which small batches would spoil; ``max_grad_norm`` clips the gradient.
    """

    optim: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    total_epoch: int | None = None
    total_iter: int | None = None
    scheduler_step: str = "epoch"
    warmup_iter: int = -1
    autocast: str = "none"
    freeze: tuple[str, ...] = ()
    freeze_norm_statistics: bool = False
    max_grad_norm: float | None = None
    mos_loss_opt: Mapping[str, Any] | None = None
    metric_loss_opt: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _require_class("optim", self.optim, torch.optim, torch.optim.Optimizer)
        _require_class("scheduler", self.scheduler, torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler)
        require_choice("train", "scheduler_step", self.scheduler_step, ("epoch", "iteration"))
        require_choice("train", "autocast", self.autocast, ("none", "bf16"))
        for name in ("total_epoch", "total_iter"):
            if getattr(self, name) is not None:
                require_integer("train", name, getattr(self, name), minimum=1)
        if self.max_grad_norm is not None and self.max_grad_norm <= 0:
            raise InputError(f"train: max_grad_norm must be above 0, got {self.max_grad_norm}.")
        if self.mos_loss_opt is None and self.metric_loss_opt is None:
            raise InputError("train: name a loss in mos_loss_opt or metric_loss_opt.")
        for name in ("optim", "scheduler", "mos_loss_opt", "metric_loss_opt"):
            check_arguments_of(name, getattr(self, name) or {})


def _require_class(name: str, section: Any, module: Any, base: type) -> None:
    """Fail unless the section's ``type`` is a class that pyiqa would find for it."""
    if not isinstance(section, Mapping) or "type" not in section:
        raise InputError(f"train: {name} needs a type and its arguments, got {section!r}.")
    known = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]
    known += PYIQA_SCHEDULERS if name == "scheduler" else []
    if section["type"] not in known:
        raise InputError(f"train: there is no {name} '{section['type']}'.{nearest(section['type'], known)}")


def check_option_sections(opt: Mapping[str, Any]) -> TrainOptions:
    """Fail on a key that nothing reads, in any section but those that check themselves (network, datasets).

    Returns:
        The ``train`` section, parsed.

    Raises:
        ValueError: names the section, the key and the nearest known one.
    """
    reject_unknown("option file", opt.keys(), SECTIONS)
    check_small_sections(opt, default_metrics())
    reject_numbers_as_text("option file", {key: value for key, value in opt.items() if key not in ("name", "path")})
    return parse_options(TrainOptions, opt.get("train", {}), "train")


def default_metrics() -> dict[str, dict[str, str]]:
    """What a validation reports unless ``val: metrics`` says otherwise: the key metric and every statistic."""
    calculations = {key: f"calculate_{key}" for key in ("srcc_plcc", *STATISTICS)}
    return {key: {"type": name} for key, name in calculations.items() if name in METRIC_REGISTRY}


class MAAGIQAModel(GeneralIQAModel):
    """Trains MAAGIQA, and its peers the same way; options in the repository's ``options/``.

    Args:
        opt: the option file as pyiqa parsed it.

    Raises:
        ValueError: a key that nothing reads, or a value out of its set.
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        self.train_options = check_option_sections(opt)
        self._finished = False
        if opt.get("val"):
            opt["val"].setdefault("key_metric", "srcc_plcc")
            opt["val"].setdefault("metrics", default_metrics())
        super().__init__(opt)

    def model_to_device(self, net: torch.nn.Module) -> torch.nn.Module:
        """Freeze, then move and wrap: a distributed wrapper must know beforehand what gets gradients."""
        self._freeze(net)
        return super().model_to_device(net)

    def init_training_settings(self) -> None:
        """Check what the options name, then set up losses, optimizer and scheduler as pyiqa does."""
        self._check_rates()
        resolved = json.dumps(self.opt, indent=1, default=str)  # now: pyiqa takes out what it has used
        # built now, so that what is wrong with it is said before training rather than after
        self.test_loader = self._build_test_loader()
        super().init_training_settings()
        self._keep_options(resolved)

    @master_only
    def _keep_options(self, resolved: str) -> None:
        """Write down what really runs; pyiqa's copy of the option file lacks what the command line changed."""
        write_whole(Path(self.opt["path"]["experiments_root"]) / RESOLVED_OPTIONS, f"{resolved}\n")

    def _build_test_loader(self) -> Any:
        if not self.opt.get("test"):
            return None
        section = {"phase": "val", **self.opt["test"]}
        if "part" not in section.get("base", {}):  # what a wrapped dataset names holds
            section.setdefault("part", "test")
        return build_dataloader(build_dataset(section), section)

    def _check_rates(self) -> None:
        """Fail on a learning rate or weight decay for a part of the network that does not exist."""
        names = [name for name, _ in self.net.named_parameters()]
        for key in self.train_options.optim:
            part = key.removeprefix("weight_decay_").removeprefix("lr_")
            if part != key and not any(part in name for name in names):
                parts = {piece for name in names for piece in name.split(".") if not piece.isdigit()}
                raise InputError(f"train: optim '{key}' names no part of the network.{nearest(part, parts)}")

    def _freeze(self, net: torch.nn.Module) -> None:
        names = dict(net.named_parameters())
        for prefix in self.train_options.freeze:
            frozen = [name for name in names if name.startswith(prefix)]
            if not frozen:
                raise InputError(
                    f"train: freeze '{prefix}' is the start of no parameter's name, such as {next(iter(names))}."
                )
            for name in frozen:
                names[name].requires_grad_(False)

    def setup_optimizers(self) -> None:
        """Set up the optimizer as pyiqa does; values that it refuses are the user's."""
        with refused_as_input_errors("train: optim"):
            super().setup_optimizers()

    def setup_schedulers(self, scheduler_name: str = "scheduler") -> None:
        """Replace the word ``total_iter`` in the scheduler's options, then set it up as pyiqa does."""
        section = self.opt["train"][scheduler_name]
        for key, value in section.items():
            if value == "total_iter":
                section[key] = self.opt["train"]["total_iter"]
        with refused_as_input_errors(f"train: {scheduler_name}"):
            super().setup_schedulers(scheduler_name)

    def update_learning_rate(self, current_iter: int, warmup_iter: int = -1) -> None:
        """Step per epoch, unless the option asks for a step per iteration."""
        if self.train_options.scheduler_step == "epoch":
            super().update_learning_rate(current_iter, warmup_iter)

    def feed_data(self, data: Mapping[str, Any]) -> None:
        """Take a batch: ``img``, ``mos_label`` and, where the dataset has them, ``semantic_features`` (N, E, D)."""
        super().feed_data(data)
        features = data.get("semantic_features")
        self.semantic_features = None if features is None else features.to(self.device)

    def net_forward(self, net: torch.nn.Module) -> torch.Tensor:
        """Scores (N, 1) in float32."""
        # without features: a peer, or MAAGIQA with its own extractor
        features = () if self.semantic_features is None else (self.semantic_features,)
        scores = net(self.img_input, *features)
        return scores.float().reshape(len(self.img_input), 1)  # HyperNet in eval mode gives (N, 1, 1)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.train_options.autocast == "bf16")

    def optimize_parameters(self, current_iter: int) -> None:
        """One step of the optimizer, and of the scheduler where it steps per iteration."""
        self.optimizer.zero_grad()
        self._hold_norm_statistics()
        with self._autocast():
            self.output_score = self.net_forward(self.net)
        losses = OrderedDict()
        if self.cri_mos:
            losses["l_mos"] = self.cri_mos(self.output_score, self.gt_mos)
        if self.cri_metric:
            losses["l_metric"] = self.cri_metric(self.output_score, self.gt_mos)
        sum(losses.values()).backward()
        if self.train_options.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.train_options.max_grad_norm)
        self.optimizer.step()
        if self.train_options.scheduler_step == "iteration":
            for scheduler in self.schedulers:
                scheduler.step()
        self.log_dict = self.reduce_loss_dict(losses)

    def _hold_norm_statistics(self) -> None:
        # at every step: pyiqa puts the whole network back into training mode after each validation
        if self.train_options.freeze_norm_statistics:
            for module in self.net.modules():
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def save(self, epoch: int, current_iter: int, save_net_label: str = "net") -> None:
        """Save; pyiqa calls this with epoch -1 at the end of training, before its last validation."""
        self._finished = epoch == -1
        super().save(epoch, current_iter, save_net_label)

    @master_only
    def save_network(
        self, net: torch.nn.Module, net_label: str, current_iter: int | None = None, param_key: str = "params"
    ) -> None:
        """Save ``{param_key: state dict}`` whole or not at all; pyiqa would drop a checkpoint it cannot write.

        Raises:
            OSError: the disk is full or the folder cannot be written to.
        """
        label = net_label if current_iter is None else f"{net_label}_{'latest' if current_iter == -1 else current_iter}"
        target = Path(self.opt["path"]["models"]) / f"{label}.pth"
        bare = self.get_bare_model(net)
        content: dict[str, Any] = {param_key: {name: tensor.cpu() for name, tensor in bare.state_dict().items()}}
        features = self._trained_features(bare)
        if features is not None:
            content[trained_features.KEY] = asdict(features)
        with written_whole(target) as aside:
            torch.save(content, aside)

    def _trained_features(self, net: torch.nn.Module) -> TrainedFeatures | None:
        """Whose features the network learns from: those of a feature cache, or of its own extractor."""
        location = self.opt["datasets"].get("train", {}).get("cache")
        if location is not None:
            manifest = read_manifest(open_storage(location))
            return TrainedFeatures(manifest.fingerprint, str(manifest.parts.get("extractor", "unknown")))
        extractor = net.semantics.built if isinstance(net, MAAGIQA) else None
        return None if extractor is None else TrainedFeatures.of(extractor)

    def nondist_validation(self, dataloader: Any, current_iter: int, tb_logger: Any, save_img: bool) -> None:
        """Validate; after the last validation of the run, test with the best weights."""
        super().nondist_validation(dataloader, current_iter, tb_logger, save_img)
        validation_names = [d["name"] for phase, d in self.opt["datasets"].items() if phase.startswith("val")]
        if self._finished and self.test_loader and dataloader.dataset.opt["name"] == validation_names[-1]:
            self.final_test()

    def final_test(self) -> dict[str, float]:
        """Score the ``test`` section's dataset with the best weights; log all figures and keep them.

        Writes ``test_scores.csv`` (name, mos, score) and ``test_figures.json`` into the experiment's folder.
        """
        names, scores, mos = self.predict(self.net_best, self.test_loader)
        figures = evaluate(scores, mos)
        listed = "".join(f"\n\t # {name}: {value:.4f}" for name, value in figures.items())
        name = self.test_loader.dataset.opt["name"]
        get_root_logger().info(f"Test {name} ({len(mos)} images, best weights){listed}")
        folder = Path(self.opt["path"]["experiments_root"])
        rows = pandas.DataFrame({"name": names, "mos": mos, "score": scores})
        write_whole(folder / "test_scores.csv", frame_as_csv(rows))
        write_whole(folder / "test_figures.json", json.dumps(figures, indent=1) + "\n")
        return figures

    @torch.no_grad()
    def predict(self, net: torch.nn.Module, loader: Any) -> tuple[list[str], Any, Any]:
        """File names, and scores and MOS (N,) as NumPy arrays, of every image of a loader."""
        net.eval()
        names: list[str] = []
        scores, mos = [], []
        for batch in loader:
            self.feed_data(batch)
            names += [Path(path).name for path in batch["img_path"]]
            scores.append(self.net_forward(net))
            mos.append(self.gt_mos)
        return names, torch.cat(scores).squeeze(1).cpu().numpy(), torch.cat(mos).squeeze(1).cpu().numpy()
