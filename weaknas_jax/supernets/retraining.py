"""Training on a folder of images that can be stopped at any step and resumed.

Works for any network that `recipe.make` trains, on all devices, each with an equal share of a
batch. Checkpoints, ``log.csv`` and event files are in its folder.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.report import run_folder
from weaknas_jax.supernets import recipe as recipes
from weaknas_jax.supernets.data import augment, images
from weaknas_jax.supernets.evaluation import total
from weaknas_jax.supernets.recipe import Training
from weaknas_jax.supernets.training_log import Log


class Progress(NamedTuple):
    """Progress of a training.

    Attributes:
      epoch: number of the current epoch, from 1.
      step, steps: steps done, and all steps.
      loss: loss of the last step.
      images_per_second: speed in this epoch.
      left: remaining seconds at that speed.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    images_per_second: float
    left: float


class Pictures(NamedTuple):
    """Images to train on, and to test on after each epoch.

    Attributes:
      train, tested: images of the same classes.
      size: side of the images after resizing, pixels.
      batch: images in a step over all devices.
      threads: threads that read and decode; None = one per core.
    """

    train: images.Images
    tested: images.Images
    size: int
    batch: int
    threads: int | None = None


class Retraining:
    """A training, resumed if its folder has a checkpoint.

    Args:
      folder: its folder.
      training: from `recipe.make`, for `steps_per_epoch` of the pictures.
      pictures: images to train and test on.
      seed: seed of the order of images, their augmentation, and random draws of the network.
      begun: stored settings of the folder, which locate its checkpoints.

    Raises:
      ValueError: the checkpoint is of another network.
    """

    def __init__(
        self,
        folder: Path,
        training: Training,
        pictures: Pictures,
        *,
        seed: int,
        begun: dict[str, Any],
    ):
        self.training, self.pictures, self.seed = training, pictures, seed
        mesh = Mesh(np.array(jax.devices()), ("batch",))
        self._shared = NamedSharding(mesh, PartitionSpec("batch"))
        same = NamedSharding(mesh, PartitionSpec())
        self._step = jax.jit(training.step, donate_argnums=0)
        self._count = jax.jit(recipes.count)
        self._checkpoints = run_folder.checkpoints(folder, begun)
        self.state = jax.device_put(training.init(), same)
        if (stored := self._checkpoints.load()) is not None:
            self.state = jax.device_put(recipes.restored(self.state, stored), same)
        self._log = Log(folder, self.done)

    @property
    def done(self) -> int:
        """Number of steps done."""
        return int(self.state.step)

    @with_conventions
    def work(
        self,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[Progress], None] = lambda now: None,
        *,
        every: float = 20.0,
        save_every: float = 600.0,
    ) -> bool:
        """Trains to the end (True), or until ``stop`` (False), and saves a checkpoint.

        Args:
          stop: called after each step.
          progress: called every ``every`` seconds.
          every, save_every: seconds between calls of ``progress``, and between checkpoints besides
            those after each epoch.

        Raises:
          ValueError: the loss is not finite.
        """
        recipe, an_epoch = self.training.recipe, self.training.steps_per_epoch
        steps, key = recipe.epochs * an_epoch, jax.random.key(self.seed)
        rate = recipes.rate(recipe, an_epoch)
        saved = last = time.monotonic()
        while (done := self.done) < steps:
            epoch, losses, begun, first = done // an_epoch, [], time.monotonic(), done
            for batch in self._batches(epoch, done % an_epoch):
                self.state, loss = self._step(self.state, jax.device_put(batch, self._shared), key)
                losses.append(loss)
                done += 1
                now = time.monotonic()
                if now - last > every or stop() or done == steps:
                    last, pace = now, (done - first) / (now - begun)
                    _check(losses, done)
                    images_per_second, left = pace * self.pictures.batch, (steps - done) / pace
                    progress(Progress(epoch + 1, done, steps, float(loss), images_per_second, left))
                if stop() or now - saved > save_every:
                    saved = now
                    _check(losses, done)
                    self._checkpoints.save(recipes.arrays(self.state))
                if stop():
                    return False
            _check(losses, done)
            row = {
                "step": done,
                "epoch": epoch + 1,
                "loss": float(np.mean(jax.device_get(losses))),
                "rate": float(rate(done - 1)),
                "images_per_second": (done - first)
                * self.pictures.batch
                / (time.monotonic() - begun),
            }
            self._log.write(row | self.tested(averaged=True))
            self._checkpoints.save(recipes.arrays(self.state))
            saved = time.monotonic()
        return True

    @with_conventions
    def tested(self, averaged: bool) -> dict[str, float]:
        """Top-1 and top-5 accuracy on the test images, percent."""
        pictures, network = self.pictures, self.training.network(self.state, averaged)
        batches = images.batches(
            pictures.tested, pictures.size, pictures.batch, threads=pictures.threads
        )
        totals = total(self._count(network, jax.device_put(b, self._shared)) for b in batches)
        share = 100 / max(1, totals.images)
        return {"top1": share * totals.top1, "top5": share * totals.top5}

    def _batches(self, epoch: int, skip: int) -> Iterator[images.Batch]:
        pictures = self.pictures
        count = len(pictures.train.paths)
        order = recipes.epoch_order(self.seed, epoch, count, pictures.batch)
        return images.batches(
            pictures.train,
            pictures.size,
            pictures.batch,
            augment=(self.seed, epoch),
            also=augment.rand_augment,
            order=order[skip * pictures.batch :],
            threads=pictures.threads,
        )


def steps_per_epoch(pictures: Pictures) -> int:
    """Number of whole batches of training images."""
    return len(pictures.train.paths) // pictures.batch


def _check(losses: list[jax.Array], done: int) -> None:
    if losses and not np.isfinite(np.asarray(jax.device_get(losses))).all():
        raise ValueError(
            f"the loss is not finite, at or before step {done:,}; the last checkpoint is kept; "
            "start in another folder with a lower rate"
        )
