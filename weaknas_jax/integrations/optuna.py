"""A sampler for Optuna: its studies, storages, pruners and dashboard, and our queries.

    study = optuna.create_study(sampler=WeakNASSampler(seed=0), direction="maximize")
    study.optimize(objective, n_trials=100)

What completed trials say of the space (`structure`) is searched together: categorical parameters,
numbers of every kind (`levels`), conditional ones. What they do not say is left to an independent
sampler. All that is known is read from the study itself, so that several processes can share it,
and a study that is continued goes on as if it had never stopped. docs/optuna.md
"""

import functools
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

try:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler, TPESampler
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial, TrialState
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "weaknas_jax.integrations.optuna needs Optuna: pip install -e '.[optuna]'"
    ) from error

from weaknas_jax.integrations.follower import BUDGET, Follower, FollowerSettings, method_of
from weaknas_jax.integrations.others import Other, announce, look
from weaknas_jax.integrations.structure import Plan, Structure
from weaknas_jax.spaces import expressions
from weaknas_jax.spaces.choices import Arch, Choices

_TURNS, _LOOKS, _PAUSE = 4, 20, 0.01  # another suggestion at most so often; seconds between looks


class WeakNASSampler(BaseSampler):
    """Weak predictors as a sampler of Optuna.

    Args:
      predictor: in `predictors.PREDICTORS`.
      seed: of all random numbers; None = another one for each sampler.
      init: trials with a value before the predictor is asked.
      constraint: what a suggestion must meet, as of `Choices`, by the names of the parameters.
      pool: combinations that are ranked; where there are more, they are a sample that moves.
      independent_sampler: for what is not searched together; by default Optuna's `TPESampler`,
        from the seed, the trial's number and the parameter's name.
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
        method_of(predictor, settings, BUDGET)  # errors are raised here, not in a trial
        if isinstance(constraint, str):
            expressions.parse(constraint, f"constraint={constraint!r}")
        self._predictor, self._settings = predictor, settings
        self._init, self._constraint, self._pool = init, constraint, pool
        self._seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        self._independent = independent_sampler
        self._warned: set[str] = set()
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        """Without the lock and what was read from a study, which is read again."""
        left_out = {"_lock", "_study", "_structure", "_follower", "_space", "_learnt"}
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
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
        """The search space, inferred from the completed trials."""
        del trial
        with self._lock:
            self._read_trials(study)
            return dict(self._structure.plan().distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of the parameters of the space; {} where it is empty."""
        fixed = trial.system_attrs.get("fixed_params", {})
        if search_space.keys() <= fixed.keys():
            return {}
        with self._lock:
            self._read_trials(study)
            plan = self._structure.plan(search_space)
            if not plan.distributions:
                return {}
            values: dict[str, Any] = {}
            for _ in range(_TURNS):
                suggestion = self._suggested(study, trial, plan, fixed)
                if not suggestion:
                    break
                values, asked = suggestion
                announce(study, trial, asked)
                if self._is_unique(study, trial, plan, asked):
                    break
            return values

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value from the independent sampler."""
        sampler = self._independent
        if sampler is None:
            words = [self._seed, trial.number, zlib.crc32(param_name.encode())]
            sampler = TPESampler(seed=int(np.random.SeedSequence(words).generate_state(1)[0]))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._study, self._structure = None, Structure()
        self._follower, self._space, self._learnt = None, None, set()

    def _read_trials(self, study: Study) -> None:
        """Reads new completed trials; another study than the last is read from its beginning."""
        this = study._storage, study._study_id
        if self._study != this:
            self._study, self._structure, self._space = this, Structure(), None
        # Of the storage: a pruner may show a sampler only a part of the study.
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        self._structure.add(t for t in trials if t.state == TrialState.COMPLETE)

    def _suggested(
        self, study: Study, trial: FrozenTrial, plan: Plan, fixed: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, float]] | None:
        """Values of the parameters, and the same as Optuna stores them; None = nothing is left."""
        self._follow(plan, again=plan.rest)
        for again in (False, True):
            others = self._read(study, trial, plan)
            pending = [other.arch for other in others if other.running and other.arch]
            arch = self._follower.suggest(pending, plan.read(fixed)[0])
            if arch is not None or fixed or again or self._follower.mode.again:
                break
            if plan.finite:
                those = "" if self._follower.whole else " that were found to meet the constraint"
                self._warn(f"all combinations{those} were tried; the best ones are repeated")
            self._follow(plan, again=True)
        if arch is None:
            return None
        values = {}
        for name, one in plan.parameters.items():
            if arch[name] is not None:
                level = one.choice.options.index(arch[name])
                share = self._share(trial, name) if self._follower.mode.again else None
                values[name] = one.values[level] if share is None else one.near(level, share)
        return values, plan.stored(values)

    def _is_unique(
        self, study: Study, trial: FrozenTrial, plan: Plan, asked: Mapping[str, float]
    ) -> bool:
        """Whether no other process announced the same values meanwhile.

        If two trials see each other, the one with the larger number chooses again and the other
        waits for it. A trial also chooses again if the other has already begun.
        """
        if self._follower.mode.again:
            return True
        for _ in range(_LOOKS):
            rivals = [o for o in self._read(study, trial, plan) if o.asked == asked]
            if not rivals:
                return True
            if any(other.begun or other.trial.number < trial.number for other in rivals):
                return False
            time.sleep(_PAUSE)
        return False

    def _share(self, trial: FrozenTrial, name: str) -> float:
        words = [self._seed, trial.number, zlib.crc32(name.encode())]
        return float(np.random.default_rng(words).random())

    def _follow(self, plan: Plan, again: bool) -> None:
        """Creates a follower in the space of ``plan``, unless the current one is in this space."""
        space = list(plan.distributions.items()), plan.when, plan.finite, plan.rest
        same = self._space is not None and self._space[0] == space
        if same and (self._space[1] or not again):  # a space that is used up is so for good
            return
        self._follower = Follower(
            self._predictor,
            self._settings,
            Choices(plan.choices(), constraint=self._constraint_in(plan)),
            seed=self._seed,
            init=self._init,
            pool=self._pool,
            mode=FollowerSettings(exact=plan.finite and not again, again=again, best=plan.rest),
        )
        self._space, self._learnt = (space, again), set()

    def _constraint_in(self, plan: Plan) -> str | Callable[[Arch], Any] | None:
        """The constraint, where the parameters that it names are searched."""
        constraint, there = self._constraint, set(plan.parameters)
        if isinstance(constraint, str):
            names = expressions.parse(constraint, f"constraint={constraint!r}").names
            if missing := sorted(set(names) - there):
                self._not_held(missing[0], there)
                return None
        if not callable(constraint):
            return constraint

        @functools.wraps(constraint)
        def where_searched(arch: Arch) -> bool:
            try:
                return constraint(arch)
            except KeyError as error:
                if not error.args or error.args[0] in there:
                    raise
                self._not_held(error.args[0], there)
                return True

        return where_searched

    def _not_held(self, missing: str, there: Collection[str]) -> None:
        self._warn(
            f"the constraint does not hold yet: it is about {missing!r}, and the parameters that "
            f"are searched together so far are {', '.join(sorted(there))}"
        )

    def _read(self, study: Study, trial: FrozenTrial, plan: Plan) -> list[Other]:
        """Passes newly finished trials to the follower; returns them and the running ones."""
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        others = look(study, trial, plan, self._learnt)
        for other in others:
            if not other.running:
                self._learnt.add(other.trial._trial_id)
                if other.arch is not None:
                    complete = other.trial.state == TrialState.COMPLETE
                    score = sign * other.trial.value if complete else np.nan
                    self._follower.learn(other.arch, score)
        return others

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(f"WeakNASSampler: {message}", stacklevel=3)
