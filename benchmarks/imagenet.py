"""What bounds an evaluation: reading and decoding images, or the network.

    python -m benchmarks.imagenet > benchmarks/results/imagenet-cpu.txt

JPEG files of 500 x 375, as large as ImageNet's, are read at 236 pixels by one and by all threads;
then the network alone; then both as `experiments.mobilenet` does it. Idle: the share of the whole
time for which the device has nothing to do.
"""

import os
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from absl import app, flags
from flax import nnx
from PIL import Image

from weaknas_jax.core import plan
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config
from weaknas_jax.supernets.data import images
from weaknas_jax.supernets.mobilenet import evaluate
from weaknas_jax.supernets.mobilenet.supernet import Supernet

_IMAGES = flags.DEFINE_integer("images", 800, "How many.")
_BATCH = flags.DEFINE_integer("batch", 100, "Images in a batch.")
_SIZE = flags.DEFINE_integer("size", 236, "Side of the images.")


def folder(root: Path, count: int) -> None:
    """A class of images with details, so that they compress as photographs do."""
    rng = np.random.default_rng(0)
    (root / "val" / "n0").mkdir(parents=True)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
        pixels = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(pixels + rng.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(root / "val" / "n0" / f"{i:05d}.JPEG", quality=90)


def main(_):
    device = jax.devices()[0].device_kind
    count, batch, size = _IMAGES.value, _BATCH.value, _SIZE.value
    print(f"{device} ({plan.cores()} cores), JAX {jax.__version__}; images a second at {size} px")
    with tempfile.TemporaryDirectory() as scratch:
        folder(Path(scratch), count)
        found = images.find(scratch, "val")
        kib = np.mean([path.stat().st_size for path in found.paths]) / 1024
        print(f"{count} JPEG files of 500 x 375, {kib:.0f} KiB each")
        for threads in sorted({1, os.cpu_count()}):
            began = time.perf_counter()
            read = list(images.batches(found, size, batch, threads=threads))
            print(f"reading alone, {threads} threads: {count / (time.perf_counter() - began):.1f}")
        wide = config.mobilenet_v3(1.2)
        net = jax.jit(lambda: Supernet(wide, nnx.Rngs(0)))()
        arch = archs.named(wide, "weaknas_1000")
        run = jax.jit(evaluate.count).lower(net, arch, read[0]).compile()
        jax.block_until_ready(run(net, arch, read[0]))
        began = time.perf_counter()
        for one in read:
            jax.block_until_ready(run(net, arch, one))
        alone = time.perf_counter() - began
        print(f"the network alone: {count / alone:.1f}")
        began = time.perf_counter()
        for one in images.batches(found, size, batch):
            jax.block_until_ready(run(net, arch, one))
        both = time.perf_counter() - began
        print(f"both: {count / both:.1f}; the network alone takes {alone / both:.2f} of that time")


if __name__ == "__main__":
    app.run(main)
