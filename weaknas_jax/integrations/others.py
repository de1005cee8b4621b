"""The other trials of a study, read from the storage before a trial begins.

Optuna stores parameters one by one as an objective asks for them. The suggested values are
announced before that, as an attribute of the trial, so that other processes see them.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from weaknas_jax.integrations.structure import Plan
from weaknas_jax.spaces.choices import Arch

_ASKED = "weaknas:suggested"


class Other(NamedTuple):
    """Another trial.

    Attributes:
      trial: as the storage has it.
      arch: the architecture it evaluates, None = unknown, or outside the space.
      asked: the same as Optuna stores values, {} where ``arch`` is None.
      running: it has not finished.
    """

    trial: FrozenTrial
    arch: Arch | None
    asked: Mapping[str, float]
    running: bool

    @property
    def begun(self) -> bool:
        """Whether its objective has asked for a parameter, so that its values are fixed."""
        return not self.running or bool(self.trial.params)


def announce(study: Study, trial: FrozenTrial, asked: Mapping[str, float]) -> None:
    """Stores the values that ``trial`` will evaluate, by name, for other processes."""
    study._storage.set_trial_system_attr(trial._trial_id, _ASKED, dict(asked))


def look(study: Study, trial: FrozenTrial, plan: Plan, excluded: Collection[int]) -> list[Other]:
    """Running and finished trials, by number, without ``trial`` and the ids in ``excluded``."""
    others = []
    # From the storage: a pruner may show a sampler only a part of the study.
    for other in study._storage.get_all_trials(study._study_id, deepcopy=False):
        if other._trial_id == trial._trial_id or other._trial_id in excluded:
            continue
        if other.state == TrialState.WAITING:
            continue
        running, values = not other.state.is_finished(), other.params
        if running:
            values = {
                name: plan.distributions[name].to_external_repr(value)
                for name, value in other.system_attrs.get(_ASKED, {}).items()
                if name in plan.distributions
            }
            values |= other.system_attrs.get("fixed_params", {}) | other.params
        # Completed trials from before a parameter was asked for are of use as well.
        lacking = other.state == TrialState.COMPLETE and not plan.finite
        arch, whole = plan.read(values, lacking=lacking)
        asked = plan.stored(values) if whole else {}
        others.append(Other(other, arch if whole else None, asked, running))
    return others
