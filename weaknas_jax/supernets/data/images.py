"""Images in ImageNet-style folders, read ahead by threads, in a deterministic order.

``ROOT/train`` and ``ROOT/val`` hold a folder for each class; classes are numbered in the order of
their folders' names, as usual. Preprocessing is the published one of the supernet: for
evaluation, the short side is resized to ``ceil(size / 0.875)`` and the centre cropped; for
recalibration, crops of random area and aspect, and flips. Images stay bytes until they are on the
device (`normalized`).

Needs the extra ``imagenet`` (Grain, Pillow). Known deviation: training images and their
crops are drawn by NumPy's generator, not by PyTorch's.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from weaknas_jax.core.conventions import with_conventions

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".ppm")
_SCALE, _ASPECT, _TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10


class ImagesError(ValueError):
    """Image folders with wrong content; the message names them."""


class Images(NamedTuple):
    """The images of a split.

    Attributes:
      classes: names of the folders, sorted.
      paths: paths of the images, sorted by class and name.
      labels: int32 [n], number of the class.
    """

    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: np.ndarray

    def take(self, indices: Sequence[int]) -> "Images":
        """The images at ``indices``, in this order."""
        return Images(self.classes, tuple(self.paths[i] for i in indices), self.labels[indices])


class Batch(NamedTuple):
    """Images of one size; the last batch of a split is padded.

    Attributes:
      images: uint8 [B, size, size, 3].
      labels: int32 [B].
      index: int32 [B], index in `Images`; -1 = padding.
      valid: bool [B], false for padding and unreadable images.
    """

    images: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    valid: np.ndarray


def find(root: str | os.PathLike, split: str) -> Images:
    """The images of ``root/split``.

    Raises:
      ImagesError: there is no such folder, or a class has no image.
    """
    top = Path(root) / split
    if not top.is_dir():
        raise ImagesError(
            f"{top}: no such folder; {split}/CLASS/IMAGE.JPEG is looked for in {root}"
        )
    names = sorted(entry.name for entry in os.scandir(top) if entry.is_dir())
    if not names:
        raise ImagesError(f"{top}: holds no folder; one for each class is needed")
    paths, labels = [], []
    for label, name in enumerate(names):
        files = [e.name for e in os.scandir(top / name) if e.name.lower().endswith(SUFFIXES)]
        if not files:
            raise ImagesError(f"{top / name}: this class has no image ({', '.join(SUFFIXES)})")
        paths += [top / name / image for image in sorted(files)]
        labels += [label] * len(files)
    return Images(tuple(names), tuple(paths), np.asarray(labels, np.int32))


def drawn(images: Images, count: int, seed: int) -> Images:
    """``count`` images (or all), drawn by ``seed`` in random order."""
    order = np.random.default_rng(seed).permutation(len(images.paths))
    return images.take(order[:count])


def centre(image, size: int):
    """The middle ``size`` by ``size`` of an image whose short side is made ``size / 0.875``."""
    short, (width, height) = math.ceil(size / 0.875), image.size
    if width <= height:
        scaled = short, int(short * height / width)
    else:
        scaled = int(short * width / height), short
    if scaled != image.size:
        image = image.resize(scaled, _bilinear())
    left, top = (round((side - size) / 2) for side in image.size)
    return image.crop((left, top, left + size, top + size))


def augmented(image, size: int, rng: np.random.Generator):
    """A crop of 8 to 100 % of the area and aspect 3/4 to 4/3, made ``size`` by ``size``; flips."""
    from PIL import Image

    image = image.crop(_box(*image.size, rng)).resize((size, size), _bilinear())
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def _box(width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    for _ in range(_TRIES):
        area = width * height * rng.uniform(*_SCALE)
        aspect = math.exp(rng.uniform(*np.log(_ASPECT)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            return int(left), int(top), int(left) + w, int(top) + h
    # A long image: the largest centre crop with an allowed aspect.
    w, h = min(width, round(height * _ASPECT[1])), min(height, round(width / _ASPECT[0]))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _bilinear():
    from PIL import Image

    return Image.Resampling.BILINEAR


class _Reader:
    """Reads image ``i`` as a row of a `Batch`."""

    def __init__(self, images: Images, size: int, seed=None, also=None, whole=None):
        self.images, self.size, self.seed, self.also = images, size, seed, also
        self.whole = whole or (lambda image: centre(image, size))

    def __call__(self, i: int) -> Batch:
        from PIL import Image

        try:
            with Image.open(self.images.paths[i]) as opened:
                image = opened.convert("RGB")
            if self.seed is None:
                image = self.whole(image)
            else:
                rng = np.random.default_rng((*self.seed, i))
                image = augmented(image, self.size, rng)
                image = self.also(image, rng) if self.also else image
            pixels, valid = np.asarray(image), True
        except Exception as error:  # a damaged file may fail anywhere in a decoder
            logging.warning("%s: cannot be read (%s)", self.images.paths[i], error)
            pixels, valid = np.zeros((self.size, self.size, 3), np.uint8), False
        return Batch(pixels, self.images.labels[i], np.int32(i), np.bool_(valid))


def batches(
    images: Images,
    size: int,
    batch: int,
    *,
    augment: int | Sequence[int] | None = None,
    also: Callable | None = None,
    order: Sequence[int] | None = None,
    threads: int | None = None,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """All images in batches of exactly ``batch``, in order.

    Args:
      images: what to read.
      size: side in pixels.
      batch: images in each; the last is padded.
      augment: seed of crops and flips, for recalibration and training; None = the centre. Image i
        gets the same crop whatever the order, the batch, the threads and the shard.
      also: further augmentation of a PIL image, with the image's generator (`augment`).
      order: indices of the images to read; by default all in order.
      threads: threads that read and decode ahead; by default one per core.
      shard: (number, of how many): this process's images are number, number + of, ...

    An image that cannot be read is logged by name and marked in ``valid``.
    """
    grain = _grain()
    (number, shards), seed = shard, augment
    seed = (seed,) if isinstance(seed, int) else seed
    reader = _Reader(images, size, seed, also)
    mine = (range(len(images.paths)) if order is None else list(map(int, order)))[number::shards]
    ahead = grain.ReadOptions(
        num_threads=threads or os.cpu_count() or 1, prefetch_buffer_size=max(2 * batch, 16)
    )
    rows = grain.MapDataset.source(mine).map(reader).to_iter_dataset(ahead)
    for part in rows.batch(batch):
        yield part if len(part.labels) == batch else _filled(part, batch)


def blank(batch: int, size: int) -> Batch:
    """A batch of padding only."""
    return Batch(
        np.zeros((batch, size, size, 3), np.uint8),
        np.zeros(batch, np.int32),
        np.full(batch, -1, np.int32),
        np.zeros(batch, bool),
    )


def _filled(part: Batch, batch: int) -> Batch:
    pad = blank(batch - len(part.labels), part.images.shape[1])
    return Batch(*map(np.concatenate, zip(part, pad, strict=True)))


def in_memory(images: Images, size: int) -> tuple[np.ndarray, np.ndarray]:
    """All readable images, resized: uint8 [n, size, size, 3], labels int32 [n]."""
    _grain()
    reader = _Reader(images, size, whole=lambda image: image.resize((size, size)))
    readable = [row for row in map(reader, range(len(images.paths))) if row.valid]
    return np.stack([row.images for row in readable]), np.stack([row.labels for row in readable])


@with_conventions
def normalized(images: jax.Array) -> jax.Array:
    """Bytes [..., 3] scaled to 0..1 and standardized by mean and deviation, as networks need."""
    return (images / jnp.float32(255) - jnp.asarray(MEAN)) / jnp.asarray(STD)


def _grain():
    try:
        import grain
        import PIL  # noqa: F401
    except ImportError as error:
        raise ImagesError(
            f"reading images needs Grain and Pillow: pip install -e '.[imagenet]' ({error})"
        ) from None
    return grain
