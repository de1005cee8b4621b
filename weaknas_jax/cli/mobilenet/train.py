"""Trains a sub-network from scratch by the published recipe (WeakNAS, Table 7).

    weaknas mobilenet train --arch=best.json --imagenet=DIR --out=trained

DIR holds ``train`` and ``val`` with a folder for each class. On all devices there are, each with an
equal share of a batch. Leaves ``log.csv``, event files for TensorBoard, checkpoints,
``result.json`` and the settings in the folder --out; the same line goes on where it was stopped,
whatever stopped it, to the same result. Needs the extra ``train``.
"""

import csv
import dataclasses
import io
import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from weaknas_jax.cli import console
from weaknas_jax.cli.mobilenet import flags
from weaknas_jax.report import provenance, run_folder
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import cost
from weaknas_jax.storage import files
from weaknas_jax.supernets.data import augment, images
from weaknas_jax.supernets.mobilenet import train_subnet
from weaknas_jax.supernets.mobilenet.evaluate import total
from weaknas_jax.supernets.mobilenet.subnet import Static

SHARED = ("arch", "width", "image_size", "imagenet", "out", "seed", "workers")
"""The flags that it reads of those in `flags`."""
_usual = train_subnet.Recipe()
_int, _float = absl_flags.DEFINE_integer, absl_flags.DEFINE_float
_EPOCHS = _int("epochs", _usual.epochs, "Passes over the training images.", lower_bound=1)
_help = "Images in a step, on all devices together. Default: 128 for each."
_STEP = _int("batch_size", None, _help, lower_bound=1)
_RATE = _float("rate", _usual.rate, "Peak of the learning rate.", lower_bound=0)
_WARMUP = _int("warmup", _usual.warmup, "Epochs of its rise.", lower_bound=0)
_DROPOUT = _float("dropout", _usual.dropout, "Before the classifier.", 0, 0.99)
_EMA = _float("ema", _usual.ema, "Decay of the average of the weights.", 0, 1)
_BF16 = absl_flags.DEFINE_bool("bf16", False, "Compute in bfloat16.")
_help = "Minutes between checkpoints, besides one after each epoch."
_SAVE = _float("save_every", 10.0, _help, lower_bound=0)
_EVERY = 20.0  # seconds between lines of progress
_COLUMNS = "step", "epoch", "loss", "rate", "images_per_second", "top1", "top5"


def main() -> int:
    wide, size = flags.supernet(), flags.SIZE.value
    wide.check_image_size(size)
    root = flags.needed(flags.IMAGENET, "name the folder that holds train and val")
    split, tested = images.find(root, "train"), images.find(root, "val")
    if split.classes != tested.classes:
        raise images.ImagesError(f"{root}: train and val have not the same class folders")
    wide = dataclasses.replace(wide, classes=len(split.classes))
    arch = archs.read(wide, flags.ARCH.value)
    devices = jax.devices()
    batch = _STEP.value or 128 * len(devices)
    if batch > len(split.paths):
        raise ValueError(f"--batch_size={batch}: there are {len(split.paths):,} training images")
    if batch % len(devices):
        raise ValueError(f"--batch_size={batch}: give a multiple of the {len(devices)} devices")
    recipe = train_subnet.Recipe(
        epochs=_EPOCHS.value,
        rate=_RATE.value,
        warmup=_WARMUP.value,
        dropout=_DROPOUT.value,
        ema=_EMA.value,
        bf16=_BF16.value,
    )
    settings = {
        "arch": json.loads(archs.to_json(arch)),
        "width": float(flags.WIDTH.value),
        "image_size": size,
        "batch_size": batch,
        "seed": flags.SEED.value,
        "images": len(split.paths),
        **dataclasses.asdict(recipe),
    }
    folder = _folder(settings)
    net = Static(wide, arch, nnx.Rngs(flags.SEED.value))
    run = _Run(folder, net, recipe, split, tested, batch)
    with run_folder.locked(folder), console.stoppable("stopping after this step") as stop:
        console.note(f"{folder}: {_said(wide, arch, size)}, {recipe.epochs} epochs")
        if not run.work(stop):
            return console.interrupted(stop)
    costs = {
        "multiply_adds": int(cost.multiply_adds(wide, arch, size)),
        "parameters": int(cost.parameters(wide, arch)),
    }
    found = {"averaged": run.tested(True), "last": run.tested(False)}
    result = {**found, **costs, "settings": settings}
    result |= {"device": provenance.device(), "versions": provenance.versions()}
    _write(folder / "result.json", result)
    print(f"top-1 {found['averaged']['top1']:.2f} %, top-5 {found['averaged']['top5']:.2f} %")
    print(json.dumps(result))
    return 0


def _said(wide, arch, size: int) -> str:
    millions = cost.multiply_adds(wide, arch, size) / 1e6
    return f"{millions:.0f} M multiply-adds, {cost.parameters(wide, arch):,} parameters"


