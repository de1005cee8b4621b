"""Protocols: what a query returns, when the optimum is met, which accuracy is reported.

Published results differ in these switches and seldom say so. Here each one is named, printed and
stored with every result, and none is a hidden default. `HONEST` is ours; `PAPER` is what the
reference code of WeakNAS does, and, where the code is silent (`target`, `counting`), the paper.
"""

import dataclasses

CHOICES = {
    "labels": ("mean", "single_run", "run0", "run1", "run2", "test"),
    "normalize": ("observed", "table"),
    "target": ("test", "valid"),
    "report": ("best_valid_test", "oracle_test", "predicted_best_test", "best_valid"),
    "counting": ("query", "round"),
    "predicted_top": ("off", "counted", "free"),
}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Value of each protocol switch.

    >>> HONEST.labels, PAPER.normalize
    ('mean', 'table')

    Attributes:
      name: the preset, ``honest`` or ``paper``, with a note where a switch differs from it.
      labels: the score of a query: ``mean`` validation accuracy over the runs of the table;
        ``single_run``, one run drawn for each architecture, anew in each search; or one given
        run, ``run0 | run1 | run2``. In a table without validation accuracy, mean ``test``
        accuracy, and nothing else: the search sees what it is judged by.
      normalize: labels are scaled by the mean and deviation of what was ``observed``, or of the
        whole ``table`` (a mild leak).
      target: the optimum to be met is the best architecture by mean ``test`` or mean ``valid``
        accuracy; ties count.
      report: the accuracy that stands for a run: test accuracy of the best by validation
        (``best_valid_test``), the best test accuracy among all evaluated (``oracle_test``, which
        no one could pick), test accuracy of the predictor's last choice
        (``predicted_best_test``, the paper's answer), or the best score that the search saw
        (``best_valid``, for tables without test). All are always stored.
      counting: the optimum is met at its own ``query``, or at the end of its ``round``.
      predicted_top: the predictor's best architecture is looked at only if it is asked (``off``);
        its best unseen one is the first query of each later round (``counted``); or it is looked
        at after each fit (``free``): if it is the target the target is met, and its test accuracy
        enters the oracle curve, but it is no query and the predictor never learns of it.
      label_noise: percent, the deviation of noise on an architecture's label, drawn anew in each
        search. It stands for the noise of one training where the table has only means.
    """

    name: str
    labels: str
    normalize: str
    target: str
    report: str
    counting: str
    predicted_top: str
    label_noise: float = 0.0

    def switches(self) -> dict[str, str]:
        """All but the name."""
        return {field: getattr(self, field) for field in (*CHOICES, "label_noise")}


HONEST = Protocol("honest", "mean", "observed", "test", "best_valid_test", "query", "off")
PAPER = Protocol("paper", "mean", "table", "test", "oracle_test", "round", "free")
PRESETS = {"honest": HONEST, "paper": PAPER}


def resolve(name: str, *, label_noise: float = 0.0, **switches: str | None) -> Protocol:
    """A preset with the switches that are not None replaced.

    >>> resolve("paper", counting="query").name
    'paper, but counting=query'

    Raises:
      ValueError: unknown preset, switch or value; the message lists the valid ones.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown protocol {name!r}; choose one of {', '.join(PRESETS)}")
    preset, values = PRESETS[name], {k: v for k, v in switches.items() if v is not None}
    for switch, value in values.items():
        if switch not in CHOICES:
            raise ValueError(
                f"unknown protocol switch {switch!r}; choose one of {', '.join(CHOICES)}"
            )
        if value not in CHOICES[switch]:
            raise ValueError(f"{switch}={value!r}: choose one of {', '.join(CHOICES[switch])}")
    values["label_noise"] = label_noise
    changed = {k: v for k, v in values.items() if v != getattr(preset, k)}
    if changed:
        name += ", but " + ", ".join(f"{k}={v}" for k, v in changed.items())
    return dataclasses.replace(preset, name=name, **changed)
