"""Search a space of your own with a shell command for each architecture.

    weaknas jobs --space=FILE.json --command='python train.py {arch}' --workers=4

``{arch}`` is the architecture as JSON, ``{NAME}`` the value of a choice; the last line of output is
the score, larger is better. The same command line resumes a stopped search, and with a larger
``--budget`` extends a finished one. README and docs/jobs.md describe the space file.
"""

import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from absl import flags

from weaknas_jax import jobs
from weaknas_jax.cli import console, entry, idle, job_flags
from weaknas_jax.cli.define import asked_numbers, define_named, define_numbers
from weaknas_jax.cli.help import SEARCH, About, description
from weaknas_jax.cli.job_flags import MODE, RETRIES, TIMEOUT, WORKERS
from weaknas_jax.core import called
from weaknas_jax.core.types import Method
from weaknas_jax.jobs import checks, report
from weaknas_jax.jobs.command import Command
from weaknas_jax.report import provenance, run_folder
from weaknas_jax.search import defaults, methods
from weaknas_jax.spaces import candidates, choices_file
from weaknas_jax.spaces.choices import Choices
from weaknas_jax.storage import journal, ownership

_enum, _int, _float = flags.DEFINE_enum, flags.DEFINE_integer, flags.DEFINE_float

SPACE = flags.DEFINE_string("space", None, "JSON file of the search space (docs/jobs.md).")
COMMAND = flags.DEFINE_string(
    "command", None, "Shell command that evaluates an architecture, with {arch} or {NAME}."
)
_help = "Q, total queries. Default: 100, or the size of the space if it is smaller."
BUDGET = _int("budget", None, _help, lower_bound=1)
_help = "M0, random architectures at the start. Default: 4, or the number of workers."
INIT = _int("init", None, _help, lower_bound=1)
_help = "M, queries of a later round. Default: the number of workers; in async mode 1."
PER_ROUND = _int("per_round", None, _help, lower_bound=1)
MINIMIZE = flags.DEFINE_bool("minimize", False, "Smaller scores are better.")
_help = "Condition on architectures, e.g. 'depth * width <= 512', besides the file's own."
CONSTRAINT = flags.DEFINE_string("constraint", None, _help)
_help = "Cost to minimize beside the score, for the Pareto front; replaces the file's."
COST = flags.DEFINE_string("cost", None, _help)
_help = "K best to evaluate once more at the end; the answer has the best mean of both scores."
REPEAT_TOP = _int("repeat_top", 0, _help, lower_bound=0)
ANSWER = define_named("answer", help="The answer: best by score, or by what the predictor expects.")
METHOD = define_named("method", choices=methods.EVERYWHERE)
PREDICTOR = define_named("predictor")
for _name in methods.CHOICES:
    define_named(_name)
TOP = define_named("top")
define_numbers()
_help = "Architectures to rank where the space is too large to enumerate."
POOL = _int("pool", candidates.SIZE, _help, lower_bound=10)
SEED = _int("seed", 0, "Root of all random numbers.", lower_bound=0, upper_bound=2**32 - 1)
OUT = flags.DEFINE_string("out", None, "Folder for the results; default: named after the search.")
_help = "Cut a damaged journal off at the damage, keeping a copy; runs no jobs."
REPAIR = flags.DEFINE_bool("repair", False, _help)
_OWN = flags.FLAGS.get_flags_for_module(sys.modules[__name__])
NAMES = [*job_flags.NAMES, *(flag.name for flag in _OWN)]
_ABOUT = About("weaknas jobs", __doc__, NAMES, SEARCH)


@entry.checked
def main(argv: list[str]) -> int:
    del argv
    try:
        return _repair() if REPAIR.value else _search()
    except journal.DamageError as error:
        return console.fail(f"{error}, or {called.this_line()} --repair")
    except ValueError as error:
        return console.fail(str(error))
    except OSError as error:
        why = "finished jobs are saved: fix this, then run the same command line"
        return console.fail(f"{error}; {why}", console.status(error))


class Request(NamedTuple):
    """The search that the flags describe.

    Attributes:
      space, method: the search.
      about: further content of the journal's header.
      identity: everything that distinguishes it from other searches.
      out: the folder.
    """

    space: Choices
    method: Method
    about: dict[str, Any]
    identity: dict[str, Any]
    out: str


def _request() -> Request:
    for flag in (SPACE, COMMAND):
        if not flag.value:
            line = description(_ABOUT).splitlines()[2].strip()
            raise ValueError(f"--{flag.name} is needed, e.g. {line}")
    checks.seconds("--timeout", TIMEOUT.value)
    idle.refuse_in_one_search()
    space = _space()
    method = _method(space)
    about = {"command": COMMAND.value, "minimize": MINIMIZE.value}
    identity = _identity(space, method, about)
    out = _default_folder(identity, space) if OUT.value is None else OUT.value
    return Request(space, method, about, identity, out)


