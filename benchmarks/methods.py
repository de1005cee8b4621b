"""What 100 runs of each method cost, how it grows, and what a Python loop of the same costs.

    python -m benchmarks.methods --methods=random,evolution,local_search,mcts,lanas,weaknas \\
        > benchmarks/results/methods-cpu.txt

NAS-Bench-201 / CIFAR-10, honest protocol, compiled before the clock starts; all in one process, in
turn. Two loops stand beside the methods that walk: the same method asked and told from Python, one
run at a time (jitted, compiled before), and a plain Python program of the same rules. The
reference procedure is scikit-learn's MLP fitted anew every ten queries, timed for a round at 100
labels.
"""

import random
import time

import jax
import numpy as np
from absl import app, flags, logging

from benchmarks.common import Twin, labelled
from weaknas_jax import HONEST, Job, Program, Settings, load_nasbench201
from weaknas_jax.core import plan
from weaknas_jax.predictors.mlp import init_params
from weaknas_jax.runs import task
from weaknas_jax.search import methods
from weaknas_jax.tables.table import Table

_RUNS = flags.DEFINE_integer("runs", 100, "Runs of each.", lower_bound=4)
_REPEATS = flags.DEFINE_integer("repeats", 1, "Timings of each; medians are shown.", lower_bound=1)
SIZES = {"random": {"init": 10, "per_round": 10}, "evolution": {"init": 50, "per_round": 1}}
SIZES |= {"local_search": {"init": 10, "per_round": 1}, "mcts": {"init": 1, "per_round": 1}}
SIZES |= {"lanas": {"init": 50, "per_round": 1}, "bananas": {"init": 10, "per_round": 10}}
SIZES |= {"weaknas": {"init": 1, "per_round": 1}}
_METHODS = flags.DEFINE_list("methods", list(SIZES), "Which of them.")
FEW = {"bananas": 1, "mcts": 3, "lanas": 3, "weaknas": 3}
"""So many runs are timed of these; what is shown is for all, in proportion."""


def part(table: Table, share: int) -> Table:
    """Every ``share``-th architecture."""
    rows = np.arange(0, len(table), share)
    named = {"space": table.space, "dataset": table.dataset, "names": table.names[rows]}
    return Table(
        encoding=table.encoding[rows], valid=table.valid[rows], test=table.test[rows], **named
    )


def seconds(name: str, problem: task.Task, budget: int, runs: int) -> float:
    """Of ``runs`` runs, as a median."""
    method = methods.make("gp", method=name, budget=budget, **SIZES[name])
    program = Program(method, problem, Settings(measure=False, rounds_per_call=1000))
    few = min(runs, FEW.get(name, runs))
    times = []
    for _ in range(_REPEATS.value):
        began = time.perf_counter()
        steps = program.work(0, [Job(0, run) for run in range(few)])
        assert sum(len(step.ended) for step in steps) == few
        times.append(time.perf_counter() - began)
    return float(np.median(times)) * runs / few


def asked_and_told(name: str, problem: task.Task, scores: np.ndarray, budget: int) -> float:
    """Seconds of one run, the method driven from Python."""
    method = methods.make("gp", method=name, budget=budget, **SIZES[name])
    ask, tell = jax.jit(method.ask), jax.jit(method.tell)

    def run(number: int) -> None:
        state = method.init(jax.random.fold_in(jax.random.key(0), number), problem.space)
        while True:
            state, indices = ask(state)
            indices = np.asarray(indices)
            if indices.max() < 0:
                return
            told = np.where(indices >= 0, scores[np.maximum(indices, 0)], np.nan)
            state, _ = tell(state, indices, told.astype(np.float32))

    run(0)
    began = time.perf_counter()
    for number in range(2):
        run(number)
    return (time.perf_counter() - began) / 2


def random_loop(scores: list, near: list, budget: int, rng: random.Random) -> float:
    return max(scores[row] for row in rng.sample(range(len(scores)), budget))


