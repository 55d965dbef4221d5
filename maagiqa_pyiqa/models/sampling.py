"""The order of training images and the randomness of each, such that neither depends on processes or interruptions.

What is drawn for an image (its place, its augmentation) follows from seed, epoch and place alone. So a run that was
interrupted goes on with exactly the images that would have come, whatever the number of workers.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pyiqa.data.data_sampler import EnlargedSampler
from torch.utils.data import DataLoader, Dataset

from maagiqa_pyiqa.models.processes import rank, world_size

Draw = tuple[int, int]  # index of an image, seed of what is random in it


class SeededDataset(Dataset):
    """A dataset whose items are asked for by index and seed; everything random in an item follows from its seed."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Any:
        index, seed = draw
        with seeded(seed):
            return self.dataset[index]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from generators seeded with ``seed`` inside the block, and leave those outside as they were."""
    generator = torch.default_generator  # that of the CPU alone: images are made there
    states = random.getstate(), np.random.get_state(), generator.get_state()
    random.seed(seed)
    np.random.seed(seed)
    generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        generator.set_state(states[2])


class SeededSampler(EnlargedSampler):
    """pyiqa's sampler with an order that follows from seed and epoch and can be taken up in the midst of an epoch.

    Args:
        dataset: what is drawn from.
        seed: of the run; pyiqa's own order follows from the epoch alone.
        ratio: how often each image comes in an epoch.
        shuffle: whether the order is random.
    """

    def __init__(self, dataset: Any, seed: int, ratio: int = 1, shuffle: bool = True) -> None:
        super().__init__(dataset, world_size(), rank(), ratio, shuffle)
        self.total_size = int(len(dataset) * ratio)  # pyiqa adds some to share evenly, which changes the whole order
        self.num_samples = self.total_size // self.num_replicas
        self.seed = seed
        self.first = 0

    def start_at(self, epoch: int, first: int = 0) -> None:
        """Draw the images of an epoch, from this process's ``first`` on."""
        self.epoch, self.first = epoch, first

    def __iter__(self) -> Iterator[Draw]:
        random_words = np.random.SeedSequence((self.seed, self.epoch))
        generator = np.random.default_rng(random_words)
        order = np.arange(self.total_size)
        if self.use_shuffle:
            generator.shuffle(order)
        seeds = generator.integers(2**32, size=(self.total_size,))
        places = range(self.rank, self.total_size, self.num_replicas)[self.first : self.num_samples]
        return iter([(int(order[place]) % len(self.dataset), int(seeds[place])) for place in places])


class SharedBatches:
    """Indices of the batches that are this process's of a dataset gone through in its order, each in one process.

    Batches are whole whatever the number of processes, so that scores are the same to the bit.
    """

    def __init__(self, length: int, batch_size: int) -> None:
        self.length, self.batch_size = length, batch_size

    def _starts(self) -> range:
        return range(0, self.length, self.batch_size)[rank() :: world_size()]

    def __len__(self) -> int:
        return len(self._starts())

    def __iter__(self) -> Iterator[list[int]]:
        for start in self._starts():
            yield list(range(start, min(start + self.batch_size, self.length)))


def shared_loader(loader: DataLoader) -> DataLoader:
    """A loader of this process's share of what another one gives; of everything where there is one process."""
    return DataLoader(
        loader.dataset,
        batch_sampler=SharedBatches(len(loader.dataset), loader.batch_size or 1),  # type: ignore[arg-type]
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        generator=torch.Generator(),  # its own: a validation must leave that of the training alone
    )
