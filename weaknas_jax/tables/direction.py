"""Which end of a column of labels is the best, and whether they are percent, told by its name."""

import re
from collections.abc import Sequence

import numpy as np

from weaknas_jax.tables.store import TableError

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # of snake_case, camelCase and top1err
_LOSS = re.compile(
    "loss|losses|logloss|error|errors|err|errorrate|misclassification|regret|cost|penalty"
    "|latency|delay|time|times|runtime|walltime|duration|seconds|secs|ms|energy|memory"
    "|perplexity|ppl|mse|rmse|mae|mape|smape|rmsle|msle|residual|deviance|rss"
    "|nll|bpb|bpc|bpd|ce|xent|crossentropy|entropy|brier|ece|hinge|divergence|kl"
    "|wer|cer|fid|kid|lpips|distance|chamfer|emd"
    "|.+(loss|losses|err|error|errors|mse|ppl|nll|latency|perplexity)"  # in one word: valloss
)
_ACCURACY = re.compile("valid|validation|val|test|acc|accuracy|accuracies|top|precision|recall")


def words(name: str) -> list[str]:
    """The words of a column's name in small letters.

    >>> words("valError_top1"), words("testMSE"), words("val_loss_2")
    (['val', 'error', 'top'], ['test', 'mse'], ['val', 'loss'])
    """
    return [word.lower() for word in _WORD.findall(name)]


def is_loss(name: str) -> bool:
    """Whether a column's name says that the less the better."""
    return any(_LOSS.fullmatch(word) for word in words(name))


def decide(where: str, labels: Sequence[str], minimize: bool | None) -> bool:
    """Whether the lowest labels are the best; by default the highest are.

    Args:
      where: the file.
      labels: names of the columns.
      minimize: what the user said, None = nothing.

    Raises:
      TableError: nothing was said, and a column is named like a loss.
    """
    if minimize is None and (losses := [name for name in labels if is_loss(name)]):
        raise TableError(
            f"{where}: column {losses[0]!r} is named like something that is to be small; say which "
            "end is the best: --minimize (the lowest) or --maximize (the highest)"
        )
    return bool(minimize)


def unit_of(labels: Sequence[str], minimize: bool, values: np.ndarray) -> str:
    """``%`` of columns named like an accuracy that lie in 0 .. 100; else ``score``."""
    named = all(any(map(_ACCURACY.fullmatch, words(name))) for name in labels)
    inside = np.nanmin(values) >= 0 and np.nanmax(values) <= 100 if values.size else False
    return "%" if named and inside and not minimize else "score"
