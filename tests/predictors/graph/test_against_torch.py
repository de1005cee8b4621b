"""The Neural Predictor against the same network and training written in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from weaknas_jax.predictors.graph import neural_predictor as module
from weaknas_jax.predictors.graph import training
from weaknas_jax.spaces.graph_arrays import of_edges

torch = pytest.importorskip("torch", reason="the extra 'official' is not installed")
pytestmark = pytest.mark.slow
PAIRS = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]


class Net(torch.nn.Module):
    """Without dropout."""

    def __init__(self, network):
        super().__init__()
        tensors = [torch.tensor(np.asarray(a)) for a in (*network.layers, *network[1:])]
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(t) for t in tensors)

    def forward(self, nodes, adjacency, size):
        def normalised(a):
            return a / a.sum(-1, keepdim=True)

        first = normalised(adjacency + torch.eye(adjacency.shape[-1]))
        *flow, hidden, last = self.weights
        for weight in flow:
            along = normalised(first) @ nodes @ weight[:, 0]
            back = normalised(first.transpose(1, 2)) @ nodes @ weight[:, 1]
            nodes = (along.relu() + back.relu()) / 2
        return (nodes.sum(1) / size[:, None] @ hidden @ last)[:, 0]


def problem():
    rng = np.random.default_rng(0)
    graphs = of_edges(PAIRS, rng.integers(-1, 5, (20, 6)), [f"op{at}" for at in range(5)])
    arrays = graphs.one_hot, graphs.edges, graphs.present.sum(-1)
    inputs = [torch.tensor(np.asarray(a, np.float32)) for a in arrays]
    network = module.init(jax.random.key(0), graphs.kinds, 3, 144, 128)
    return graphs, network, Net(network), inputs, rng.normal(size=20).astype(np.float32)


def test_equal_weights_give_equal_scores():
    graphs, network, net, inputs, _ = problem()
    ours = module.apply(network, module.inputs(graphs))
    np.testing.assert_allclose(ours, net(*inputs).detach(), rtol=1e-4, atol=1e-6)


def test_steps_of_the_printed_training_are_those_of_pytorch():
    """Without dropout, and with all rows in each batch."""
    graphs, network, net, inputs, labels = problem()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 15)
    for _ in range(15):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(net(*inputs), torch.tensor(labels)).backward()
        optimizer.step()
        schedule.step()
    x = module.inputs(graphs)

    def loss(network, state, rows, weight, key):
        of_rows = jax.tree.map(lambda a: a[rows], x)
        return jnp.mean((module.apply(network, of_rows) - jnp.asarray(labels)[rows]) ** 2), state

    network, _ = training.train(
        jax.random.key(1),
        network,
        (),
        np.ones(20, bool),
        loss,
        direction=optax.chain(optax.add_decayed_weights(1e-3), optax.scale_by_adam()),
        rate=training.cosine(1e-4, 15),
        epochs=15,
        batch=20,
    )
    np.testing.assert_allclose(module.apply(network, x), net(*inputs).detach(), atol=2e-4)
