"""The networks that architectures of a space stand for, as Flax NNX modules, to train elsewhere.

`build` makes one of what a search left, `count` tells its parameters, which are the benchmark's.
"""

from weaknas_jax.networks.answer import Answer, AnswerError, read
from weaknas_jax.networks.registry import KINDS, Plan, build, count, outline, plan

__all__ = ["KINDS", "Answer", "AnswerError", "Plan", "build", "count", "outline", "plan", "read"]
