"""NASBOWL's predictor: a Gaussian process on labels of subgraphs (Ru et al., ICLR 2021).

Two cells are alike where they share refined labels (`graph_arrays.refined_labels`; the kernel of
Shervashidze et al., 2011). With c(x, l) the number of nodes of each label at level l, for depth h

    k_h(x, x') = sum over l = 0 ... h of <c(x, l), c(x', l)>        (``dot``)
                 or of the sums of min(c(x, l), c(x', l))           (``oa``, Kriege et al., 2016)

scaled so that k_h(x, x) = 1. A cell and an isomorphic one have k_h = 1 at all depths.

*Clean*, the default, has one process for each depth and each noise of `NOISES`. The variance s of
its function has an inverse gamma prior, one label of squared error one, so that n labels y are
distributed as Student's t with one degree of freedom:

    log p(y) = - log|C| / 2 - (n + 1) / 2 log(1 + y' C^-1 y) + const        C = K_h + noise I
    s = (1 + y' C^-1 y) / (n + 1)

These densities are the weights of the processes; mean and deviation are those of their mixture.

*Printed* is the released code: labels are standardised with the deviation of n - 1, and s = 1. The
depth is the one of 1, 2, 3 with the highest evidence, in which log|C| has the wrong sign:

    - y' C^-1 y / 2 + log|C| / 2

It is evaluated at the current noise, 0.001 at the first fit. Then the noise takes 20 steps of Adam
of length 0.1 within [1e-5, 0.01]. Both terms rise with the noise, so that the first step ends on
0.01, whatever the labels are, and none leaves it: no step is made here. The variance is that of a
label, with its noise; the code's lower bound on covariances, the noise, changes no variance. It has
the dot product on NAS-Bench-201 and the optimal assignment on NAS-Bench-101.

Known deviations: labels come as the search transforms them, not as -log(error); identities in a row
keep their path, which the released code loses on NAS-Bench-201.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core.types import Prediction, Scorer, Space
from weaknas_jax.predictors.gp import pick_jointly
from weaknas_jax.predictors.mixture import centred
from weaknas_jax.predictors.refit import need_graphs

NOISES = 0.01, 0.03, 0.1, 0.3, 1.0
"""Variances of a label's noise, in parts of that of the function."""
PRINTED_NOISES = 0.001, 0.01
"""At the first fit, and after it."""
_LEAST = 64  # slots of the smallest problem that is solved
_LARGEST = 1 << 18  # numbers of a block of kernel rows
_NEGLIGIBLE = 1e-3  # weight of a depth that is left out


class Solved(NamedTuple):
    """One process on the evaluated cells.

    Attributes:
      inverse: float32 [Q, Q], C^-1.
      alpha: float32 [Q], C^-1 y.
      log_det: log|C|.
      square: y' C^-1 y.
    """

    inverse: jax.Array
    alpha: jax.Array
    log_det: jax.Array
    square: jax.Array


class Posterior(NamedTuple):
    """What the labels so far say of all cells.

    Attributes:
      inverse: float32 [H, Q', Q'], the sum of weight s C^-1 over the processes of each depth.
      amplitude: float32 [H], sum of weight s.
      noise: variance of a label's noise, the mean over the processes.
      variance: float32 [N], the mean over the processes.
      spread: float32 [N], variance of the means of the processes.
    """

    inverse: jax.Array
    amplitude: jax.Array
    noise: jax.Array
    variance: jax.Array
    spread: jax.Array


class State(struct.PyTreeNode):
    """State between two rounds.

    Attributes:
      shared: int16 [Q', H, N], k_h of the cell in each slot of the history, not scaled.
      scale: float32 [H, N], k_h(x, x)^-1/2.
      posterior: see `Posterior`.
    """

    shared: jax.Array
    scale: jax.Array
    posterior: Posterior


