"""Imports between the packages of weaknas_jax: `python tests/imports.py` prints all arrows."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEVELS = (
    {"core"},
    {"storage"},
    {"spaces"},
    {"predictors"},
    {"tables"},
    {"search"},
    {"runs"},
    {"measures"},
    {"report"},
    {"jobs"},
    {"supernets"},
    {"networks"},
    {"integrations"},
    {"cli"},
)
"""Packages from the bottom up: each may import those of lower levels, and itself."""
LEVEL = {package: i for i, packages in enumerate(LEVELS) for package in packages}
PRIVATE = {"_version", "_interrupt"}
"""Modules beside the packages, which import nothing of ours."""


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of weaknas_jax by its dotted name."""
    out = {}
    for path in sorted((root / "weaknas_jax").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        out[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return out


def imported(path: Path, names: dict[str, Path]) -> set[str]:
    """The modules of weaknas_jax that a file imports, wherever in it."""
    out = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            out |= {name if name in names else node.module for name in full}
    return {name for name in out if name.split(".")[0] == "weaknas_jax"}


def graph(root: Path = ROOT) -> dict[str, set[str]]:
    """What each module imports of the others."""
    names = modules(root)
    return {name: imported(path, names) - {name} for name, path in names.items()}


def package(module: str) -> str:
    """``weaknas_jax.runs.task`` is in ``runs``; the top module and its public names are in none."""
    return [*module.removesuffix(".public").split("."), ""][1]


def arrows(root: Path = ROOT) -> Counter[tuple[str, str]]:
    """How many imports lead from one package to another; the top module's own left out."""
    pairs = [(package(a), package(b)) for a, uses in graph(root).items() for b in uses]
    return Counter((a, b) for a, b in pairs if a and a != b and b not in PRIVATE)


def upward(root: Path = ROOT) -> list[str]:
    """The imports that lead to the same level or up, or out of the packages."""
    out = []
    for a, uses in graph(root).items():
        for b in sorted(uses):
            here, there = package(a), package(b)
            if not here or here == there or here in PRIVATE or there in PRIVATE:
                continue
            if there not in LEVEL or LEVEL[there] >= LEVEL[here]:
                out.append(f"{a} imports {b}")
    return out


if __name__ == "__main__":
    for (a, b), count in sorted(arrows().items(), key=lambda pair: LEVEL[pair[0][0]]):
        print(f"{a} -> {b}: {count}")
    print(f"{len(LEVEL)} packages, {len(arrows())} arrows, {len(upward())} of them back up")
