"""Accuracy of sub-networks of the Once-for-all MobileNetV3 supernet on ImageNet.

    python -m experiments.mobilenet evaluate --weights=FILE --imagenet=DIR --arch=NAME|FILE

recalibrates the batch-norm statistics of a sub-network on training images and counts its top-1 and
top-5 on the validation images; the last line is JSON. DIR holds ``train`` and ``val`` with a folder
for each class; FILE is a published PyTorch file (extra ``official``) or what

    python -m experiments.mobilenet convert --weights=FILE --out=FOLDER

has made of it, which needs no PyTorch. Reading images needs the extra ``imagenet``.

    python -m experiments.mobilenet pool --oracle=FILE --out=pool.npz
    python -m experiments.nasbench --table=pool.npz

searches a pool of sub-networks by an accuracy predictor instead of images: no measurement.
"""

import functools
import json
import time
from collections.abc import Iterator
from typing import Any

import jax
from absl import app, flags, logging

from experiments import console
from weaknas_jax.checkpoint import CheckpointError
from weaknas_jax.supernet import arch as archs
from weaknas_jax.supernet import config, cost, evaluate, images, oracle, weights
from weaknas_jax.supernet import pool as pools
from weaknas_jax.supernet.supernet import default_how
from weaknas_jax.tables.store import Table, TableError, save_table

_WEIGHTS = flags.DEFINE_string("weights", None, "PyTorch file, or folder made by convert.")
_IMAGENET = flags.DEFINE_string("imagenet", None, "Folder with train/CLASS/* and val/CLASS/*.")
_ARCH = flags.DEFINE_string("arch", "max", f"{', '.join(archs.NAMES)}, or a JSON file.")
_OUT = flags.DEFINE_string("out", None, "Folder that convert, table that pool writes.")
_WIDTH = flags.DEFINE_enum("width", "1.2", ["1.0", "1.2"], "Width multiplier of the supernet.")
_int = flags.DEFINE_integer
_SIZE = _int("image_size", 236, "Side of the images in pixels.", lower_bound=1, upper_bound=4096)
_help = "Images in a pass. Statistics are means of batches of this size: it belongs to the result."
_BATCH = _int("batch", 200, _help, lower_bound=1)
_help = (
    "Training images to recalibrate on; 0 = the stored statistics, those of the largest network."
)
_RECALIBRATE = _int("recalibrate", 2000, _help, lower_bound=0)
_help = "Validation images, drawn by --seed; default: all."
_IMAGES = _int("images", None, _help, lower_bound=1)
_SEED = _int("seed", 0, "Of the training images drawn, their crops, and --images.", lower_bound=0)
_help = "Threads that read and decode images; default: one for each core."
_WORKERS = _int("workers", None, _help, lower_bound=1)
_help = (
    "How the supernet runs; default: branches on a CPU, masks elsewhere. The result is the same."
)
_HOW = flags.DEFINE_enum("how", None, ["branches", "masks"], _help)
_ORACLE = flags.DEFINE_string("oracle", None, "pool: accuracy predictor of OFA (.npz).")
_help = "pool: image size that the oracle is asked about; --image_size is that of the window."
_ORACLE_SIZE = _int("oracle_size", 224, _help)
_help = "pool: window of millions of multiply-adds, low,high."
_FLOPS = flags.DEFINE_list("flops", ["550", "600"], _help)
_COUNT = _int("count", 10_000, "pool: how many sub-networks.", lower_bound=1)
_help = "pool: columns; one_hot leaves out what is not active, org are the reference's 45 numbers."
_ENCODING = flags.DEFINE_enum("encoding", "one_hot", ["one_hot", "org"], _help)
_EVERY = 20.0  # seconds between lines of progress


def main(argv: list[str]) -> int:
    commands = {"evaluate": _evaluate, "convert": _convert, "pool": _pool}
    if len(argv) != 2 or argv[1] not in commands:
        return console.fail(f"name one command: {', '.join(commands)}")
    if _WEIGHTS.value is None and argv[1] != "pool":
        return console.fail("--weights: name a PyTorch file, or a folder that convert has made")
    logging.set_verbosity(logging.WARNING)
    try:
        return commands[argv[1]](config.mobilenet_v3(float(_WIDTH.value), _SIZE.value))
    except (ValueError, TableError, CheckpointError) as error:
        return console.fail(str(error))


def _convert(wide: config.SupernetConfig) -> int:
    if _OUT.value is None:
        return console.fail("--out: name the folder to write to")
    weights.save(_OUT.value, weights.read(_WEIGHTS.value, wide))
    print(_OUT.value)
    return 0


