"""Networks of architectures as Flax NNX modules, to be trained elsewhere.

`build` makes the network of a search result; `count` counts its parameters, as the benchmark does.
"""

from weaknas_jax.networks.answer import Answer, AnswerError, read
from weaknas_jax.networks.registry import KINDS, Plan, build, count, graph, outline, plan

__all__ = [
    "KINDS",
    "Answer",
    "AnswerError",
    "Plan",
    "build",
    "count",
    "graph",
    "outline",
    "plan",
    "read",
]
