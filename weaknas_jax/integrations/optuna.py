"""A sampler for Optuna: its studies, storages, pruners and dashboard, and our queries.

    study = optuna.create_study(sampler=WeakNASSampler(seed=0), direction="maximize")
    study.optimize(objective, n_trials=100)

The parameters that all trials have in common make the space, as far as their values can be listed:
categorical ones, integers, floats by step. The others are left to an independent sampler. All that
is known is read from the study itself, so that several processes can share it, and a study that is
continued goes on as if it had never stopped. docs/optuna.md
"""

import threading
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

try:
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )
    from optuna.samplers import BaseSampler, RandomSampler
    from optuna.search_space import IntersectionSearchSpace
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial, TrialState
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "weaknas_jax.integrations.optuna needs Optuna: pip install -e '.[optuna]'"
    ) from error

from weaknas_jax.integrations.follower import BUDGET, Follower, method_of
from weaknas_jax.spaces.choices import Arch, Choice, Choices, categorical, ordinal

MOST_LEVELS = 1000
"""Values of an ordered parameter; one that has more is left to the independent sampler."""
_ASKED = "weaknas:suggested"  # system attribute of a trial: its codes, before it has parameters


class WeakNASSampler(BaseSampler):
    """Weak predictors as a sampler of Optuna.

    Args:
      predictor: in `predictors.PREDICTORS`.
      seed: of all random numbers; None = another one for each sampler.
      init: trials with a value before the predictor is asked.
      constraint: what a suggestion must meet, as of `Choices`, by the names of the parameters.
      pool: combinations that are ranked; where there are more, they are a sample that moves.
      independent_sampler: for what is not in the common space; by default evenly at random, from
        the seed and the trial's number.
      **settings: further ones of `methods.make`.

    Raises:
      ValueError: a setting is unknown, or not one for a sampler.
    """

    def __init__(
        self,
        predictor: str = "gp",
        *,
        seed: int | None = None,
        init: int = 5,
        constraint: str | Callable[[Arch], Any] | None = None,
        pool: int = 20_000,
        independent_sampler: BaseSampler | None = None,
        **settings: Any,
    ):
        for name, value, least in (("init", init, 1), ("pool", pool, 1), ("seed", seed or 0, 0)):
            if value < least:
                raise ValueError(f"{name}={value}: must be at least {least}")
        if own := {"budget", "per_round"} & set(settings):
            name = min(own)
            raise ValueError(
                f"{name}={settings[name]}: the study says how many trials there are and how many "
                "at once; leave it out"
            )
        method_of(predictor, settings, BUDGET)  # what is wrong is said here, not in a trial
        self._predictor, self._settings = predictor, settings
        self._init, self._constraint, self._pool = init, constraint, pool
        self._seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        self._independent = independent_sampler
        self._warned: set[str] = set()
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        """Without the lock and what was read from a study, which is read again."""
        left_out = {"_lock", "_study", "_common", "_follower", "_space", "_learnt"}
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def reseed_rng(self) -> None:
        """For the independent sampler; ours keeps no state, a trial's number tells trials apart."""
        if self._independent is not None:
            self._independent.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Raises ValueError for a study of several objectives."""
        if len(study.directions) > 1:
            raise ValueError(
                f"WeakNASSampler searches for one objective, and the study has "
                f"{len(study.directions)}: combine them into one, or use another sampler"
            )
        if self._independent is not None:
            self._independent.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """For the independent sampler."""
        if self._independent is not None:
            self._independent.after_trial(study, trial, state, values)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What all completed trials have in common and whose values can be listed."""
        del trial
        with self._lock:
            self._attend(study)
            common = self._common.calculate(study)
        space = {}
        for name, distribution in common.items():
            if distribution.single():
                continue
            if _parameter(distribution) is None:
                self._warn(
                    name,
                    f"parameter {name!r} is sampled independently: give it a step, or no more "
                    f"than {MOST_LEVELS:,} values",
                )
            else:
                space[name] = distribution
        return space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values for the whole of the space; none where it is empty or used up."""
        fixed = trial.system_attrs.get("fixed_params", {})
        if search_space.keys() <= fixed.keys():
            return {}
        with self._lock:
            self._attend(study)
            parameters = self._follow(search_space)
            pending = self._read(study, trial, parameters)
            known = _arch({k: p for k, p in parameters.items() if k in fixed}, fixed)
            arch = self._follower.suggest(pending, known)
            if arch is None:
                if not fixed:
                    self._warn("", "all combinations were tried; further ones repeat at random")
                return {}
            codes = {name: p.choice.options.index(arch[name]) for name, p in parameters.items()}
            # Parameters are stored one by one as the objective asks for them: others see this now.
            study._storage.set_trial_system_attr(trial._trial_id, _ASKED, codes)
        return {name: parameters[name].values[code] for name, code in codes.items()}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value by the independent sampler."""
        sampler = self._independent
        if sampler is None:
            words = [self._seed, trial.number, zlib.crc32(param_name.encode())]
            sampler = RandomSampler(int(np.random.SeedSequence(words).generate_state(1)[0]))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._study, self._common = None, IntersectionSearchSpace()
        self._follower, self._space, self._learnt = None, None, set()

    def _attend(self, study: Study) -> None:
        """One study is kept in mind; another one is read from its beginning."""
        this = study._storage, study._study_id
        if self._study != this:
            self._study, self._common, self._space = this, IntersectionSearchSpace(), None

    def _follow(self, space: Mapping[str, BaseDistribution]) -> dict[str, "_Parameter"]:
        """Has a follower in ``space``; returns its parameters."""
        parameters = {name: _parameter(distribution) for name, distribution in space.items()}
        if self._space != space:
            choices = {name: parameter.choice for name, parameter in parameters.items()}
            self._follower = Follower(
                self._predictor,
                self._settings,
                Choices(choices, constraint=self._constraint),
                seed=self._seed,
                init=self._init,
                pool=self._pool,
            )
            self._space, self._learnt = dict(space), set()
        return parameters

    def _read(
        self, study: Study, trial: FrozenTrial, parameters: Mapping[str, "_Parameter"]
    ) -> list[Arch]:
        """Hands on what has finished since, by number; returns what is running, but ``trial``."""
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        pending = []
        # Of the storage: a pruner may show a sampler only a part of the study.
        for other in study._storage.get_all_trials(study._study_id, deepcopy=False):
            if other._trial_id in self._learnt or other._trial_id == trial._trial_id:
                continue
            if other.state.is_finished():
                self._learnt.add(other._trial_id)
                arch = _arch(parameters, other.params)
                if len(arch) == len(parameters):
                    complete = other.state == TrialState.COMPLETE
                    self._follower.learn(arch, sign * other.value if complete else np.nan)
            elif other.state == TrialState.RUNNING:
                asked, options = other.system_attrs.get(_ASKED, {}), {}
                for name in asked.keys() & parameters.keys():
                    options[name] = parameters[name].choice.options[asked[name]]
                for values in (other.system_attrs.get("fixed_params", {}), other.params):
                    options |= _arch(parameters, values)
                if len(options) == len(parameters):
                    pending.append(options)
        return pending

    def _warn(self, about: str, message: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            warnings.warn(f"WeakNASSampler: {message}", stacklevel=3)


class _Parameter(NamedTuple):
    """A parameter whose values can be listed.

    Attributes:
      values: as Optuna has them.
      choice: the same as ours, in the same order.
      place: of a value among them; ValueError: it is none of them.
    """

    values: Sequence[Any]
    choice: Choice
    place: Callable[[Any], int]


def _parameter(distribution: BaseDistribution) -> _Parameter | None:
    """None = its values cannot be listed, or are too many."""
    if isinstance(distribution, CategoricalDistribution):
        # Of values that are equal, as 1 and True are, Optuna only ever stores the first.
        places = sorted({int(distribution.to_internal_repr(v)) for v in distribution.choices})
        values = [distribution.choices[at] for at in places]
        plain = all(isinstance(value, str | int | float) and value == value for value in values)
        return _Parameter(
            values,
            categorical(*(values if plain else map(repr, values))),  # None may be among them
            lambda value: places.index(int(distribution.to_internal_repr(value))),
        )
    if not isinstance(distribution, IntDistribution | FloatDistribution) or not distribution.step:
        return None
    low, high, step = distribution.low, distribution.high, distribution.step
    if (high - low) / step >= MOST_LEVELS:
        return None
    values = [min(low + i * step, high) for i in range(round((high - low) / step) + 1)]

    def place(value: Any) -> int:
        at = round((value - low) / step)
        if not 0 <= at < len(values) or abs(values[at] - value) > 1e-6 * step:
            raise ValueError(f"{value} is not one of {low}, {low + step}, ..., {high}")
        return at

    return _Parameter(values, ordinal(*values), place)


def _arch(parameters: Mapping[str, _Parameter], values: Mapping[str, Any]) -> Arch:
    """Those of ``values`` that are of the space, as options of its choices."""
    arch = {}
    for name, parameter in parameters.items():
        try:
            arch[name] = parameter.choice.options[parameter.place(values[name])]
        except (KeyError, ValueError, TypeError):  # not asked for, or not among the values
            continue
    return arch