def gp_wl(
    *, form: Literal["dot", "oa"] = "dot", printed: bool = False, deterministic: bool = False
) -> Scorer:
    """The Gaussian process as a `Scorer` that keeps the kernel's rows of evaluated cells.

    Args:
      form: of the kernel, see the module.
      printed: whether to follow the released code.
      deterministic: whether the released code is told that labels have no noise (its
        ``--fixed_query_seed``): the noise stays 0.001. Of no effect unless ``printed``.

    Raises:
      ValueError: at the start, the space has no graphs.
    """

    def labels_of(space: Space) -> jax.Array:
        labels = jnp.asarray(need_graphs(space).labels)
        return jnp.moveaxis(numbered(labels) if form == "oa" else labels, 0, -1)

    def init(space: Space, budget: int) -> State:
        labels = labels_of(space)
        depths, _, size = labels.shape
        rows = budget + 1  # one to spare
        own = shared(labels, labels).astype(jnp.float32)
        inverse, ones = jnp.zeros((depths, rows, rows)), jnp.ones(size)
        return State(
            shared=jnp.zeros((rows, depths, size), jnp.int16),
            scale=1 / jnp.sqrt(jnp.maximum(own, 1.0)),
            posterior=Posterior(inverse, jnp.ones(depths), jnp.float32(1), ones, 0 * ones),
        )

    def update(key, state, space, queried, y, mask, indices):
        del key
        shared_rows = _remember(state.shared, labels_of(space), queried, indices)
        state = state.replace(shared=shared_rows)
        slots = jax.vmap(lambda index: jnp.argmax(queried == index))(indices)
        first = jnp.sum((indices >= 0) & mask[slots]) == jnp.sum(mask)
        y = standardised(y, mask) if printed else centred(y, mask)

        def fit(size):
            return lambda: fit_first(state, queried[:size], y[:size], mask[:size], first)

        last = jnp.max(jnp.where(mask, jnp.arange(len(mask)) + 1, 0))
        sizes = _sizes(len(mask))
        place = jnp.searchsorted(jnp.array(sizes), last)
        mean, posterior = jax.lax.switch(place, [fit(size) for size in sizes])
        return state.replace(posterior=posterior), predict(mean, posterior, posterior.variance)

    def fit_first(state, queried, y, mask, first):
        """Mean and posterior from the first slots alone."""
        grams, scale = _grams(state, queried, mask)
        noises = jnp.array(PRINTED_NOISES if printed else NOISES)
        solved = over_depths(grams, noises, y, mask)
        if printed:
            weights = weigh_printed(solved, first, deterministic)
            amplitude = jnp.ones(weights.shape)
        else:
            weights, amplitude = weigh(solved, jnp.sum(mask))
        return _posterior(state, solved, weights, amplitude, noises, scale)

    def predict(mean, posterior, variance):
        noise = posterior.noise if printed else 0.0
        return Prediction(mean, jnp.sqrt(jnp.maximum(variance, 1e-6) + posterior.spread + noise))

    def select(state, space, score, prediction, seen, batch, count):
        """Picks one by one, as `gp` does, with the mean covariance of the processes."""
        labels, posterior = labels_of(space), state.posterior

        def at(near):
            rows = jnp.moveaxis(state.shared[:, :, near], 1, 0) * state.scale[:, None, near]
            return rows, posterior.variance[near]

        def predict_some(near, variance):
            some = posterior._replace(spread=posterior.spread[near])
            return predict(prediction.mean[near], some, variance)

        def posterior_row(near, columns, place, picked):
            pick, scale = near[place], state.scale[:, near]
            row = shared(labels[..., pick, None], labels[..., near]) * scale * scale[:, place, None]
            row = posterior.amplitude @ row - picked[:, place] @ picked
            solved = jnp.einsum("hqr,hr->hq", posterior.inverse, columns[:, :, place])
            row -= jnp.einsum("hq,hqc->c", solved, columns)
            return row / jnp.sqrt(jnp.maximum(row[place], 0.0) + posterior.noise)

        return pick_jointly(
            at,
            score(prediction),
            score,
            predict_some,
            posterior_row,
            seen=seen,
            batch=batch,
            count=count,
        )

    return Scorer(init, update, select)


