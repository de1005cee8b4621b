"""Fields of the JSON files, as JSON Schema.

A field is a line: its type, with ``?`` if it may be null, and its description. ``[...]`` is a list,
a dict an object with those fields. A field whose name ends with ``?`` may be missing, ``*`` stands
for any name, and the field ``""`` describes the object itself.
"""

from typing import Any

_CURVE = {"mean": ["number?"], "std": ["number?"], "runs": ["integer"]}
_QUERIES = {
    "mean": "number: over runs, where one that did not meet the target counts as its budget",
    "mean_is_lower_bound": "boolean: some runs did not",
    "std": "number?",
    "standard_error": "number?",
    "median": "number?: null = half of the runs or more did not meet it",
    "ci95": ["number?"],
    "censored": "integer: runs that did not meet it",
    "budget": "integer",
    "per_seed": ["integer?"],
}
_ACCURACY = {
    "runs": "integer: in which it is known",
    "test_mean": "number?",
    "test_std": "number?",
    "regret": "number?: to the best of the table, never negative",
    "mean_rank": "number?",
    "rank_of_mean": "number?",
}
_VERSIONS = {"*": "string"}
_ARCH = "object: the architecture"

_ANSWER = {
    "row": "integer?: in the whole table; null = no query of the run has a label",
    "name": "string?",
    "valid": "number?: mean of the table",
    "test": "number?: mean of the table",
    "costs": {"*": "number"},
    "columns?": "object: what the table's columns say of it",
}
_ANSWER_OF_A_RUN = {
    "run": "integer",
    **_ANSWER,
    "query": "integer?: that asked for it, 1 = the first",
    "label": "number?: what that query returned",
    "by?": "string?: what chose it: label, repeats or posterior",
    "predicted?": "number?: mean of the last fit as a label, where that was to choose",
    "repeats?": {"mean": "number?", "standard_error": "number?", "count": "integer"},
}

SEARCH = {
    "space": "string",
    "dataset": "string",
    "architectures": "integer: that were searched",
    "table_size": "integer: architectures of the whole table",
    "constraint": "string?: what those that were searched meet",
    "table_version": "string?",
    "minimize": "boolean: the lowest score is the best",
    "percent": "boolean: scores are percent",
    "num_runs": "integer",
    "runs": ["integer"],
    "queries_made": ["integer"],
    "budget": "integer: queries of a run at most",
    "protocol": {"name": "string", "counts_predicted_top": "boolean", "*": "any"},
    "queries_to_optimum": {"target": "string", "target_rows": ["integer"], **_QUERIES},
    "milestones": {"*": _QUERIES},
    "curve": {"queries": ["integer"], "*": _CURVE},
    "final": {
        "report": "string: which accuracy stands for a run",
        **_ACCURACY,
        "best_valid_mean": "number?",
        "each": {"*": _ACCURACY},
    },
    "rounds": {"queries": ["integer"], "*": _CURVE},
    "broken": {"*": "integer: by run the round in which the predictor returned NaN"},
    "failed_queries": "integer",
    "answers?": {
        "": "the architectures that were found: the best by what --answer says",
        "runs": [_ANSWER_OF_A_RUN],
        "counts": [{"runs": "integer: whose answer it is", **_ANSWER}],
        "without": "integer: runs that have none",
    },
    "repeats?": {
        "repeat_top": "integer",
        "repeats": "number?: trainings more, a run",
        "trainings": "number?: in all, a run",
        "changed": "integer: runs whose answer is another one now",
        "mean": "number?",
        "standard_error": "number?",
        "count": "number?",
        "valid_regret": {"before": "number?", "after": "number?"},
        "curse": {"label": "number?", "mean": "number?"},
        "per_seed": ["object?: the answer of each run"],
        "before": _ACCURACY,
    },
    "posterior?": {
        "": "answers by predicted mean, beside those by label",
        "changed": "integer: runs whose answer is another one than by label",
        "valid_regret": {"label": "number?", "mean": "number?"},
        "curse": {"label": "number?", "mean": "number?"},
        "by_label": _ACCURACY,
    },
    "complete": "boolean: all runs that were asked for are done",
    "timing": {"compile_s": "number", "run_s": "number"},
    "timing_of_searches": "integer: searches that shared this time",
    "command": "string",
    "device": "string",
    "versions": _VERSIONS,
    "matmul_precision": "string",
    "method": "string",
    "predictor": "string?",
    "label_transform": "string?",
    "acquisition": "string?",
    "sampling": "string?",
    "features": "string",
    "without": "string?",
    "near_best": "integer",
    "pseudo_labels": "integer",
    "numbers": {"*": "number"},
    "stop": "string: budget or optimum",
    "seed": "integer",
    "init": "integer",
    "per_round": "integer",
    "top": "integer",
    "pareto?": {
        "cost": "string",
        "cost_unknown": "integer: architectures of no known cost",
        "front": [
            {
                "row": "integer",
                "name": "string?",
                "cost": "number",
                "valid": "number",
                "test": "number?",
                "runs": "integer: that evaluated it",
            }
        ],
        "table_front": "integer: architectures on the front of the table",
        "share_of_table_front": "number?: that a run evaluated",
    },
}

BEST = {
    "space": "string",
    "dataset": "string",
    "table_version": "string?",
    "architecture": "any: in the space's own form, else the table's columns by name",
    **{name: of for name, of in _ANSWER_OF_A_RUN.items() if name != "columns?"},
    "minimize": "boolean: the lowest score is the best",
    "percent": "boolean: scores are percent",
    "protocol": "string",
}

