"""Adapters of other libraries: each proposes levels of choices through its own interface.

A library is imported when its search begins, so that one that is not installed harms no other.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

ALL = 20_000
"""Rows of a table up to which BoTorch's acquisition is computed on all of them."""
_SUBSET, _PARENTS, _START = 2_000, 5, 5  # of BoTorch: random rows, best rows, random queries

Levels = tuple[int, ...]


class Choices(NamedTuple):
    """The architectures as a library sees them.

    Attributes:
      codes: int [N, L], the level of each choice.
      sizes: int [L], the number of levels.
      ordered: whether levels are integers, and not categories.
    """

    codes: np.ndarray
    sizes: np.ndarray
    ordered: bool

    def distance(self, levels: Levels) -> np.ndarray:
        """From levels to each row, [N]."""
        off = np.abs(self.codes - np.array(levels))
        return (off / (self.sizes - 1) if self.ordered else off > 0).sum(axis=1)


class Peer(Protocol):
    """One search of a library."""

    def ask(self) -> Levels | None:
        """The next proposal; None = there are no more."""
        ...

    def tell(self, score: float | None) -> None:
        """The score of the proposal asked for last, to be maximised; None = not in the table."""
        ...

    def add(self, levels: Levels, score: float) -> None:
        """A query that the library did not propose."""
        ...


class Optuna:
    """A study; proposals that are not in the table are failed trials, which samplers ignore."""

    def __init__(self, choices: Choices, sampler: Any):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = optuna.create_study(sampler=sampler, direction="maximize")
        self.space = {
            f"x{i}": optuna.distributions.IntDistribution(0, int(size) - 1)
            if choices.ordered
            else optuna.distributions.CategoricalDistribution(list(range(size)))
            for i, size in enumerate(choices.sizes)
        }

    def ask(self) -> Levels:
        self.trial = self.study.ask(self.space)
        return tuple(self.trial.params[name] for name in self.space)

    def tell(self, score: float | None) -> None:
        import optuna

        failed = optuna.trial.TrialState.FAIL
        self.study.tell(self.trial, score, state=failed if score is None else None)

    def add(self, levels: Levels, score: float) -> None:
        import optuna

        params = dict(zip(self.space, levels, strict=True))
        self.study.add_trial(
            optuna.trial.create_trial(params=params, distributions=self.space, value=score)
        )


def tpe(choices: Choices, seed: int, budget: int, **settings: Any) -> Peer:
    """Optuna's estimator of Parzen trees; ``settings`` are those of `TPESampler`."""
    import optuna

    del budget
    return Optuna(choices, optuna.samplers.TPESampler(seed=seed, **settings))


def optuna_gp(choices: Choices, seed: int, budget: int) -> Peer:
    """Optuna's Gaussian process, told that the objective is deterministic: labels are looked up."""
    import optuna

    del budget
    sampler = optuna.samplers.GPSampler(seed=seed, deterministic_objective=True)
    return Optuna(choices, sampler)


class Smac:
    """The facade for hyper-parameters, a random forest, asked and told.

    A proposal that is not in the table is not told: every state of a finished trial but success
    enters the model with a cost. For SMAC it is still running, and is not proposed again; up to
    1,000 such proposals are passed over before SMAC samples at random, by default 16.
    """

    def __init__(self, choices: Choices, seed: int, budget: int, retrain_after: int = 8):
        import ConfigSpace
        import smac
        from smac.runhistory import TrialInfo, TrialValue

        logging.getLogger("smac").setLevel(logging.ERROR)
        self.info, self.value = TrialInfo, TrialValue
        self.configuration = ConfigSpace.Configuration
        self.space = ConfigSpace.ConfigurationSpace(seed=seed)
        for i, size in enumerate(choices.sizes.tolist()):
            self.space.add(
                ConfigSpace.Integer(f"x{i}", (0, size - 1))
                if choices.ordered
                else ConfigSpace.Categorical(f"x{i}", list(range(size)))
            )
        facade = smac.HyperparameterOptimizationFacade
        self.folder = tempfile.TemporaryDirectory()
        scenario = smac.Scenario(
            self.space,
            deterministic=True,
            n_trials=budget,
            seed=seed,
            output_directory=Path(self.folder.name),
        )
        self.facade = facade(
            scenario,
            lambda config, seed=0: 0.0,  # never called: it is asked and told
            config_selector=facade.get_config_selector(
                scenario, retrain_after=retrain_after, retries=1_000
            ),
            logging_level=False,
            overwrite=True,
        )

    def ask(self) -> Levels | None:
        try:
            self.trial = self.facade.ask()
        except StopIteration:
            return None
        return tuple(int(self.trial.config[name]) for name in self.space)

    def tell(self, score: float | None) -> None:
        if score is not None:
            self.facade.tell(self.trial, self.value(cost=-score), save=False)

    def add(self, levels: Levels, score: float) -> None:
        config = self.configuration(self.space, values=dict(zip(self.space, levels, strict=True)))
        self.facade.tell(self.info(config, seed=0), self.value(cost=-score), save=False)


