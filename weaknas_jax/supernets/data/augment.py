"""Augmentation of the retraining recipe: RandAugment on images, random erasing on the device.

RandAugment (Cubuk et al., 2020) as timm's ``rand-m9-mstd0.5``: two operations an image, each done
with probability 1/2, at a magnitude drawn from N(9, 0.5) within 0..10, in timm's ranges. Random
erasing (Zhong et al., 2020) as timm's ``pixel`` mode: a rectangle of normal noise.
Known deviation: bilinear where timm draws bilinear or bicubic.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax.core.conventions import with_conventions

MAGNITUDE, DEVIATION, OPERATIONS, CHANCE = 9.0, 0.5, 2, 0.5
FILL = (124, 116, 104)  # mean colour of ImageNet
_AREA, _ASPECT, _TRIES = (0.02, 1 / 3), (0.3, 1 / 0.3), 10


def rand_augment(image: Any, rng: np.random.Generator) -> Any:
    """Applies `OPERATIONS` random operations to a PIL image."""
    for name in rng.choice(list(OPERATORS), OPERATIONS):
        level = float(np.clip(rng.normal(MAGNITUDE, DEVIATION), 0, 10))
        sign = -1 if rng.random() < 0.5 else 1
        if rng.random() < CHANCE:
            image = OPERATORS[name](image, level, sign)
    return image


def _ops():
    from PIL import ImageOps

    return ImageOps


def _enhanced(kind: str) -> Callable:
    def operate(image, level, sign):
        from PIL import ImageEnhance

        return getattr(ImageEnhance, kind)(image).enhance(0.1 + 0.18 * level)

    return operate


def _affine(matrix: Callable[[Any, float], tuple]) -> Callable:
    def operate(image, level, sign):
        from PIL import Image

        arguments = Image.Transform.AFFINE, matrix(image, sign * level / 10)
        return image.transform(image.size, *arguments, Image.Resampling.BILINEAR, fillcolor=FILL)

    return operate


def _rotate(image, level, sign):
    from PIL import Image

    return image.rotate(sign * 3 * level, Image.Resampling.BILINEAR, fillcolor=FILL)


def _solarize_add(image, level, sign):
    """Brightens values below 128."""
    increment = int(11 * level)
    table = [min(255, value + increment) if value < 128 else value for value in range(256)]
    return image.point(table * 3)


OPERATORS: dict[str, Callable[[Any, float, int], Any]] = {
    "AutoContrast": lambda image, level, sign: _ops().autocontrast(image),
    "Equalize": lambda image, level, sign: _ops().equalize(image),
    "Invert": lambda image, level, sign: _ops().invert(image),
    "Rotate": _rotate,
    "Posterize": lambda image, level, sign: _ops().posterize(image, int(0.4 * level)),
    "Solarize": lambda image, level, sign: _ops().solarize(image, min(256, int(25.6 * level))),
    "SolarizeAdd": _solarize_add,
    "Color": _enhanced("Color"),
    "Contrast": _enhanced("Contrast"),
    "Brightness": _enhanced("Brightness"),
    "Sharpness": _enhanced("Sharpness"),
    "ShearX": _affine(lambda image, share: (1, 0.3 * share, 0, 0, 1, 0)),
    "ShearY": _affine(lambda image, share: (1, 0, 0, 0.3 * share, 1, 0)),
    "TranslateX": _affine(lambda image, share: (1, 0, 0.45 * share * image.size[0], 0, 1, 0)),
    "TranslateY": _affine(lambda image, share: (1, 0, 0, 0, 1, 0.45 * share * image.size[1])),
}
"""Operations by name: (RGB image, magnitude 0..10, direction) -> image."""


@with_conventions
def erased(key: jax.Array, images: jax.Array, probability: float = 0.2) -> jax.Array:
    """Replaces a rectangle by normal noise in a random share of images [B, H, W, 3].

    It covers 2 % to a third of the image, with height to width from 0.3 to 3.3. May be traced; the
    draw of image b depends only on ``key`` and b.
    """
    return jax.vmap(lambda k, image: _erased(k, image, probability))(
        jax.random.split(key, len(images)), images
    )


def _erased(key: jax.Array, image: jax.Array, probability: float) -> jax.Array:
    (height, width), keys = image.shape[:2], jax.random.split(key, 6)
    area = height * width * jax.random.uniform(keys[0], (_TRIES,), minval=_AREA[0], maxval=_AREA[1])
    log_aspect = jax.random.uniform(
        keys[1], (_TRIES,), minval=math.log(_ASPECT[0]), maxval=math.log(_ASPECT[1])
    )
    h = jnp.round(jnp.sqrt(area * jnp.exp(log_aspect))).astype(jnp.int32)
    w = jnp.round(jnp.sqrt(area / jnp.exp(log_aspect))).astype(jnp.int32)
    fits = (h < height) & (w < width)
    first = jnp.argmax(fits)
    h, w = h[first], w[first]
    top = jax.random.randint(keys[2], (), 0, jnp.maximum(1, height - h + 1))
    left = jax.random.randint(keys[3], (), 0, jnp.maximum(1, width - w + 1))
    y, x = jnp.arange(height)[:, None], jnp.arange(width)
    inside = (y >= top) & (y < top + h) & (x >= left) & (x < left + w)
    inside &= fits[first] & (jax.random.uniform(keys[4]) < probability)
    noise = jax.random.normal(keys[5], image.shape, image.dtype)
    return jnp.where(inside[..., None], noise, image)
