"""Configuration of a search on a table: one frozen record, whose defaults are resolved once.

The flags of the commands are made from the fields of `SearchConfig`, and searches from Python take
them as keywords, so that the same settings give the same search. A field that is None has the
default of its method, predictor and space (`search.defaults`), which `resolve` fills in.
"""

import dataclasses
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from weaknas_jax.core import plan
from weaknas_jax.core import protocol as protocols
from weaknas_jax.core.protocol import Protocol
from weaknas_jax.predictors.registry import PREDICTORS
from weaknas_jax.search import defaults, methods
from weaknas_jax.search.methods import CHOICES, METHODS, PARTS
from weaknas_jax.search.sampling import SAMPLINGS


class ConfigError(ValueError):
    """Invalid settings, or settings that do not go together.

    Attributes:
      flags: the message with settings as flags, ``--budget=5``; the text of the error itself has
        them as keywords, ``budget=5``.
    """

    def __init__(self, message: str):
        super().__init__(re.sub(r"--(?=[a-z])", "", message))
        self.flags = message


def setting(
    default: Any,
    help: str,
    choices: Collection[str] = (),
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A field with its help, its choices and bounds."""
    metadata = {"help": help, "choices": tuple(choices), "least": least, "most": most}
    return dataclasses.field(default=default, metadata=metadata)


ANSWERS = ("label", "posterior")
"""What chooses the answer of a run."""
_BY = "Default: by predictor"
_RULE = "Default: that of --protocol."
_RULES = protocols.CHOICES


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """The settings of a search on a table; the help of each field says what it is.

    >>> SearchConfig(predictor="mlp").resolve("nasbench101", 423_624)[0].init
    100
    """

    method: str = setting("weaknas", "Search method.", METHODS)
    predictor: str = setting("mixture", "Weak predictor.", PREDICTORS)
    label_transform: str | None = setting(
        None,
        f"Labels that the predictor is fitted on: scaled, or normal scores of ranks. {_BY}.",
        CHOICES["label_transform"],
    )
    acquisition: str | None = setting(
        None,
        f"Score that ranks the architectures; the paper's is the predicted mean. {_BY}.",
        CHOICES["acquisition"],
    )
    sampling: str | None = setting(
        None,
        f"How the M are drawn: from the top N by rank (the paper: uniform), or the best. {_BY}.",
        CHOICES["sampling"],
    )
    features: str | None = setting(
        None,
        f"Feature blocks of kernels: the space's own, or made from its columns, or all. {_BY}.",
        ("space", "columns", "all"),
    )
    without: str | None = setting(None, "A feature block to leave out (ablation).")
    protocol: str = setting("honest", "Preset of the switches below.", protocols.PRESETS)
    labels: str | None = setting(None, f"What a query returns. {_RULE}", _RULES["labels"])
    normalize: str | None = setting(
        None,
        f"Scores whose mean and deviation scale the labels. {_RULE}",
        _RULES["normalize"],
    )
    target: str | None = setting(
        None,
        f"Which optimum a run has to find. For a table without test: valid. {_RULE}",
        _RULES["target"],
    )
    report: str | None = setting(
        None,
        f"Which accuracy of a run is reported. For a table without test: best_valid. {_RULE}",
        _RULES["report"],
    )
    counting: str | None = setting(
        None,
        f"When a found optimum counts: at its query, or at the end of its round. {_RULE}",
        _RULES["counting"],
    )
    predicted_top: str | None = setting(
        None,
        f"The predictor's best: seen if queried, first of the M, or not counted. {_RULE}",
        _RULES["predicted_top"],
    )
    label_noise: float = setting(
        0.0,
        "Deviation of noise on each label (percent), drawn anew in each run, e.g. 0.2.",
        least=0.0,
    )
    repeat_top: int = setting(
        0,
        "Trainings added at the end for the best by noisy label, by successive halving.",
        least=0,
    )
    answer: str = setting(
        "label",
        "A run's answer: its best by label, or by the predictor's mean after a last fit on all.",
        ANSWERS,
    )
    near_best: int = setting(
        0, "Rank only neighbours of the K best evaluated; 0 = the whole space.", least=0
    )
    pseudo_labels: int = setting(
        0,
        "Predicted scores used as labels of a second fit (Semi-NAS inside WeakNAS); 0 = none.",
        least=0,
    )
    stop: str | None = setting(
        None,
        f"A run ends with its budget, or when it has found the optimum. {_BY}.",
        ("budget", "optimum"),
    )
    seeds: int | None = setting(None, f"Number of runs. {_BY}.", least=1)
    first_run: int = setting(0, "Number of the first run.", least=0)
    seed: int = setting(
        0, "Root of all random numbers; run i has fold_in(seed, i).", least=0, most=2**32 - 1
    )
    init: int | None = setting(None, f"M0, random architectures at the start. {_BY}.", least=1)
    per_round: int | None = setting(None, f"M, queries of each later round. {_BY}.", least=1)
    top: int = setting(100, "N, the predicted best among which the M are drawn.", least=1)
    top_end: int | None = setting(
        None, "N of the last round, where N falls from --top to it. Default: N stays.", least=1
    )
    budget: int | None = setting(None, f"Q, queries of a run. {_BY}.", least=1)
    dynamics: bool | None = setting(
        None,
        "Measure the predictor in each round (Figure 3). Default: yes, unless rounds are quick.",
    )
    numbers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Numeric settings of the method, or of its predictor, acquisition and sampling."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                _check_value(field, value)

    @property
    def record(self) -> methods.MethodRecord:
        """The record of the method."""
        return METHODS[self.method]

    def chosen(self, space: str | None) -> dict[str, str | None]:
        """Names of method, predictor and `CHOICES`, with defaults; None = not of this method."""
        names = {"method": self.method, "predictor": None} | dict.fromkeys(CHOICES)
        if self.record.predictor:
            default = defaults.of(self.method, self.predictor, space)
            names |= {"predictor": self.predictor}
            names |= {name: getattr(self, name) or getattr(default, name) for name in CHOICES}
        return names

    def parts(self, space: str | None) -> dict[str, str | None]:
        """Names of the choices that have numeric settings; None = not of this method."""
        return {part: name for part, name in self.chosen(space).items() if part in PARTS}

    def resolve(
        self, space: str, size: int, *, test: bool = True, signal: str = "valid"
    ) -> tuple["SearchConfig", list[str]]:
        """The configuration with every default filled in.

        Args:
          space: name of the space.
          size: N, architectures to search.
          test: whether the table has test scores; else other defaults hold for what needs them.
          signal: of the table, see `tables.Table`.

        Returns:
          The configuration without None (except ``without``, ``top_end`` and what the method does
          not have), and notes on defaults that were lowered for a small table.

        Raises:
          ConfigError: settings do not go together; the message names them.
        """
        searches = self.record.predictor
        default = defaults.of(self.method, self.predictor if searches else None, space)
        values: dict[str, Any] = {}
        for name in CHOICES:
            values[name] = getattr(self, name) or getattr(default, name)
        if not searches:
            values |= {"near_best": 0, "pseudo_labels": 0}
        values["features"] = self.features or default.features
        values["budget"], notes = _fitting("budget", self.budget, default.budget, size)
        values["init"], more = _fitting("init", self.init, default.init, self.budget or size)
        for name in ("per_round", "stop", "seeds"):
            value = getattr(self, name)
            values[name] = getattr(default, name) if value is None else value
        values["dynamics"] = not default.quick if self.dynamics is None else self.dynamics
        values["top"] = min(self.top, size)
        values["top_end"] = None if self.top_end is None else min(self.top_end, size)
        values |= self._switches(test, signal)
        values["numbers"] = {}
        resolved = dataclasses.replace(self, **values)
        numbers = resolved._numbers(default, self.numbers, space)
        return dataclasses.replace(resolved, numbers=numbers), notes + more

    def _switches(self, test: bool, signal: str) -> dict[str, str]:
        """The switches of the protocol, for a table with or without test scores."""
        switches = {name: getattr(self, name) for name in protocols.CHOICES}
        for name, blind in (("target", "valid"), ("report", "best_valid")):
            if not test:
                if switches[name] not in (None, blind):
                    raise ConfigError(
                        f"--{name}={switches[name]}: the table has no field 'test'; "
                        f"use --{name}={blind}"
                    )
                switches[name] = blind
        if signal == "test" and switches["labels"] is None:
            switches["labels"] = "test"
        if switches["report"] == "predicted_best_test" and not self.record.predictor:
            raise ConfigError(
                f"--report=predicted_best_test needs a predictor, and --method={self.method} has "
                "none"
            )
        return switches

    def _numbers(
        self, default: defaults.Defaults, numbers: Mapping[str, float], space: str
    ) -> dict[str, float]:
        """Numeric settings: defaults of the builders, then of the choice, then ``numbers``."""
        parts = self.parts(space)
        values = methods.numeric(**parts)
        values |= {name: value for name, value in default.numbers.items() if name in values}
        for name, value in sorted(numbers.items()):
            if name not in values:
                choices = " ".join(f"--{part}={choice}" for part, choice in parts.items() if choice)
                raise ConfigError(f"--{name}={value}: {choices} have no such setting")
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"--{name}={value}: give a finite number, not below 0")
            values[name] = value
        return values

    def check(self, size: int, constraint: str | None = None) -> None:
        """Raises ConfigError where resolved settings do not fit together, or N architectures."""
        if self.record.predictor:
            try:
                methods.check_together(self.predictor, self.acquisition)
            except ValueError as error:
                raise ConfigError(f"--{error}") from None
        if self.first_run + self.seeds > 2**31:
            raise ConfigError(f"--first_run={self.first_run}: run numbers end at {2**31 - 1}")
        rounds = 1 + max(0, self.budget - self.init) // self.per_round
        most = plan.most_runs(self.budget, rounds)
        if self.seeds > most:
            raise ConfigError(
                f"--seeds={self.seeds}: this machine's memory holds at most {most:,} runs of "
                f"{self.budget} queries; lower it, and do the others in parts by --first_run"
            )
        if self.budget < self.init:
            raise ConfigError(
                f"--budget={self.budget} is less than --init={self.init}: "
                "raise --budget or lower --init"
            )
        if self.budget > size:
            what, advice = "architectures of the table", "lower --budget"
            if constraint is not None:
                what += f" that meet --constraint={constraint!r}"
                advice += " or loosen --constraint"
            raise ConfigError(f"--budget={self.budget} is more than the {size:,} {what}; {advice}")
        least = min(self.top, self.top_end or self.top)
        draws = self.record.predictor and SAMPLINGS[self.sampling].in_top
        if least < min(self.per_round, size) and draws:
            name = "top" if least == self.top else "top_end"
            raise ConfigError(
                f"--per_round={self.per_round} (M) is more than --{name}={least} (N): M "
                "architectures are drawn from the predicted top N; lower --per_round or raise "
                f"--{name}"
            )
        if self.repeat_top > self.budget:
            raise ConfigError(
                f"--repeat_top={self.repeat_top} is more than --budget={self.budget}: only "
                "the best few are trained again; lower it"
            )

        self._check_answer()

    def _check_answer(self) -> None:
        """Raises ConfigError where nothing, or something else too, could choose the answer."""
        if self.answer == "label":
            return
        if "prediction" not in self.reads:
            raise ConfigError(
                f"--answer={self.answer} needs a predictor, and --method={self.method} has none"
            )
        if self.repeat_top:
            raise ConfigError(
                f"--answer={self.answer} and --repeat_top={self.repeat_top} both choose the "
                "answer; leave one of them out"
            )

    @property
    def rule(self) -> Protocol:
        """The protocol of resolved settings."""
        switches = {name: getattr(self, name) for name in protocols.CHOICES}
        return protocols.resolve(self.protocol, label_noise=self.label_noise, **switches)

    @property
    def point(self) -> dict[str, float]:
        """Resolved numeric settings, which may differ between lanes of one program."""
        top_end = {} if self.top_end is None else {"top_end": self.top_end}
        return {"top": self.top, **top_end, **self.numbers}

    def describe(self) -> dict[str, Any]:
        """Resolved settings as a summary stores them; None = not of this method."""
        chosen = self.chosen(None)
        return {
            **{name: chosen[name] for name in ("method", "predictor", *CHOICES)},
            **{name: getattr(self, name) for name in _DESCRIBED},
            "numbers": self.point,
        }

    @property
    def layout(self) -> tuple[str, str | None, bool, bool, bool]:
        """Arguments of `task.space`: ``kind, without, neighbours, described, graphs``."""
        walks = self.record.neighbours or self.near_best > 0
        blocks = self.features or "space", self.without
        return *blocks, walks, "features" in self.reads, "graph" in self.reads

    @property
    def reads(self) -> set[str]:
        """Settings and data that the method and its predictor use, see `methods.reads`."""
        return methods.reads(self.method, self.predictor)


FIELDS = tuple(f.name for f in dataclasses.fields(SearchConfig) if f.name != "numbers")
"""Names of the settings, except the numeric ones of methods and their parts."""
_DESCRIBED = ("features", "without", "near_best", "pseudo_labels", "stop", "seed", "init")
_DESCRIBED += ("per_round", "budget", "top")


def _check_value(field: dataclasses.Field, value: Any) -> None:
    """Raises ConfigError unless a field's value is one of its choices, or within its bounds."""
    choices, least, most = (field.metadata.get(name) for name in ("choices", "least", "most"))
    if choices and value not in choices:
        raise ConfigError(f"--{field.name}={value}: choose one of {', '.join(choices)}")
    if least is None:
        return
    whole = not isinstance(field.default, float)
    kinds = (int, np.integer) if whole else (int, float, np.number)
    if isinstance(value, bool) or not isinstance(value, kinds):
        kind = "whole number" if whole else "number"
        raise ConfigError(f"--{field.name}={value!r}: give a {kind}")
    if not value >= least:
        raise ConfigError(f"--{field.name}={value}: give at least {least:g}")
    if most is not None and value > most:
        raise ConfigError(f"--{field.name}={value}: give at most {most}")


def _fitting(name: str, value: int | None, default: int, most: int) -> tuple[int, list[str]]:
    """A size, at most ``most`` where it is the default, and a note if that was lowered."""
    if value is not None:
        return value, []
    if default <= most:
        return default, []
    note = f"--{name}={most}: lowered from the default of {default}, as there are no more to query"
    return most, [note]