_JOB = {
    "query": "integer",
    "score": "number",
    "arch": _ARCH,
    "info": "object: what else the job returned",
    "cost?": "number",
    "scores?": ["number"],
    "mean?": "number",
    "error?": "number?: standard error of the mean",
    "n?": "integer",
    "expected?": "number: that the predictor expects of the answer after its last fit",
}
JOBS = {
    "complete": "boolean: it was not stopped",
    "finished": "integer: queries",
    "failed": "integer",
    "job_seconds": "number",
    "busy": "number?: share of the workers' time",
    "best": {"": "?the answer", **_JOB},
    "best_so_far": ["number?"],
    "settings": "object: what makes the search this one",
    "budget": "integer",
    "versions": _VERSIONS,
    "repeats?": {"top": "integer", "each": [_JOB]},
    "answer?": "string: posterior, chosen by the expected score; missing: by label",
    "cost?": "string",
    "cost_unknown?": "integer",
    "pareto?": [_JOB],
}

_SUBNETWORK = {
    "score": "number?",
    "multiply_adds": "integer",
    "parameters": "integer",
    "expected": "number?: that was expected of it when it was asked for",
    "seconds": "number",
    "error": "string?",
    "arch": _ARCH,
    "*": "any: what else the evaluation gave",
}
SUBNETWORKS = {
    "complete": "boolean: it was not stopped",
    "queries": "integer",
    "failed": "integer",
    "from_cache": "integer: queries that had been evaluated before",
    "device_hours": "number",
    "best": [_SUBNETWORK],
    "promised": ["object?: of each search what the last fit expects most of"],
    "curves": [["number?"]],
    "settings": "object: what makes the search this one",
    "evaluator": "string: supernet, oracle or command",
    "about": "object: what evaluations depend on",
    "budget": "integer",
    "device": "string",
    "versions": _VERSIONS,
}

DEMO = {
    "quick": "boolean: too short to mean anything",
    "seed": "integer",
    "tau": "number: Kendall's, of inherited and retrained accuracy",
    "tau_ci95": ["number"],
    "winner_place": "integer",
    "networks": "integer",
    "winner": {"inherited": "number", "retrained": "number"},
    "best_retrained": "number",
    "spread": {"*": "number"},
    "seed_range_mean": "number",
    "limit": "number: of million multiply-adds",
    "search": {"first_20": "number", "best": "number", "n": "integer"},
    "sizes": "object",
    "seconds": {"*": "number"},
    "seconds_total": "number",
    "device": "string",
    "versions": _VERSIONS,
}

_ACCURACIES = {"top1": "number: percent", "top5": "number: percent"}
TRAINING = {
    "averaged": _ACCURACIES,
    "last": _ACCURACIES,
    "multiply_adds": "integer",
    "parameters": "integer",
    "settings": "object: what makes the training this one",
    "device": "string",
    "versions": _VERSIONS,
}
SETTINGS = {
    "arch": _ARCH,
    "width": "number",
    "image_size": "integer",
    "batch_size": "integer",
    "seed": "integer",
    "images": "integer: to train on",
    "epochs": "integer",
    "warmup": "integer",
    "*": "any: the rest of the recipe",
    "checkpoints?": "string: the folder that holds them; missing: begun by version 0.1",
}

CONFIG = {
    "command": "string",
    "device": "string",
    "versions": _VERSIONS,
    "matmul_precision": "string",
    "platform": "string: the backend; another one does not go on with it",
    "flags": {"budget": "integer?", "*": "any"},
    "protocol": {"name": "string", "*": "any"},
    "numbers": {"*": "number"},
    "settings": {"lanes": "integer", "chunk": "integer?", "*": "any"},
    "memory": {"*": "integer"},
    "table_sha256": "string?: of the file that --table named",
    "runs": ["integer"],
    "sessions": [{"command": "string", "device": "string", "versions": _VERSIONS, "*": "any"}],
    "checkpoints?": "string: the folder that holds them; missing: begun by version 0.1",
}

SWEEP = {
    "axes": {"*": ["string"]},
    "flags": "object: of all combinations",
    "platform": "string: the backend; another one does not go on with it",
    "device": "string",
    "versions": _VERSIONS,
    "checkpoints?": "string: begins the names of their folders; missing: begun by version 0.1",
}

PREDICTORS = {
    "flags": "object",
    "label_transforms": {"*": "string"},
    "table_sha256": "string?: of the file that --table named",
    "sessions": [{"command": "string", "device": "string", "versions": _VERSIONS}],
    "cells": [
        {
            "predictor": "string",
            "n": "integer",
            "run": "integer",
            "nan": "integer: predictions that were NaN",
            "metrics": {"*": "number?"},
        }
    ],
}


def schema(fields: Any) -> dict[str, Any]:
    """The JSON Schema of fields in this notation.

    >>> schema({"seed": "integer: root", "name?": "string?"})["required"]
    ['seed']
    """
    if isinstance(fields, list):
        return {"type": "array", "items": schema(fields[0])}
    if isinstance(fields, str):
        kind, _, about = fields.partition(": ")
        return _typed(kind, about)
    about = fields.get("", "")
    named = {name: of for name, of in fields.items() if name not in ("", "*")}
    return {
        **_typed("object" + "?" * about.startswith("?"), about.removeprefix("?")),
        "properties": {name.removesuffix("?"): schema(of) for name, of in named.items()},
        "required": [name for name in named if not name.endswith("?")],
        "additionalProperties": schema(fields["*"]) if "*" in fields else False,
    }


def _typed(kind: str, about: str) -> dict[str, Any]:
    """``number?`` is a number or null; ``any`` is no restriction."""
    name = kind.removesuffix("?")
    of = {} if name == "any" else {"type": [name, "null"] if kind.endswith("?") else name}
    return of | ({"description": about} if about else {})
