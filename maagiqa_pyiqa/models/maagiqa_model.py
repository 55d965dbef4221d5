"""Training of MAAGIQA in pyiqa's engine or in ours (``engine.py``).

What it adds to pyiqa's GeneralIQAModel: semantic features from the dataset, a scheduler that steps every iteration,
frozen parts, bf16 autocast, losses of the whole batch and validations of every image whatever the number of processes,
states to go on from, a history, and the final test with the best weights.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyiqa.data import build_dataloader, build_dataset
from pyiqa.metrics import calculate_metric
from pyiqa.models.general_iqa_model import GeneralIQAModel
from pyiqa.utils import get_root_logger
from pyiqa.utils.dist_util import master_only
from torch.nn.parallel import DistributedDataParallel

from maagiqa_pyiqa.agreement.statistics import evaluate
from maagiqa_pyiqa.archs.checkpoints.read import load_checkpoint
from maagiqa_pyiqa.data.agi_dataset import DatasetOptions
from maagiqa_pyiqa.models import parameters
from maagiqa_pyiqa.models.arguments import refused_as_input_errors
from maagiqa_pyiqa.models.experiment import Experiment, on_cpu
from maagiqa_pyiqa.models.history import History
from maagiqa_pyiqa.models.processes import of_all_processes, rank, whole_batch, world_size
from maagiqa_pyiqa.models.sampling import shared_loader
from maagiqa_pyiqa.models.train_options import check_option_sections, default_metrics
from maagiqa_pyiqa.models.training_state import (
    comparable_options,
    random_states,
    require_same_options,
    restore_random_states,
    write_state,
)
from maagiqa_pyiqa.support.devices import is_quick_in_bfloat16
from maagiqa_pyiqa.support.errors import InputError


class MAAGIQAModel(GeneralIQAModel):
    """Trains MAAGIQA, and its peers the same way; options in the repository's ``options/``.

    Args:
        opt: the option file as pyiqa parsed it.

    Raises:
        ValueError: a key that nothing reads, or a value out of its set.
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        self.train_options = check_option_sections(opt)
        self.damage_loss = self.train_options.damage_loss()
        self._compared_options = comparable_options(opt, world_size())  # now: pyiqa takes out what it has used
        self._finished = False
        self.experiment = Experiment(opt)
        self.iteration = 0
        self.history = History()
        if opt.get("val"):
            opt["val"].setdefault("key_metric", "srcc_plcc")
            opt["val"].setdefault("metrics", default_metrics())
        super().__init__(opt)

    def model_to_device(self, net: torch.nn.Module) -> torch.nn.Module:
        """Freeze, then move and wrap: a distributed wrapper must know beforehand what gets gradients."""
        parameters.freeze(net, self.train_options.freeze)
        if not self.opt["dist"] or self.opt["num_gpu"] != 0:
            return super().model_to_device(net)
        unused = self.opt.get("find_unused_parameters", False)
        return DistributedDataParallel(net.to(self.device), find_unused_parameters=unused)  # pyiqa's wants a GPU

    def load_network(
        self, net: torch.nn.Module, load_path: str, strict: bool = True, param_key: str = "params"
    ) -> None:
        """Start from the weights of any checkpoint of this network; pyiqa's own reader runs what is in a pickle.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a checkpoint, or one of another network; names what does not fit.
        """
        load_checkpoint(self.get_bare_model(net), load_path)

    def init_training_settings(self) -> None:
        """Check what the options name, then set up losses, optimizer and scheduler as pyiqa does."""
        parameters.require_known_parts(self.net, self.train_options.optim)
        resolved = json.dumps(self.opt, indent=1, default=str)  # now: pyiqa takes out what it has used
        # built now, so that what is wrong with it is said before training rather than after
        self.test_loader = self._build_test_loader()
        self._in_bfloat16 = self._choose_bfloat16()
        super().init_training_settings()
        if rank() == 0:
            self.experiment.keep_options(resolved)

    def _build_test_loader(self) -> Any:
        if not self.opt.get("test"):
            return None
        section = {"phase": "val", **self.opt["test"]}
        if "part" not in section.get("base", {}):  # what a wrapped dataset names holds
            section.setdefault("part", "test")
        return build_dataloader(build_dataset(section), section)

    def setup_optimizers(self) -> None:
        """Set up the optimizer as pyiqa does; values that it refuses are the user's."""
        with refused_as_input_errors("train: optim"), parameters.frozen_without_a_word():
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
        """Take a batch: ``img``, ``mos_label`` and, where the dataset has them, ``semantic_features`` (N, E, D).

        Also ``damaged`` (N, 3, H, W), versions of the images that are to score lower, for the damage loss.
        """
        super().feed_data(data)
        features = data.get("semantic_features")
        self.semantic_features = None if features is None else features.to(self.device)
        self.damaged = data.get("damaged")

    def net_forward(self, net: torch.nn.Module) -> torch.Tensor:
        """Scores (N, 1) in float32."""
        # without features: a peer, or MAAGIQA with its own extractor
        features = () if self.semantic_features is None else (self.semantic_features,)
        scores = net(self.img_input, *features)
        return scores.float().reshape(len(self.img_input), 1)  # HyperNet in eval mode gives (N, 1, 1)

    def _choose_bfloat16(self) -> bool:
        wanted = self.train_options.autocast == "bf16"
        quick = is_quick_in_bfloat16(self.device)
        if wanted and not quick:
            get_root_logger().info("Training in 32-bit floats: in bf16 (autocast) this CPU would take far longer.")
        return wanted and quick

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._in_bfloat16)

    def optimize_parameters(self, current_iter: int) -> None:
        """One step of the optimizer, and of the scheduler where it steps per iteration."""
        self.optimizer.zero_grad()
        if self.train_options.freeze_norm_statistics:
            parameters.hold_norm_statistics(self.net)  # pyiqa and a validation put all into training mode again
        if self.damage_loss:
            self._add_damaged()
        with self._autocast():
            self.output_score = self.net_forward(self.net)
        losses = self._losses(self.output_score, self.gt_mos)
        (torch.stack(list(losses.values())).sum() * world_size()).backward()  # see whole_batch
        if self.train_options.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.train_options.max_grad_norm)
        self.optimizer.step()
        if self.train_options.scheduler_step == "iteration":
            for scheduler in self.schedulers:
                scheduler.step()
        self.iteration = current_iter
        self.log_dict = OrderedDict((name, loss.item()) for name, loss in losses.items())
        self._require_finite_loss()
        self.history.add_step(current_iter, self.get_current_learning_rate(), self.log_dict)
        if current_iter % self.opt["logger"]["print_freq"] == 0:
            self.history.close_row()

    def _add_damaged(self) -> None:
        if self.damaged is None or self.semantic_features is not None:
            raise InputError(
                "train: damage_loss_opt needs 'damaged: true' in datasets: train, and a network that takes no features."
            )
        self.img_input: torch.Tensor = torch.cat([self.img_input, self.damaged.to(self.device)])

    def _losses(self, scores: torch.Tensor, mos: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """Of scores (N, 1), or (2 N, 1) with those of damaged versions, and MOS (N, 1)."""
        scores, damaged = whole_batch(scores[: len(mos)]), scores[len(mos) :]
        mos = whole_batch(mos)
        losses = OrderedDict()
        if self.damage_loss:
            losses["l_damage"] = self.damage_loss(scores, whole_batch(damaged))
        if self.cri_mos:
            losses["l_mos"] = self.cri_mos(scores, mos)
        if self.cri_metric:
            losses["l_metric"] = self.cri_metric(scores, mos)
        return losses

    def _require_finite_loss(self) -> None:
        if not np.isfinite(list(self.log_dict.values())).all():
            raise InputError(
                f"the loss is {dict(self.log_dict)} at step {self.iteration}: lower the learning rate or set "
                "max_grad_norm (option file, train); checkpoints written so far are as they were."
            )

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
        self.experiment.save_weights(f"{label}.pth", param_key, self.get_bare_model(net))

    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """Write the state after the last step; all processes call this. At the end there is nothing to go on with."""
        if epoch != -1 and self.iteration:
            state = self.training_state(epoch)
            if rank() == 0:
                write_state(self.opt["path"]["training_states"], state)

    def training_state(self, epoch: int) -> dict[str, Any]:
        """Everything that ``resume_training`` needs, on the CPU; all processes call this."""
        return {
            "epoch": epoch,
            "iter": self.iteration,
            "options": self._compared_options,
            "network": on_cpu(self.get_bare_model(self.net)),
            "best_network": on_cpu(self.net_best),
            "best_results": getattr(self, "best_metric_results", {}),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
            "history": self.history.state(),
            "random": of_all_processes(random_states()),
        }

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        """Go on from a state as if there had been no interruption.

        Raises:
            ValueError: it is of a run with other options; shows each difference.
        """
        require_same_options(resume_state, self._compared_options)
        self.get_bare_model(self.net).load_state_dict(resume_state["network"])
        self.net_best.load_state_dict(resume_state["best_network"])
        if resume_state["best_results"]:
            self.best_metric_results = resume_state["best_results"]
        super().resume_training(resume_state)
        self.iteration = resume_state["iter"]
        self.history = History(resume_state["history"])
        restore_random_states(resume_state["random"][rank()])

    def validation(self, dataloader: Any, current_iter: int, tb_logger: Any, save_img: bool = False) -> None:
        """Score a validation set, keep the weights if they are the best so far, and log all figures.

        All processes call this, and all come to the same figures. After the last validation of a run of pyiqa's
        engine, the test follows.
        """
        name = dataloader.dataset.opt["name"]
        _, scores, mos = self.predict(self.net, dataloader)
        self.net.train()
        self._initialize_best_metric_results(name)
        key_metric, metrics = self.opt["val"]["key_metric"], self.opt["val"]["metrics"]
        self.metric_results = {key: _figure(scores, mos, section) for key, section in metrics.items()}
        if self._update_best_metric_result(name, key_metric, self.metric_results[key_metric], current_iter):
            for key, figure in self.metric_results.items():
                self._update_metric_result(name, key, figure, current_iter)
            self.copy_model(self.net, self.net_best)
            self.save_network(self.net_best, "net_best")
        self.history.add_figures(name, self.metric_results)
        if rank() == 0:
            self.experiment.keep_history(self.history)
        self._log_validation_metric_values(current_iter, name, tb_logger)
        validation_names = [d["name"] for phase, d in self.opt["datasets"].items() if phase.startswith("val")]
        if self._finished and name == validation_names[-1]:
            self.finish()

    def finish(self) -> dict[str, float]:
        """Draw the whole course, then test, see ``final_test``; all processes call this."""
        if rank() == 0:
            self.experiment.keep_history(self.history, last=True)
        return self.final_test()

    def best_so_far(self) -> str:
        """The key figure of the best validation and its step, in words; empty before the first."""
        if not self.opt.get("val"):
            return ""
        key = self.opt["val"]["key_metric"]
        records = [results[key] for results in getattr(self, "best_metric_results", {}).values()]
        return ", ".join(f"{key} {record['val']:.4f} @ {record['iter']}" for record in records if record["iter"] > 0)

    def final_test(self) -> dict[str, float]:
        """Score the ``test`` section's dataset with the best weights; log all figures and keep them.

        Writes ``test_scores.csv`` (name, mos, score) and ``test_figures.json`` into the experiment's folder.

        Returns:
            The figures; none where there is no ``test`` section.
        """
        if self.test_loader is None:
            return {}
        which = "best" if self.best_so_far() else "last"  # where no validation gave a figure, none is best
        names, scores, mos = self.predict(self.net_best if which == "best" else self.net, self.test_loader)
        figures = evaluate(scores, mos)
        listed = "".join(f"\n\t # {name}: {value:.4f}" for name, value in figures.items())
        name = self.test_loader.dataset.opt["name"]
        get_root_logger().info(f"Test {name} ({len(mos)} images, {which} weights){listed}")
        if rank() == 0:
            self.experiment.keep_test(names, scores, mos, figures)
        return figures

    @torch.no_grad()
    def predict(self, net: torch.nn.Module, loader: Any) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Score every image of a loader, each in one of the processes.

        Args:
            net: may be wrapped; the network itself is run, which waits for no other process.
            loader: gives batches in the order of its dataset.

        Returns:
            Names of the files, scores (N,) and MOS (N,) in the order of the dataset, the same in all processes.
        """
        net = self.get_bare_model(net).eval()
        batches = []
        for batch in shared_loader(loader):
            self.feed_data(batch)
            names = [name_in(loader.dataset, path) for path in batch["img_path"]]
            scores, mos = (values.squeeze(1).cpu().numpy() for values in (self.net_forward(net), self.gt_mos))
            batches.append((names, scores, mos))
        shares = of_all_processes(batches)
        ordered = [share[place] for place in range(len(shares[0])) for share in shares if place < len(share)]
        return (
            [name for names, _, _ in ordered for name in names],
            np.concatenate([scores for _, scores, _ in ordered]),
            np.concatenate([mos for _, _, mos in ordered]),
        )


def name_in(dataset: Any, path: str) -> str:
    """An image's name as its dataset's CSV has it, folders included; of a dataset that is not ours the file's."""
    options = getattr(getattr(dataset, "base", dataset), "options", None)
    if not isinstance(options, DatasetOptions):
        return Path(path).name
    return Path(path).relative_to(Path(options.dataroot_target).expanduser()).as_posix()


def _figure(scores: np.ndarray, mos: np.ndarray, section: Mapping[str, Any]) -> float:
    # pyiqa's metrics do not take `better`, which its engine reads from the same section
    return float(calculate_metric([scores, mos], {key: value for key, value in section.items() if key != "better"}))
