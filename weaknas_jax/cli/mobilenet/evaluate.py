"""Measure the accuracy that a sub-network inherits from the supernet, on ImageNet-like folders.

    weaknas mobilenet evaluate --weights=FILE --imagenet=DIR --arch=NAME|FILE

recalibrates the batch-norm statistics of a sub-network on training images and measures its top-1
and top-5 accuracy on the validation images; the last line is JSON. DIR holds ``train`` and ``val``
with a folder for each class; FILE is a published PyTorch file (extra ``official``) or the output of
``convert``. Reading images needs the extra ``imagenet``.
"""

import functools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from weaknas_jax.cli import console
from weaknas_jax.cli.mobilenet import flags
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import cost
from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.supernets import evaluation
from weaknas_jax.supernets.data import images
from weaknas_jax.supernets.mobilenet import evaluate, weights
from weaknas_jax.supernets.mobilenet.supernet import default_how

SHARED = ("width", "image_size", "arch", *flags.IMAGE_FLAGS)
"""The shared flags (`flags`) that this command reads."""
_EVERY = 20.0  # seconds between lines of progress


def main() -> int:
    source, config = flags.needed(flags.WEIGHTS, "name a file or folder"), flags.supernet()
    config.check_image_size(flags.SIZE.value)
    arch = archs.read(config, flags.ARCH.value)
    validation = flags.split("val", config.classes, flags.IMAGES.value)
    recalibrate = flags.RECALIBRATE.value
    train = flags.split("train", config.classes, recalibrate) if recalibrate else None
    net, how = weights.read(source, config), flags.HOW.value or default_how()
    batch_statistics = jax.jit(functools.partial(evaluate.statistics, how=how))
    console.note("compiling ...")
    count = jax.jit(functools.partial(evaluate.count, how=how)).lower(
        net, arch, images.blank(flags.BATCH.value, flags.SIZE.value)
    )
    count = count.compile()
    broken: list[str] = []
    with console.stoppable("stopping after this batch") as stop:
        if train is not None:
            batches = read_images(
                train, "recalibration", stop, broken, augment=flags.DATA_SEED.value
            )
            net = evaluate.recalibrated(net, arch, batches, batch_statistics)
        if stop():
            return console.fail("interrupted before any image was evaluated", stop.code)
        start = time.monotonic()
        batches = read_images(validation, "validation", stop, broken)
        totals = evaluation.total(count(net, arch, batch) for batch in batches)
        seconds = time.monotonic() - start
    return _report(config, arch, totals, len(validation.paths), seconds, broken, stop)


def read_images(
    split: images.Images,
    what: str,
    stop: Callable[[], bool],
    broken: list[str],
    augment: int | None = None,
) -> Iterator[images.Batch]:
    """Batches until ``stop``, with progress; appends paths of unreadable images to ``broken``."""
    start = last = time.monotonic()
    done, first, total = 0, 0, len(split.paths)
    size, threads = flags.SIZE.value, flags.THREADS.value
    for batch in images.batches(split, size, flags.BATCH.value, augment=augment, threads=threads):
        yield batch
        done += int((batch.index >= 0).sum())
        unread = batch.index[(batch.index >= 0) & ~batch.valid]
        broken += [str(split.paths[i]) for i in unread]
        now = time.monotonic()
        if not first:  # includes compilation: start measuring the rate here
            start, first = now, done
        elif now - last > _EVERY or done == total or stop():
            last, rate = now, (done - first) / (now - start)
            left = console.clock((total - done) / rate)
            line = f"{what}: {done:,}/{total:,} images, {rate:.1f} a second"
            console.note(line if done == total else f"{line}, about {left} left")
        if stop():
            return


def _report(
    config: SupernetConfig,
    arch: archs.Arch,
    totals: evaluation.Counts,
    wanted: int,
    seconds: float,
    broken: list[str],
    stop: console.Stop,
) -> int:
    if not totals.images:
        return console.fail(f"none of {wanted:,} validation images can be read: {broken[:3]}", 1)
    shares = {name: 100 * getattr(totals, name) / totals.images for name in ("top1", "top5")}
    result: dict[str, Any] = {
        "arch": json.loads(archs.to_json(arch)),
        "name": flags.ARCH.value,
        "weights": flags.WEIGHTS.value,
        "width": float(flags.WIDTH.value),
        "image_size": flags.SIZE.value,
        "multiply_adds": int(cost.multiply_adds(config, arch, flags.SIZE.value)),
        "parameters": int(cost.parameters(config, arch)),
        "recalibrated_on": flags.RECALIBRATE.value,
        "batch": flags.BATCH.value,
        "data_seed": flags.DATA_SEED.value,
        "images": totals.images,
        **shares,
        "images_per_second": totals.images / seconds,
        "unreadable": broken,
    }
    for path in broken:
        console.note(f"skipped, cannot be read: {path}")
    counted = f"{totals.images:,} of {wanted:,} validation images"
    top1, top5 = shares.values()
    print(f"{flags.ARCH.value}: top-1 {top1:.2f} %, top-5 {top5:.2f} % of {counted}")
    print(json.dumps(result))
    if stop():
        return console.fail("interrupted: the result covers only the images read so far", stop.code)
    return 0