def _folder(settings: dict[str, Any]) -> Path:
    """The folder, which may hold the same training.

    Raises:
      ValueError: it holds another one; names the settings that differ.
    """
    folder = Path(flags.needed(flags.OUT, "name the folder to write to"))
    names = ("settings.json", "log.csv", "result.json")
    run_folder.prepare(str(folder), "train", may_hold_one=True, names=names)
    path = folder / "settings.json"
    if not path.exists():
        _write(path, settings | {"checkpoints": run_folder.CHECKPOINTS})
    there = json.loads(path.read_text())
    if other := [name for name in settings if there.get(name) != settings[name]]:
        said = ", ".join(f"{name}={settings[name]} (there: {there.get(name)})" for name in other)
        raise ValueError(f"--out={folder}: was begun otherwise: {said}; name another folder")
    return folder


def _write(path: Path, content: dict[str, Any]) -> None:
    files.write_text(path, json.dumps(content, indent=1) + "\n")


class _Run:
    """A training under way."""

    def __init__(self, folder, net: Static, recipe, split, tested, batch: int):
        self.folder, self.net, self.recipe, self.batch = folder, net, recipe, batch
        self.split, self.val = split, tested
        self.steps = len(split.paths) // batch
        self.training = train_subnet.make(net, recipe, self.steps)
        mesh = Mesh(np.array(jax.devices()), ("batch",))
        self.shared = NamedSharding(mesh, PartitionSpec("batch"))
        self.same = NamedSharding(mesh, PartitionSpec())
        self.step = jax.jit(self.training.step, donate_argnums=0)
        self.count = jax.jit(train_subnet.count)
        begun = json.loads((folder / "settings.json").read_text())
        self.kept = run_folder.checkpoints(folder, begun)
        self.state = jax.device_put(self.training.init(), self.same)
        if (stored := self.kept.load()) is not None:
            self.state = jax.device_put(train_subnet.restored(self.state, stored), self.same)
            console.note(f"{folder}: goes on after step {int(self.state.step):,}")
        self.log = _Log(folder, int(self.state.step))

    def work(self, stop) -> bool:
        """Trains to the end (True), or until ``stop``; what is done is kept."""
        total, key = self.recipe.epochs * self.steps, jax.random.key(flags.SEED.value)
        schedule = train_subnet.rate(self.recipe, self.steps)
        saved = last = time.monotonic()
        while (done := int(self.state.step)) < total:
            epoch, losses, begun, first = done // self.steps, [], time.monotonic(), done
            for batch in self._batches(epoch, done % self.steps):
                self.state, loss = self.step(self.state, jax.device_put(batch, self.shared), key)
                losses.append(loss)
                done += 1
                now = time.monotonic()
                if now - last > _EVERY or stop() or done == total:
                    last, pace = now, (done - first) / (now - begun)
                    self._check(losses, done)
                    left = console.clock((total - done) / pace)
                    console.note(
                        f"epoch {epoch + 1}/{self.recipe.epochs}, step {done:,}/{total:,}: loss "
                        f"{float(loss):.3f}, {pace * self.batch:.1f} images a second, "
                        f"about {left} left"
                    )
                if stop() or now - saved > 60 * _SAVE.value:
                    saved = now
                    self._check(losses, done)
                    self.kept.save(train_subnet.arrays(self.state))
                if stop():
                    return False
            self._check(losses, done)
            row = {
                "step": done,
                "epoch": epoch + 1,
                "loss": float(np.mean(jax.device_get(losses))),
                "rate": float(schedule(done - 1)),
                "images_per_second": (done - first) * self.batch / (time.monotonic() - begun),
            }
            self.log.write(row | self.tested(True))
            self.kept.save(train_subnet.arrays(self.state))
            saved = time.monotonic()
        return True

    def tested(self, averaged: bool) -> dict[str, float]:
        """Top-1 and top-5 of all validation images, percent."""
        net, threads = self.training.network(self.state, averaged), flags.WORKERS.value
        batches = images.batches(self.val, flags.SIZE.value, self.batch, threads=threads)
        totals = total(self.count(net, jax.device_put(b, self.shared)) for b in batches)
        share = 100 / max(1, totals.images)
        return {"top1": share * totals.top1, "top5": share * totals.top5}

    def _batches(self, epoch: int, skip: int):
        seed = flags.SEED.value
        order = train_subnet.epoch_order(seed, epoch, len(self.split.paths), self.batch)
        return images.batches(
            self.split,
            flags.SIZE.value,
            self.batch,
            augment=(seed, epoch),
            also=augment.rand_augment,
            order=order[skip * self.batch :],
            threads=flags.WORKERS.value,
        )

    def _check(self, losses: list, done: int) -> None:
        if losses and not np.isfinite(np.asarray(jax.device_get(losses))).all():
            raise ValueError(
                f"the loss is not finite, at or before step {done:,}; the last checkpoint is "
                "kept; begin in another --out with a lower --rate"
            )


class _Log:
    """``log.csv`` and TensorBoard's event files; rows after a checkpoint are written again."""

    def __init__(self, folder: Path, step: int):
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ValueError(
                f"logs need tensorboardX: pip install -e '.[train]' ({error})"
            ) from None
        self.path, self.rows = folder / "log.csv", []
        if self.path.exists():
            with open(self.path) as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self.events = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, row: dict[str, float]) -> None:
        self.rows.append(row)
        text = io.StringIO()
        sheet = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        sheet.writeheader()
        sheet.writerows(self.rows)
        files.write_text(self.path, text.getvalue())
        for name in _COLUMNS[2:]:
            self.events.add_scalar(name, row[name], row["step"])
        self.events.flush()