def _search() -> int:
    space, method, about, identity, out = _request()
    folder = run_folder.prepare(out, "jobs", may_hold_one=True, names=report.FILES, kind="jobs")
    if ownership.ours(folder / "config.json"):
        raise ValueError(f"--out={out}: holds an experiment on a table; name another folder")
    workers, sign = WORKERS.value, -1.0 if MINIMIZE.value else 1.0
    command = Command(COMMAND.value, space.names, folder / "logs", workers, TIMEOUT.value)
    console.note(f"{folder}: {len(space.names)} choices, {method.budget} queries")
    with console.stoppable("starting no more jobs; waiting for the running ones") as stop:
        threads = ThreadPoolExecutor(workers)
        try:
            result = jobs.search(
                method,
                lambda arch: _signed(command(arch), sign),
                space,
                executor=threads,
                workers=workers,
                mode=MODE.value,
                seed=SEED.value,
                pool=POOL.value,
                journal=str(folder / "journal.jsonl"),
                about=about,
                retries=RETRIES.value,
                repeat_top=REPEAT_TOP.value,
                answer=ANSWER.value,
                progress=lambda now: console.note(_line(now, sign)),
                stop=stop,
            )
        except KeyboardInterrupt:
            return console.fail("interrupted; run the same command line to resume", 130)
        finally:
            command.end()
            threads.shutdown()
    if result.torn:
        console.note(f"{folder}/journal.jsonl: an incomplete last line was removed")
    if result.resumed and result.resumed == len(result.evaluations):
        console.note(f"{folder}: all {result.resumed} queries had finished already")
    fields = {"settings": identity, "budget": method.budget, "versions": provenance.versions()}
    findings = report.gather(result, space, sign)
    summary = report.summarize(findings, **fields)
    print(report.text(summary, report.save(folder, findings, summary)))
    if not result.complete:
        return console.interrupted(stop)
    return 0 if result.best is not None else console.fail("no job succeeded", 1)


def _repair() -> int:
    """Repairs the journal of a folder by `journal.repair`."""
    if not (OUT.value or (SPACE.value and COMMAND.value)):
        raise ValueError("--repair: name the folder of the search with --out")
    out = OUT.value or _request().out
    repaired = journal.repair(Path(out) / "journal.jsonl")
    if repaired.copy is None:
        print(f"{out}: its journal is intact, {repaired.kept} lines")
        return 0
    print(f"{out}: {repaired.why}")
    print(f"{repaired.kept} lines are kept; {repaired.copy} is a copy of the damaged journal")
    print("run the original command line to resume; it evaluates the lost ones again")
    return 0


def _identity(space: Choices, method: Method, about: dict[str, Any]) -> dict[str, Any]:
    """Everything that distinguishes this search from others: all but its cost and budget."""
    described = {name: value for name, value in space.describe().items() if name != "cost"}
    settings = {"seed": SEED.value, "pool": POOL.value}
    return {
        "space": described,
        "method": jobs.metadata(method),
        "mode": MODE.value,
        **about,
        **settings,
    }


def _default_folder(identity: dict[str, Any], space: Choices) -> str:
    """Folder named after the search; an existing one of an older version, named with the cost."""

    def name_of(identity: dict[str, Any]) -> str:
        mark = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
        return f"runs/jobs-{Path(SPACE.value).stem}-{mark}"

    out, earlier = name_of(identity), name_of(identity | {"space": space.describe()})
    return earlier if Path(earlier).exists() and not Path(out).exists() else out


def _space() -> Choices:
    """The space of the file, with the constraint and cost of the flags."""
    space = choices_file.load(SPACE.value)
    constraint = space.constraint
    if CONSTRAINT.value is not None:
        constraint = f"({constraint}) and ({CONSTRAINT.value})" if constraint else CONSTRAINT.value
    space = space.replace(constraint=constraint, cost=COST.value or space.cost)
    for line in space.remarks():
        console.note(f"note: {line}")
    return space


def _method(space: Choices) -> Method:
    codes = space.enumerate()
    size = len(codes) if codes is not None and len(codes) else None
    has_predictor = methods.METHODS[METHOD.value].predictor
    usual = defaults.of_jobs(
        METHOD.value,
        PREDICTOR.value if has_predictor else None,
        workers=WORKERS.value,
        rounds=MODE.value == "rounds",
        most=POOL.value if size is None else min(POOL.value, size),
    )
    budget = BUDGET.value or usual.budget
    return methods.make(
        PREDICTOR.value,
        method=METHOD.value,
        budget=budget,
        init=min(budget, INIT.value or usual.init),
        per_round=PER_ROUND.value or usual.per_round,
        top=TOP.value,
        **{name: flags.FLAGS[name].value for name in methods.CHOICES},
        **asked_numbers(),
    )


def _signed(returned: Any, sign: float) -> Any:
    """The result with the sign of its score set; `jobs.search` rejects scores of other types."""
    if isinstance(returned, dict):
        return returned | {"score": _signed(returned["score"], sign)}
    return sign * returned if isinstance(returned, int | float) else returned


def _line(now: jobs.Progress, sign: float) -> str:
    """The progress line of a finished query."""
    last, line = now.last, job_flags.progress_text(now, sign)
    if last.score is None:
        return f"{line}  {json.dumps(last.arch)}\n    {(last.error or '').splitlines()[-1]}"
    return f"{line}  {json.dumps(last.arch)}"


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    entry.start(main, _ABOUT)