def evolution_loop(scores: list, near: list, budget: int, rng: random.Random) -> float:
    told = rng.sample(range(len(scores)), 50)
    seen = set(told)
    while len(told) < budget:
        alive = told[-50:]
        parent = max((rng.choice(alive) for _ in range(10)), key=scores.__getitem__)
        fresh = [row for row in near[parent] if row not in seen]
        child = rng.choice(fresh) if fresh else rng.randrange(len(scores))
        if child not in seen:
            seen.add(child)
            told.append(child)
    return max(scores[row] for row in told)


def local_search_loop(scores: list, near: list, budget: int, rng: random.Random) -> float:
    seen: set[int] = set()
    best = 0.0
    while len(seen) < budget:
        start = [row for row in rng.sample(range(len(scores)), 10) if row not in seen]
        seen.update(start)
        centre = max(start, key=scores.__getitem__)
        while len(seen) < budget:
            for row in rng.sample(near[centre], len(near[centre])):
                if len(seen) < budget:
                    seen.add(row)
            ahead = max(near[centre], key=scores.__getitem__)
            best = max(best, scores[centre])
            if scores[ahead] <= scores[centre]:
                break
            centre = ahead
    return best


LOOPS = {"random": random_loop, "evolution": evolution_loop, "local_search": local_search_loop}


def plain_python(name: str, problem: task.Task, scores: np.ndarray, budget: int) -> float:
    """Seconds of one run of a program without NumPy or JAX."""
    listed = scores.tolist()
    near = [[n for n in row if n >= 0] for row in np.asarray(problem.space.neighbours).tolist()]
    began = time.perf_counter()
    for number in range(20):
        LOOPS[name](listed, near, budget, random.Random(number))
    return (time.perf_counter() - began) / 20


def reference() -> float:
    """Seconds of 100 runs of 200 queries: 20 rounds each, by one round at 100 labels."""
    x, y = labelled()
    twin = Twin(init_params(jax.random.key(0), (30, 1000, 1000, 1000, 1000, 1)))
    began = time.perf_counter()
    twin.fit(x[:100], y[:100]).predict(x)
    return (time.perf_counter() - began) * 20 * 100


def main(_):
    logging.set_verbosity(logging.WARNING)
    runs, table = _RUNS.value, load_nasbench201("cifar10")
    tables = {len(t): t for t in (part(table, 16), part(table, 4), table)}
    problems = {n: task.make(t, HONEST, neighbours=True) for n, t in tables.items()}
    whole, scores = problems[len(table)], np.asarray(table.valid_mean)
    print(f"{jax.devices()[0].device_kind} ({plan.cores()} cores), JAX {jax.__version__}")
    print(f"seconds of {runs} runs; medians of {_REPEATS.value}\n")
    sizes = " ".join(f"N={n:<7,}" for n in tables)
    queries = (100, 200, 400)
    print(f"{'method':13} {sizes} | {' '.join(f'Q={q:<6}' for q in queries)} | runs: {runs // 4}")
    cost = {}
    for name in _METHODS.value:
        by_size = [seconds(name, problem, 200, runs) for problem in problems.values()]
        by_queries = [seconds(name, whole, q, runs) for q in queries]
        few = seconds(name, whole, 200, runs // 4)
        cost[name] = by_queries[1]
        cells = " ".join(f"{s:<9.2f}" for s in by_size)
        cells += " | " + " ".join(f"{s:<8.2f}" for s in by_queries)
        print(f"{name:13} {cells} | {few:.2f}", flush=True)

    print("\nA loop over the cost in batch, 1000 queries a run")
    print(f"{'method':13} asked and told from Python   plain Python")
    for name in LOOPS:
        batch = seconds(name, whole, 1000, runs)
        ratios = [
            f(name, whole, scores, 1000) * runs / batch for f in (asked_and_told, plain_python)
        ]
        print(f"{name:13} {ratios[0]:8.1f}                     {ratios[1]:8.1f}", flush=True)

    procedure = reference()
    print(f"\nthe reference procedure, {runs} runs of 200 queries: {procedure * runs / 100:.0f} s")
    print(
        "over ours: "
        + ", ".join(f"{name} {procedure * runs / 100 / s:.0f}" for name, s in cost.items())
    )


if __name__ == "__main__":
    app.run(main)
