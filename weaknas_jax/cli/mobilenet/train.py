"""Train a sub-network from scratch with the published recipe (WeakNAS, Table 7).

    weaknas mobilenet train --arch=best.json --imagenet=DIR --out=trained

DIR holds ``train`` and ``val`` with a folder for each class. All devices are used, each with an
equal share of a batch. Writes ``log.csv``, event files for TensorBoard, checkpoints,
``result.json`` and the settings to the folder --out. The same command line resumes a stopped
training, with the same result. Needs the extra ``train``.
"""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import jax
from absl import flags as absl_flags
from flax import nnx

from weaknas_jax.cli import console
from weaknas_jax.cli.mobilenet import flags
from weaknas_jax.measures import summary as summaries
from weaknas_jax.report import provenance, run_folder
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import cost
from weaknas_jax.storage import identity
from weaknas_jax.supernets import retraining
from weaknas_jax.supernets.data import images
from weaknas_jax.supernets.mobilenet import train_subnet
from weaknas_jax.supernets.mobilenet.subnet import Static
from weaknas_jax.supernets.recipe import Recipe
from weaknas_jax.supernets.retraining import Pictures, Retraining

SHARED = ("arch", "width", "image_size", "imagenet", "out", "seed", "threads")
"""The shared flags (`flags`) that this command reads."""
_usual = Recipe()
_int, _float = absl_flags.DEFINE_integer, absl_flags.DEFINE_float
_EPOCHS = _int("epochs", _usual.epochs, "Passes over the training images.", lower_bound=1)
_help = "Images in a step over all devices. Default: 128 per device."
_STEP = _int("batch_size", None, _help, lower_bound=1)
_RATE = _float("rate", _usual.rate, "Peak learning rate.", lower_bound=0)
_WARMUP = _int("warmup", _usual.warmup, "Epochs of learning-rate warm-up.", lower_bound=0)
_DROPOUT = _float("dropout", _usual.dropout, "Dropout rate before the classifier.", 0, 0.99)
_EMA = _float("ema", _usual.ema, "Decay of the moving average of weights.", 0, 1)
_BF16 = absl_flags.DEFINE_bool("bf16", False, "Compute in bfloat16.")
_help = "Minutes between checkpoints, besides those after each epoch."
_SAVE = _float("save_every", 10.0, _help, lower_bound=0)


def main() -> int:
    config, size = flags.supernet(), flags.SIZE.value
    config.check_image_size(size)
    root = flags.needed(flags.IMAGENET, "name the folder that holds train and val")
    split, validation = images.find(root, "train"), images.find(root, "val")
    if split.classes != validation.classes:
        raise images.ImagesError(f"{root}: train and val have different class folders")
    config = dataclasses.replace(config, classes=len(split.classes))
    arch = archs.read(config, flags.ARCH.value)
    devices = jax.devices()
    batch = _STEP.value or 128 * len(devices)
    if batch > len(split.paths):
        raise ValueError(f"--batch_size={batch}: there are {len(split.paths):,} training images")
    if batch % len(devices):
        raise ValueError(f"--batch_size={batch}: give a multiple of the {len(devices)} devices")
    recipe = Recipe(
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
    net = Static(config, arch, nnx.Rngs(flags.SEED.value))
    pictures = Pictures(split, validation, size, batch, flags.THREADS.value)
    run = Retraining(
        folder,
        train_subnet.make(net, recipe, retraining.steps_per_epoch(pictures)),
        pictures,
        seed=flags.SEED.value,
        begun=summaries.read(folder / "settings.json", "settings"),
    )
    if run.done:
        console.note(f"{folder}: resuming after step {run.done:,}")
    progress = functools.partial(_progress, recipe.epochs)
    with run_folder.locked(folder), console.stoppable("stopping after this step") as stop:
        console.note(f"{folder}: {_size(config, arch, size)}, {recipe.epochs} epochs")
        if not run.work(stop, progress, save_every=60 * _SAVE.value):
            return console.interrupted(stop)
    costs = {
        "multiply_adds": int(cost.multiply_adds(config, arch, size)),
        "parameters": int(cost.parameters(config, arch)),
    }
    accuracies = {"averaged": run.tested(True), "last": run.tested(False)}
    result = {**accuracies, **costs, "settings": settings}
    result |= {"device": provenance.device(), "versions": provenance.versions()}
    summaries.write(folder / "result.json", "training", result)
    top1, top5 = accuracies["averaged"].values()
    print(f"top-1 {top1:.2f} %, top-5 {top5:.2f} %")
    print(json.dumps(result))
    return 0


def _size(config, arch, size: int) -> str:
    millions = cost.multiply_adds(config, arch, size) / 1e6
    return f"{millions:.0f} M multiply-adds, {cost.parameters(config, arch):,} parameters"


def _folder(settings: dict[str, Any]) -> Path:
    """The folder --out, new or with the same training.

    Raises:
      IdentityError: it holds another training; names the settings that differ.
    """
    folder = Path(flags.needed(flags.OUT, "name the folder to write to"))
    names = ("settings.json", "log.csv", "result.json")
    run_folder.prepare(str(folder), "train", may_hold_one=True, names=names)
    path = folder / "settings.json"
    if not path.exists():
        summaries.write(path, "settings", settings | {"checkpoints": run_folder.CHECKPOINTS})
    stored = summaries.read(path, "settings")
    before = {name: value for name, value in stored.items() if name not in _NOT_SETTINGS}
    identity.check(f"--out={folder}", before, settings, do="name another folder")
    return folder


_NOT_SETTINGS = ("format", "checkpoints")


def _progress(epochs: int, state: retraining.Progress) -> None:
    console.note(
        f"epoch {state.epoch}/{epochs}, step {state.step:,}/{state.steps:,}: "
        f"loss {state.loss:.3f}, {state.images_per_second:.1f} images a second, "
        f"about {console.clock(state.left)} left"
    )
