"""Direction and unit of a column of labels, inferred from its name."""

import re
from collections.abc import Sequence

import numpy as np

from weaknas_jax.storage.npz import TableError

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # of snake_case, camelCase and top1err
_LOSS = re.compile(
    "loss|losses|logloss|error|errors|err|errorrate|misclassification|regret|cost|penalty"
    "|latency|delay|time|times|runtime|walltime|duration|seconds|secs|ms|energy|memory"
    "|perplexity|ppl|mse|rmse|mae|mape|smape|rmsle|msle|residual|deviance|rss"
    "|nll|bpb|bpc|bpd|ce|xent|crossentropy|entropy|brier|ece|hinge|divergence|kl"
    "|wer|cer|fid|kid|lpips|distance|chamfer|emd"
    "|.+(loss|losses|err|error|errors|mse|ppl|nll|latency|perplexity)"  # in one word: valloss
)
_PLAIN = {"valid", "validation", "val", "test"}  # what the columns are called by default
_ACCURACY = {"acc", "accuracy", "accuracies", "top"}


def words(name: str) -> list[str]:
    """The words of a column's name in lower case.

    >>> words("valError_top1"), words("testMSE"), words("val_loss_2")
    (['val', 'error', 'top'], ['test', 'mse'], ['val', 'loss'])
    """
    return [word.lower() for word in _WORD.findall(name)]


def is_loss(name: str) -> bool:
    """Whether a column's name says that lower is better."""
    return any(_LOSS.fullmatch(word) for word in words(name))


def decide(where: str, labels: Sequence[str], minimize: bool | None) -> bool:
    """Whether the lowest labels are the best; by default the highest are.

    Args:
      where: the file.
      labels: names of the columns.
      minimize: the user's choice, None = not given.

    Raises:
      TableError: no choice was given, and a column is named like a loss.
    """
    if minimize is None and (losses := [name for name in labels if is_loss(name)]):
        raise TableError(
            f"{where}: column {losses[0]!r} is named like something that is to be small; say which "
            "end is the best: --minimize (the lowest) or --maximize (the highest)"
        )
    return bool(minimize)


def is_percent(name: str, labels: np.ndarray) -> bool:
    """Whether labels are percent: named like an accuracy, and in 0 .. 100."""
    parts, labels = set(words(name)), labels[np.isfinite(labels)]
    has_name = (parts & _ACCURACY or parts <= _PLAIN) and not is_loss(name)
    return bool(has_name and labels.size and labels.min() >= 0 and labels.max() <= 100)
