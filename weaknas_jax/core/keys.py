"""Keys of random numbers: one for each run, purpose and round.

The key of run i of a root seed is ``fold_in(key(seed), i)``; its use for a purpose in round t is
``fold_in(fold_in(key, purpose), t)``. A run therefore makes the same queries alone, in any batch
and on any number of devices, and the initial architectures of run i do not depend on the method.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from weaknas_jax.core.conventions import with_conventions

DESIGN, SAMPLE, FIT, LABELS, ACQUIRE, REPEAT = range(6)  # purposes of a run's key

_JITTER = 1e-5  # breaks ties of equal predictions, by the run's key and not by the row number


@with_conventions
def run_keys(seed: int, runs: Sequence[int]) -> jax.Array:
    """Key [S] of each run: ``fold_in(key(seed), run)``, threefry whatever the global default.

    >>> bool(run_keys(0, [3, 7])[1] == run_keys(0, [7])[0])
    True
    """
    root = jax.random.key(seed, impl="threefry2x32")
    return jnp.stack([jax.random.fold_in(root, int(run)) for run in runs])


def key_for(key: jax.Array, purpose: int, round_: jax.Array | int = 0) -> jax.Array:
    """The key of a purpose in a round of a run; ``key`` is the run's."""
    return jax.random.fold_in(jax.random.fold_in(key, purpose), round_)


def jitter(key: jax.Array, size: int) -> jax.Array:
    """Uniform numbers in [0, 1e-5), float32 [size]: a hash of row and key (murmur3's last step).

    `jax.random` would take as long as the rest of a round of a Gaussian process.
    """
    start, stride = jax.random.bits(key, (2,), jnp.uint32)
    bits = jnp.arange(size, dtype=jnp.uint32) * (stride | 1) + start
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        bits = (bits ^ (bits >> 16)) * jnp.uint32(factor)
    return _JITTER * 2.0**-32 * (bits ^ (bits >> 16)).astype(jnp.float32)
