"""Report a finished experiment under other protocol switches, without searching again.

    weaknas reread RUN [--counting=round] [--predicted_top=free] [--cost=params]
        [--repeat_top=10] [--answer=posterior] ...

Only switches that the search did not depend on can be changed. A run that stopped at its target
ended by the old definition; under a definition that meets the target later it may be censored.
Use runs with ``--stop=budget``, or change from the later definition to the earlier.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import jax
from absl import flags

from weaknas_jax.cli import console, entry
from weaknas_jax.cli.configure import load, search_config, with_defaults
from weaknas_jax.cli.help import About
from weaknas_jax.core import protocol
from weaknas_jax.core.trace import Trace
from weaknas_jax.measures import pareto, posterior, repeats
from weaknas_jax.measures import summary as summaries
from weaknas_jax.measures.posterior import Posterior
from weaknas_jax.report import run_folder, text
from weaknas_jax.runs.config import ANSWERS, ConfigError
from weaknas_jax.runs.prepare import prepare
from weaknas_jax.tables import Table, constraints

_SWITCHES = {
    "counting": protocol.CHOICES["counting"],
    "predicted_top": ("off", "free"),
    "report": protocol.CHOICES["report"],
    "target": protocol.CHOICES["target"],
}
_FLAGS = {
    name: flags.DEFINE_enum(name, None, list(choices), "Default: as in the experiment.")
    for name, choices in _SWITCHES.items()
}
_help = "Best architectures by label to evaluate again at the end; default: as in the experiment."
_REPEAT_TOP = flags.DEFINE_integer("repeat_top", None, _help, lower_bound=0)
_help = "What chooses the answer of a run; default: as in the experiment."
_ANSWER = flags.DEFINE_enum("answer", None, list(ANSWERS), _help)
_COST = flags.DEFINE_string(
    "cost", None, "Cost of the Pareto front; default: as in the experiment."
)
NAMES = [flag.name for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])]


@entry.checked_with_arguments
def main(argv: list[str]) -> int:
    if len(argv) != 2:
        return console.fail("name the folder of one experiment")
    try:
        old, trace = run_folder.load_summary(argv[1]), run_folder.load_trace(argv[1])
        config = summaries.read(Path(argv[1]) / "config.json", "config")
        asked = config["flags"]
        source = [asked[name] for name in ("space", "dataset", "table_version", "table")]
        limits = {name: asked.get(name) for name in ("constraint", "minimize")}
        table, _ = load(*source, **limits)
        switches = {name: old["protocol"][name] for name in protocol.CHOICES}
        changed = {name: flag.value for name, flag in _FLAGS.items() if flag.value is not None}
        if switches["predicted_top"] == "counted" and "predicted_top" in changed:
            return console.fail("--predicted_top: the search itself depended on it (counted)")
        noise = asked.get("label_noise", 0.0)
        rule = protocol.resolve(asked["protocol"], label_noise=noise, **(switches | changed))
        top, again = asked.get("repeat_top", 0), None
        top = top if _REPEAT_TOP.value is None else _REPEAT_TOP.value
        if top:
            again = repeats.ask_again(trace, table, rule, asked["seed"], top)
        cost = _COST.value or asked.get("cost")
        costs = {cost: constraints.cost(table, cost)} if cost else {}
        changes = {"answer": _ANSWER.value or asked.get("answer", "label"), "repeat_top": top}
        chosen = _by_predicted_mean(asked | changes, table, trace, config["settings"]["chunk"])
        new = text.summarize(trace, table, rule, again, costs, chosen)
        if cost:
            front = pareto.measure(trace, table, cost, costs[cost])
            new["pareto"] = pareto.summary(front, table)
    except ConfigError as error:
        return console.fail(f"{argv[1]}: {error.flags}")
    except (ValueError, OSError, KeyError) as error:
        return console.fail(f"{argv[1]}: {error}")
    for name in ("repeats", "posterior"):
        old.pop(name, None)
    print(text.text({**old, **new}, []))
    return 0


def _by_predicted_mean(
    asked: Mapping[str, Any], table: Table, trace: Trace, chunk: int | None
) -> Posterior | None:
    """The answers by predicted mean, where they are asked for; None = by label.

    Raises:
      ConfigError: the experiment has no predictor, or something else chooses its answers.
    """
    if asked["answer"] == "label":
        return None
    search = prepare(table, search_config(with_defaults(asked), table.space))
    jax.config.update("jax_default_matmul_precision", asked["matmul_precision"])
    return posterior.choose(trace, table, search.last_fit(trace, chunk))


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    entry.start(main, About("weaknas reread", __doc__, NAMES))