def numbered(labels: jax.Array) -> jax.Array:
    """Labels by occurrence, so that the dot product of counts is the optimal assignment.

    The k-th occurrence of a label in a graph becomes a label of its own.

    >>> numbered(jnp.array([[[5, 7, 5, -1]]])).tolist()
    [[[20, 28, 21, -1]]]

    Args:
      labels: int [N, L, V], -1 = absent.
    """
    nodes = labels.shape[-1]
    earlier = [jnp.sum(labels[..., :v] == labels[..., v, None], axis=-1) for v in range(nodes)]
    return jnp.where(labels >= 0, nodes * labels + jnp.stack(earlier, axis=-1), -1)


def shared(labels: jax.Array, others: jax.Array) -> jax.Array:
    """The kernel of every depth before it is scaled: pairs of nodes of the same label.

    >>> a, b = jnp.array([[[3], [3], [4]]]), jnp.array([[[3], [4], [-1]]])
    >>> shared(a, b).tolist()
    [[3]]

    Args:
      labels, others: int [L, V, n], -1 = absent; or of one of them [L, V, 1].

    Returns:
      int16 [L, n].
    """
    labels = jnp.where(labels >= 0, labels, -2)

    def add(total, node):  # [L, n], one node of each graph
        same = [(labels[:, v] == node).astype(jnp.int16) for v in range(labels.shape[1])]
        return total + sum(same), None

    size = max(labels.shape[-1], others.shape[-1])
    nothing = jnp.zeros((len(labels), size), jnp.int16)
    return jnp.cumsum(jax.lax.scan(add, nothing, jnp.moveaxis(others, 1, 0))[0], axis=0)


def standardised(y: jax.Array, mask: jax.Array) -> jax.Array:
    """Labels less their mean, over the deviation of n - 1; 0 outside the mask, and if constant."""
    y = centred(y, mask)
    deviation = jnp.sqrt(jnp.sum(y**2) / jnp.maximum(jnp.sum(mask) - 1, 1))
    return y / jnp.where(deviation > 0, deviation, 1.0)


def solve(gram: jax.Array, noise: jax.Array, y: jax.Array, mask: jax.Array) -> Solved:
    """One process on the evaluated cells.

    Args:
      gram: [Q, Q], K; that of the identity outside the mask.
      noise: variance of a label's noise.
      y: [Q], 0 outside the mask.
      mask: bool [Q].
    """
    unit = jnp.eye(len(gram))
    factor = jnp.linalg.cholesky(gram + noise * unit)
    root = jax.scipy.linalg.solve_triangular(factor, unit, lower=True)
    whitened = root @ y
    log_det = 2 * jnp.sum(jnp.where(mask, jnp.log(jnp.diagonal(factor)), 0.0))
    return Solved(root.T @ root, whitened @ root, log_det, jnp.sum(whitened**2))


over_depths = jax.vmap(jax.vmap(solve, (None, 0, None, None)), (0, None, None, None))
"""`solve` of grams [H, Q, Q] and noises [G]: fields [H, G, ...]."""


