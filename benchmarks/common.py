"""What several benchmarks measure with and on."""

import time

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.neural_network import MLPRegressor

from weaknas_jax import load_nasbench201

HIDDEN = (1000, 1000, 1000, 1000)  # of the paper's MLP


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


class Twin(MLPRegressor):
    """scikit-learn's regressor with the paper's settings, from given weights."""

    def __init__(self, params):
        super().__init__(hidden_layer_sizes=HIDDEN, max_iter=100)
        self.params = params

    def _initialize(self, y, layer_units, dtype):
        super()._initialize(y, layer_units, dtype)
        self.coefs_ = [np.array(w, dtype) for w, _ in self.params]
        self.intercepts_ = [np.array(b, dtype) for _, b in self.params]


def matmul_limit(rows: int, repeats: int = 9) -> tuple[float, float]:
    """GFLOP/s of [rows, 1000] @ [1000, 1000] in float32, the fastest of a few: NumPy's, JAX's."""
    rng = np.random.default_rng(0)
    a, b = rng.random((rows, 1000), np.float32), rng.random((1000, 1000), np.float32)
    compiled, ja, jb = jax.jit(jnp.matmul), jnp.asarray(a), jnp.asarray(b)
    compiled(ja, jb).block_until_ready()
    times = [(timed(np.matmul, a, b)[0], timed(compiled, ja, jb)[0]) for _ in range(repeats)]
    return tuple(2e6 * rows / np.min(times, axis=0) / 1e9)
