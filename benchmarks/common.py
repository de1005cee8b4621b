"""What several benchmarks measure with and on."""

import time

import jax
import numpy as np

from weaknas_jax import load_nasbench201


def timed(function, *arguments):
    """Seconds until the result is there, and the result."""
    began = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return time.perf_counter() - began, result


def spread(values) -> str:
    """Median (min..max)."""
    values = np.asarray(values)
    return f"{np.median(values):6.2f} ({values.min():.2f}..{values.max():.2f})"


def labelled() -> tuple[np.ndarray, np.ndarray]:
    """NAS-Bench-201 / CIFAR-10: encoding [N, D] and labels [N] of variance one, float32."""
    table = load_nasbench201("cifar10")
    y = table.valid_mean
    return table.encoding, ((y - y.mean()) / y.std()).astype(np.float32)