def weigh(solved: Solved, n: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Weights and amplitudes of all processes by their densities, [H, G]; see the module.

    Args:
      solved: of H depths and G noises.
      n: number of labels.
    """
    density = -0.5 * solved.log_det - 0.5 * (n + 1) * jnp.log1p(solved.square)
    weights = jax.nn.softmax(density, axis=(0, 1))
    weights = jnp.where(jnp.sum(weights, axis=1, keepdims=True) > _NEGLIGIBLE, weights, 0.0)
    return weights / jnp.sum(weights), (1 + solved.square) / (n + 1)


def weigh_printed(solved: Solved, first: jax.Array | bool, deterministic: bool) -> jax.Array:
    """Weights [H, 2] that are 1 for the released code's depth and noise; see the module.

    Args:
      solved: of H depths and the two `PRINTED_NOISES`.
      first: whether it is the first fit of a search.
      deterministic: see `gp_wl`.
    """
    end = 0 if deterministic else 1
    evidence = flawed_evidence(solved)
    depths = jnp.arange(len(evidence))
    evidence = jnp.where(first, evidence[:, 0], evidence[:, end])
    best = jnp.argmax(jnp.where((depths >= 1) & (depths <= 3), evidence, -jnp.inf))
    return jnp.zeros((len(depths), 2)).at[best, end].set(1.0)


def flawed_evidence(solved: Solved) -> jax.Array:
    """The released code's evidence but for constants, with the wrong sign of ``log|C|``."""
    return 0.5 * solved.log_det - 0.5 * solved.square


def _sizes(most: int) -> list[int]:
    """Powers of two up to ``most``, and it: the cost of a fit grows with the cube."""
    sizes = [_LEAST << power for power in range(most.bit_length()) if _LEAST << power < most]
    return [*sizes, most]


def _remember(rows: jax.Array, labels: jax.Array, queried: jax.Array, indices: jax.Array):
    """`State.shared` with the rows of new cells, -1 = none."""
    spare = len(rows) - 1

    def add(at, rows):
        index = indices[at]
        slot = jnp.where(index >= 0, jnp.argmax(queried == index), spare)
        row = shared(labels[..., jnp.maximum(index, 0), None], labels)
        return jax.lax.dynamic_update_slice(rows, row[None], (slot, 0, 0))

    end = jnp.max(jnp.where(indices >= 0, jnp.arange(len(indices)) + 1, 0))
    return jax.lax.fori_loop(0, end, add, rows)


def _grams(state: State, queried: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """K of each depth [H, Q', Q'], the identity outside the mask; scales [H, Q'], 0 outside it."""
    at = jnp.maximum(queried, 0)
    scale = jnp.where(mask, state.scale[:, at], 0.0)
    shared_rows = state.shared[: len(queried), :, at]
    grams = jnp.moveaxis(shared_rows, 1, 0) * scale[:, :, None] * scale[:, None, :]
    return jnp.where(mask[:, None] & mask, grams, jnp.eye(len(mask))), scale


def _posterior(
    state: State, solved: Solved, weights, amplitude, noises, scale
) -> tuple[jax.Array, Posterior]:
    """The mixture's mean [N], and its `Posterior`, from the first S slots.

    Args:
      solved: of H depths and G noises, [H, G, S, S] and [H, G, S].
      weights, amplitude, noises: [H, G], [H, G] and [G].
      scale: [H, S], 0 outside the mask.
    """
    slots, size = scale.shape[1], state.scale.shape[1]
    share = weights * amplitude
    inverse = jnp.einsum("hg,hgqr->hqr", share, solved.inverse)
    inverse *= scale[:, :, None] * scale[:, None, :]
    both = jnp.concatenate([inverse, solved.alpha * scale[:, None, :]], axis=1)
    columns = min(size, max(_LARGEST // slots, 1))

    def of_columns(at, carry):
        begin = jnp.minimum(at * columns, size - columns)  # the last one may overlap

        def add(h, sums):
            rows = jax.lax.dynamic_slice(state.shared, (0, h, begin), (slots, 1, columns))[:, 0]
            own = jax.lax.dynamic_slice(state.scale, (h, begin), (1, columns))
            rows = rows * own
            products = both[h] @ rows
            explained, means = jnp.sum(products[:slots] * rows, axis=0), products[slots:]
            new = weights[h] @ means, weights[h] @ means**2, explained
            return jax.tree.map(jnp.add, sums, new)

        def of_depth(h, sums):
            return jax.lax.cond(jnp.sum(weights[h]) > 0, add, lambda _, sums: sums, h, sums)

        sums = jax.lax.fori_loop(0, len(weights), of_depth, (jnp.zeros(columns),) * 3)
        return jax.tree.map(lambda a, b: jax.lax.dynamic_update_slice(a, b, (begin,)), carry, sums)

    sums = jax.lax.fori_loop(0, -(-size // columns), of_columns, (jnp.zeros(size),) * 3)
    mean, second, explained = sums
    extra = len(state.shared) - slots
    return mean, Posterior(
        jnp.pad(inverse, ((0, 0), (0, extra), (0, extra))),
        jnp.sum(share, axis=1),
        jnp.sum(share * noises),
        jnp.sum(share) - explained,
        jnp.maximum(second - mean**2, 0.0),
    )
