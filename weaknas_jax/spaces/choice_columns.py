"""Encoding and feature blocks of codes: options one-hot, ordered ones by position in [0, 1].

Where that takes more than `WIDEST` columns, a categorical of more than `SIGNS` options is encoded
by `SIGNS` random signs instead: two options are then nearly as far apart as one-hot ones, and no
two are equal.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from weaknas_jax.core import scaling
from weaknas_jax.core.types import Space
from weaknas_jax.spaces import columns as generic
from weaknas_jax.spaces.choice import Choice
from weaknas_jax.spaces.columns import Slot

WIDEST, SIGNS = 4096, 64


def space_of(choices: Sequence[Choice], codes: np.ndarray) -> Space:
    """Encoding and feature blocks of codes [N, choices]."""
    total = sum(len(choice.options) for choice in choices if not choice.ordered)
    columns, slots = [], []
    for choice, code in zip(choices, codes.T, strict=True):
        levels = len(choice.options)
        if choice.ordered:
            place = np.where(code < 0, 0.5, code / max(1, levels - 1))
            columns.append(place[:, None])
            few = levels <= generic.WIDEST
            one_hot = np.equal.outer(code, range(levels)).astype(np.float64) if few else None
            alike = choice.options if few else None
            slots.append(Slot(one_hot, place, number=True, alike=alike))
            if choice.conditional:
                active = np.eye(2)[(code >= 0).astype(int)]
                columns.append(active[:, 1:])
                slots.append(Slot(active))
        elif total > WIDEST and levels > SIGNS:
            signs = _signs(levels)[code]  # -1 = inactive: the last row
            columns.append(signs)
            slots.append(Slot(signs))
        else:
            one_hot = np.equal.outer(code, [*range(levels), -1]).astype(np.float64)
            columns.append(one_hot[:, :levels])
            every = one_hot if choice.conditional else columns[-1]
            slots.append(Slot(every, _place(choice, code), alike=choice.options))
    return _space(np.hstack(columns), slots)


def space_of_numbers(encoding: np.ndarray) -> Space:
    """Encoding and feature blocks of a user's own encoding [N, D]."""
    low, high = encoding.min(axis=0), encoding.max(axis=0)
    places = (encoding - low) / np.where(high > low, high - low, 1.0)
    return _space(encoding, [Slot(None, place, number=True) for place in places.T])


def _space(encoding: np.ndarray, slots: Sequence[Slot]) -> Space:
    features = generic.blocks(slots, len(encoding))
    features = {name: jnp.asarray(block) for name, block in features.items()}
    return Space(jnp.asarray(scaling.to_float32(encoding)), features, preset=generic.PRESET)


def _place(choice: Choice, code: np.ndarray) -> np.ndarray | None:
    """Positions [N] of unordered options that are numbers; their order may still mean something."""
    if not choice.numeric or len(choice.options) < 2:
        return None
    ranks = np.argsort(np.argsort(choice.options)) / (len(choice.options) - 1)
    return np.where(code < 0, 0.5, ranks[code])


def _signs(levels: int) -> np.ndarray:
    """Random signs, float32 [levels + 1, SIGNS], scaled to the distance of one-hot rows."""
    bits = np.random.default_rng(levels).integers(0, 2, (levels + 1, SIGNS), np.int8)
    return (2.0 * bits - 1.0).astype(np.float32) / np.float32(SIGNS**0.5)