def _pool(wide: config.SupernetConfig) -> int:
    for flag in (_ORACLE, _OUT):
        if flag.value is None:
            return console.fail(f"--{flag.name}: name a file")
    try:
        low, high = map(float, _FLOPS.value)
    except ValueError:
        return console.fail(f"--flops={','.join(_FLOPS.value)}: give two numbers, low,high")
    layers, encode = oracle.read(_ORACLE.value), {"one_hot": pools.one_hot, "org": _org}
    found = pools.draw(wide, _SEED.value, _COUNT.value, pools.Window(low, high), _SIZE.value)
    table = Table(
        space="mobilenet_v3",
        dataset=f"oracle{_ORACLE_SIZE.value}",
        encoding=encode[_ENCODING.value](wide, found),
        valid=oracle.predict(layers, wide, found, _ORACLE_SIZE.value)[:, None],
        names=pools.names(found),
        extra={
            "multiply_adds": cost.multiply_adds(wide, found, _SIZE.value),
            "params": cost.parameters(wide, found),
        },
        source="predicted by the accuracy predictor of Once-for-all, not measured",
    )
    save_table(_OUT.value, table)
    print(_OUT.value)
    return 0


def _org(wide: config.SupernetConfig, population: archs.Arch):
    del wide
    return archs.encode(population)


def _evaluate(wide: config.SupernetConfig) -> int:
    if _IMAGENET.value is None:
        return console.fail("--imagenet: name the folder that holds train and val")
    wide.check_image_size(_SIZE.value)
    arch = archs.read(wide, _ARCH.value)
    tested = _split("val", wide, _IMAGES.value)
    train = _split("train", wide, _RECALIBRATE.value) if _RECALIBRATE.value else None
    net, how = weights.read(_WEIGHTS.value, wide), _HOW.value or default_how()
    of_batch = jax.jit(functools.partial(evaluate.statistics, how=how))
    console.note("compiling ...")
    count = jax.jit(functools.partial(evaluate.count, how=how)).lower(
        net, arch, images.blank(_BATCH.value, _SIZE.value)
    )
    count = count.compile()
    broken: list[str] = []
    with console.stoppable("stopping after this batch") as stop:
        if train is not None:
            batches = _read(train, "recalibration", stop, broken, augment=_SEED.value)
            net = evaluate.recalibrated(net, arch, batches, of_batch)
        if stop():
            return console.fail("interrupted before anything was counted", stop.code)
        totals, begun = evaluate.Counts(0, 0, 0), time.monotonic()
        for batch in _read(tested, "validation", stop, broken):
            found = count(net, arch, batch)
            totals = evaluate.Counts(*(a + int(b) for a, b in zip(totals, found, strict=True)))
        seconds = time.monotonic() - begun
    return _report(wide, arch, totals, len(tested.paths), seconds, broken, stop)


def _split(name: str, wide: config.SupernetConfig, count: int | None) -> images.Images:
    found = images.find(_IMAGENET.value, name)
    if len(found.classes) != wide.classes:
        folder = f"{_IMAGENET.value}/{name}"
        raise images.ImagesError(
            f"{folder}: {len(found.classes)} class folders, and the network has {wide.classes}"
        )
    return found if count is None else images.drawn(found, count, _SEED.value)


def _read(
    split: images.Images,
    what: str,
    stop: console.Stop,
    broken: list[str],
    augment: int | None = None,
) -> Iterator[images.Batch]:
    """Batches until ``stop``, with progress; names of images that cannot be read go to broken."""
    begun = last = time.monotonic()
    done, first, total = 0, 0, len(split.paths)
    size, threads = _SIZE.value, _WORKERS.value
    for batch in images.batches(split, size, _BATCH.value, augment=augment, threads=threads):
        yield batch
        done += int((batch.index >= 0).sum())
        unread = batch.index[(batch.index >= 0) & ~batch.valid]
        broken += [str(split.paths[i]) for i in unread]
        now = time.monotonic()
        if not first:  # it waited for the compiler too: no rate to reckon from
            begun, first = now, done
        elif now - last > _EVERY or done == total or stop():
            last, rate = now, (done - first) / (now - begun)
            left = console.clock((total - done) / rate)
            line = f"{what}: {done:,}/{total:,} images, {rate:.1f} a second"
            console.note(line if done == total else f"{line}, about {left} left")
        if stop():
            return


def _report(
    wide: config.SupernetConfig,
    arch: archs.Arch,
    totals: evaluate.Counts,
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
        "name": _ARCH.value,
        "weights": _WEIGHTS.value,
        "width": float(_WIDTH.value),
        "image_size": _SIZE.value,
        "multiply_adds": int(cost.multiply_adds(wide, arch, _SIZE.value)),
        "parameters": int(cost.parameters(wide, arch)),
        "recalibrated_on": _RECALIBRATE.value,
        "batch": _BATCH.value,
        "seed": _SEED.value,
        "images": totals.images,
        **shares,
        "images_per_second": totals.images / seconds,
        "unreadable": broken,
    }
    for path in broken:
        console.note(f"left out, cannot be read: {path}")
    counted = f"{totals.images:,} of {wanted:,} validation images"
    print(f"{_ARCH.value}: top-1 {shares['top1']:.2f} %, top-5 {shares['top5']:.2f} % of {counted}")
    print(json.dumps(result))
    if stop():
        return console.fail("interrupted: this is of what was read until then", stop.code)
    return 0


if __name__ == "__main__":
    app.run(main)