class Botorch:
    """A Gaussian process of BoTorch with its defaults; the row of the largest log EI is asked for.

    `SingleTaskGP` for integers and for ``onehot`` columns of categories, else `MixedSingleTaskGP`,
    fitted after each query. The first five queries are random, as many as Ax makes. The acquisition
    is maximised by `optimize_acqf_discrete` over the rows not queried: all of them in tables of up
    to `ALL` rows, else 2,000 at random and all that differ in one choice from one of the best five.
    """

    def __init__(self, choices: Choices, seed: int, budget: int, onehot: bool = False):
        import torch

        del budget
        torch.manual_seed(seed)
        self.choices = choices
        self.columns = choices.codes.astype(float)
        if choices.ordered:
            self.columns /= choices.sizes - 1
        elif onehot:
            columns = zip(choices.codes.T, choices.sizes, strict=True)
            self.columns = np.hstack([np.eye(size)[column] for column, size in columns])
        self.mixed = not (choices.ordered or onehot)
        self.rng = np.random.default_rng(seed)
        self.free = np.ones(len(choices.codes), bool)
        self.rows: list[int] = []
        self.scores: list[float] = []

    def ask(self) -> Levels:
        rows = np.flatnonzero(self.free)
        start = len(self.rows) < _START
        row = self.rng.choice(rows) if start else self._best(self._candidates(rows))
        self.asked = tuple(self.choices.codes[row].tolist())
        return self.asked

    def tell(self, score: float | None) -> None:
        if score is None:
            raise ValueError("a proposal of a row has a score")
        self.add(self.asked, score)

    def add(self, levels: Levels, score: float) -> None:
        row = int(self.choices.distance(levels).argmin())
        self.free[row] = False
        self.rows.append(row)
        self.scores.append(score)

    def _candidates(self, rows: np.ndarray) -> np.ndarray:
        if len(self.choices.codes) <= ALL:
            return rows
        near = np.zeros(len(self.choices.codes), bool)
        for place in np.argsort(self.scores)[-_PARENTS:]:
            differ = self.choices.codes != self.choices.codes[self.rows[place]]
            near |= differ.sum(axis=1) == 1
        some = self.rng.choice(rows, min(_SUBSET, len(rows)), replace=False)
        return np.union1d(some, np.flatnonzero(near & self.free))

    def _best(self, rows: np.ndarray) -> int:
        import torch
        from botorch import acquisition, fit, models, optim
        from gpytorch.mlls import ExactMarginalLogLikelihood

        x = torch.tensor(self.columns[self.rows])
        y = torch.tensor(self.scores, dtype=torch.double)[:, None]
        if self.mixed:
            model = models.MixedSingleTaskGP(x, y, cat_dims=list(range(x.shape[1])))
        else:
            model = models.SingleTaskGP(x, y)
        fit.fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        improvement = acquisition.LogExpectedImprovement(model, best_f=y.max())
        candidates = torch.tensor(self.columns[rows])
        chosen, _ = optim.optimize_acqf_discrete(improvement, q=1, choices=candidates)
        return rows[(candidates == chosen).all(dim=1).nonzero()[0, 0]]
