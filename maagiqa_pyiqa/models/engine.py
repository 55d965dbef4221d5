"""The training loop of ``maagiqa train``: pyiqa's, but exactly resumable, on any number of CPUs or GPUs.

pyiqa's own (``python -m pyiqa.train``) trains the same model from the same option files; what it does otherwise is in
docs/reproduce.md.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pyiqa.data import build_dataloader, build_dataset
from pyiqa.data.prefetch_dataloader import CUDAPrefetcher
from pyiqa.models import build_model
from pyiqa.train import init_tb_loggers
from pyiqa.utils import MessageLogger, get_root_logger
from tqdm.contrib.logging import logging_redirect_tqdm

from maagiqa_pyiqa.models.maagiqa_model import MAAGIQAModel
from maagiqa_pyiqa.models.processes import any_process, rank, world_size
from maagiqa_pyiqa.models.sampling import SeededDataset, SeededSampler
from maagiqa_pyiqa.models.training_state import comparable_options, require_same_options
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.progress import progress


@dataclass
class TrainingImages:
    """The training part, gone through in epochs of whole batches; a last batch that is not full is left out."""

    loader: Any
    sampler: SeededSampler
    section: dict[str, Any]

    @classmethod
    def of(cls, opt: dict[str, Any]) -> TrainingImages:
        """Build the dataset of the options.

        Raises:
            ValueError: there are fewer images than one batch has.
        """
        section = opt["datasets"]["train"]
        dataset = build_dataset(section)
        ratio, shuffle = section.get("dataset_enlarge_ratio", 1), section.get("use_shuffle", True)
        sampler = SeededSampler(dataset, opt["manual_seed"], ratio, shuffle)
        loader = build_dataloader(SeededDataset(dataset), section, opt["num_gpu"], opt["dist"], sampler)
        loader.generator = torch.Generator()  # its own: loading must not move that of the network's dropout
        if len(loader) == 0:
            raise InputError(
                f"dataset '{section['name']}' has {len(dataset)} training images, fewer than the batch_size_per_gpu "
                f"{section['batch_size_per_gpu']} of {world_size()} processes."
            )
        return cls(loader, sampler, section)

    def __len__(self) -> int:
        return len(self.loader)

    def batches(self, step: int) -> Iterator[dict[str, Any]]:
        """The batches of the epoch that a step is in, from the one after that step on."""
        epoch, done = divmod(step, len(self))
        self.sampler.start_at(epoch, done * self.loader.batch_size)
        if self.section.get("prefetch_mode") != "cuda":
            yield from self.loader
            return
        prefetcher = CUDAPrefetcher(self.loader, {"num_gpu": 1})
        while (batch := prefetcher.next()) is not None:
            yield batch


class Engine:
    """One training, from its options to its test.

    Args:
        opt: complete options, see ``run_options``; the number of steps is added.
        state: to go on from.
        stop: set from outside to end after the current step with a state to go on from.

    Raises:
        ValueError: what the options name cannot be built, or the state is of other options.
    """

    def __init__(self, opt: dict[str, Any], state: dict[str, Any] | None, stop: threading.Event) -> None:
        self.opt, self.stop = opt, stop
        self.images = TrainingImages.of(opt)
        self.total = opt["train"]["total_iter"] = _total_steps(opt["train"], len(self.images))
        if state is not None:  # before anything of the run before is written over
            require_same_options(state, comparable_options(opt, world_size()))
        validations = [section for phase, section in opt["datasets"].items() if phase.startswith("val")]
        self.validation_loaders = [build_dataloader(build_dataset(section), section) for section in validations]
        self.model: MAAGIQAModel = build_model(opt)
        if state is not None:
            self.model.resume_training(state)
        self.step = self.model.iteration
        self.stopped = False

    def run(self) -> dict[str, float]:
        """Train to the last step, or until it is stopped, then test with the best weights.

        Returns:
            The figures of the test; none if it was stopped before the last step or has no ``test`` section.
        """
        self.board = init_tb_loggers(self.opt)
        self.messages = MessageLogger(self.opt, self.step + 1, self.board)
        try:
            with self._progress_bar() as bar:
                while self.step < self.total and not self.stopped:
                    self._run_epoch(bar)
            if self.step < self.total:
                return {}
            self.model.save_network(self.model.net, "net", -1)
            return self.model.finish()
        finally:
            if self.board:
                self.board.close()

    @contextlib.contextmanager
    def _progress_bar(self) -> Iterator[Any]:
        shown = self.total if rank() == 0 else 0
        with (
            logging_redirect_tqdm([get_root_logger()]),
            progress(total=shown, unit="step", what="training", initial=self.step) as bar,
        ):
            yield bar

    def _run_epoch(self, bar: Any) -> None:
        for batch in self.images.batches(self.step):
            self.step += 1
            self.model.feed_data(batch)
            self.model.optimize_parameters(self.step)
            epoch, left = divmod(self.step, len(self.images))
            if left == 0:
                self.model.update_learning_rate(epoch + 1, self.model.train_options.warmup_iter)
            # one answer for all processes and for all of this step, whenever a signal comes
            self.stopped = any_process(self.stop.is_set(), self.model.device)
            self._log_and_save(epoch)
            bar.set_postfix_str(self.model.best_so_far(), refresh=False)
            bar.update()
            if self.step == self.total or self.stopped:
                return

    def _log_and_save(self, epoch: int) -> None:
        logger = self.opt["logger"]
        last = self.step == self.total
        if self._is_due(logger["print_freq"]):
            rates = self.model.get_current_learning_rate()
            self.messages({"epoch": epoch, "iter": self.step, "lrs": rates, **self.model.get_current_log()})
        if self._is_due(logger.get("save_checkpoint_freq")):
            self.model.save_network(self.model.net, "net", self.step)
        latest = self._is_due(logger.get("save_latest_freq"))
        if latest:
            self.model.save_network(self.model.net, "net", -1)
        validated = self.opt.get("val") and (last or self._is_due(self.opt["val"]["val_freq"]))
        if validated:
            for loader in self.validation_loaders:
                self.model.validation(loader, self.step, self.board)
        if validated or latest or last or self.stopped:
            self.model.save_training_state(epoch, self.step)

    def _is_due(self, every: float | None) -> bool:
        return every is not None and self.step % int(every) == 0


def _total_steps(section: dict[str, Any], steps_per_epoch: int) -> int:
    epochs = section.get("total_epoch")
    return int(section["total_iter"] if epochs is None else epochs * steps_per_epoch)
