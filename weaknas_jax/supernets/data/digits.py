"""Small images made from the handwritten digits of scikit-learn: a task without downloads.

The class is that of one digit, randomly rotated, scaled and placed, among halves of other digits,
in random colours, on a smooth background, with noise. After the cluttered MNIST of Mnih
et al. (2014), from the 1,797 digits of 8x8 pixels of Alpaydin and Kaynak (1998), which come with
scikit-learn.
"""

from typing import Any, Literal

import numpy as np

Split = Literal["train", "validation", "test"]
SPLITS: dict[str, float] = {"train": 0.6, "validation": 0.2, "test": 0.2}
SIDE, CLASSES, SOURCES = 32, 10, 1797
_CHUNK, _HALVES = 1000, 3


def sources(seed: int, split: Split) -> np.ndarray:
    """Indices of scikit-learn's digits for a split, int64 [n]; splits are disjoint."""
    shares = np.cumsum([0.0, *SPLITS.values()])
    start, stop = (shares[list(SPLITS).index(split) + end] for end in (0, 1))
    order = np.random.default_rng(seed).permutation(SOURCES)
    return order[round(start * SOURCES) : round(stop * SOURCES)]


def make(seed: int, split: Split, count: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` images of a split, uint8 [n, 32, 32, 3], and their labels, int32 [n].

    Raises:
      ModuleNotFoundError: scikit-learn is missing.
      ValueError: the split is unknown.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split}: choose one of {', '.join(SPLITS)}")
    ink, digit = _digits()
    chosen = sources(seed, split)
    rng = np.random.default_rng([seed, list(SPLITS).index(split)])
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    labels = np.empty(count, np.int32)
    for at in range(0, count, _CHUNK):
        which = rng.choice(chosen, min(_CHUNK, count - at))
        labels[at : at + _CHUNK] = digit[which]
        halves = [ink[rng.choice(chosen, len(which))] for _ in range(_HALVES)]
        images[at : at + _CHUNK] = _painted(rng, ink[which], halves)
    return images, labels


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Ink in [0, 1] with an empty margin, float32 [1797, 10, 10], and the digits [1797]."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the demo's images are made from scikit-learn's digits: pip install -e '.[demo]'"
        ) from error
    source: Any = load_digits()
    return np.pad(source.images.astype(np.float32) / 16, ((0, 0), (1, 1), (1, 1))), source.target


def _painted(rng: np.random.Generator, ink: np.ndarray, halves: list[np.ndarray]) -> np.ndarray:
    """Images, uint8 [n, 32, 32, 3], of digits [n, 10, 10] and distractors."""
    n = len(ink)
    across = np.linspace(-1, 1, SIDE, dtype=np.float32)
    ground = rng.uniform(40, 170, (n, 1, 1, 3)).astype(np.float32)
    slope = rng.uniform(-40, 40, (2, n, 1, 1, 3)).astype(np.float32)
    image = ground + slope[0] * across[:, None, None] + slope[1] * across[:, None]
    for half in halves:
        image = _over(rng, image, _placed(rng, half, (8, 14), 14, cut=True), ground, (-1, 1))
    image = _over(rng, image, _placed(rng, ink, (16, 26), 4, cut=False), ground, (1,))
    noise = rng.standard_normal(image.shape, np.float32)
    return np.clip(image + 12 * noise, 0, 255).astype(np.uint8)


def _over(
    rng: np.random.Generator, image: np.ndarray, cover: np.ndarray, ground: np.ndarray, signs: tuple
) -> np.ndarray:
    """``image`` with ``cover`` [n, 32, 32] painted in a colour distinct from the ground."""
    sign = rng.choice(signs, (len(image), 1, 1, 1))
    difference = sign * rng.uniform(60, 130, sign.shape) + 25 * rng.standard_normal(
        (*sign.shape[:3], 3)
    )
    color = np.clip(ground + difference, 0, 255).astype(np.float32)
    return image + cover[..., None] * (color - image)


def _placed(
    rng: np.random.Generator, ink: np.ndarray, sizes: tuple[int, int], reach: float, cut: bool
) -> np.ndarray:
    """Coverage [n, 32, 32] of digits [n, 10, 10], interpolated linearly.

    Args:
      rng: draws rotation, size and position.
      ink: the digits.
      sizes: smallest and largest side, pixels.
      reach: largest offset of the centre in each direction, pixels.
      cut: keeps only half of each digit, along a random line.
    """
    n, single = len(ink), np.float32
    turn = rng.uniform(-0.35, 0.35, (n, 1, 1)).astype(single)
    scale = (8 / rng.uniform(*sizes, (n, 1, 1))).astype(single)
    middle = rng.uniform(-reach, reach, (2, n, 1, 1)).astype(single)
    pixels = np.arange(SIDE, dtype=single) - (SIDE - 1) / 2
    down, right = pixels[:, None] - middle[0], pixels - middle[1]
    y = scale * (np.cos(turn) * down - np.sin(turn) * right)
    x = scale * (np.sin(turn) * down + np.cos(turn) * right)
    rows, columns = (np.clip(part + single(4.5), 0, single(8.999)) for part in (y, x))
    i, j = rows.astype(np.int32), columns.astype(np.int32)
    v, u = rows - i, columns - j
    flat, at = ink.ravel(), np.arange(n)[:, None, None] * 100 + 10 * i + j
    above = flat[at] * (1 - u) + flat[at + 1] * u
    below = flat[at + 10] * (1 - u) + flat[at + 11] * u
    cover = above * (1 - v) + below * v
    if cut:
        angle = rng.uniform(0, 2 * np.pi, (n, 1, 1)).astype(single)
        cover = cover * (np.cos(angle) * y + np.sin(angle) * x > 0)
    return cover
