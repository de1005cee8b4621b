"""Checks that a resumed search has the flags and backend it was started with."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import jax
from absl import flags

from weaknas_jax.cli import console
from weaknas_jax.report import provenance
from weaknas_jax.storage import identity

_HOW = {"out", "overwrite", "resume"}  # about the call, not the search
LEAVE_OUT = "leave these flags out, or name another folder"


def asked(names: Iterable[str]) -> dict[str, Any]:
    """Values of the flags ``names`` on this command line that define the search, by name."""
    named = (name for name in names if name not in _HOW)
    return {name: flags.FLAGS[name].value for name in named if flags.FLAGS[name].present}


def check(
    place: Any,
    stored: Mapping[str, Any],
    there: Mapping[str, Any],
    here: Mapping[str, Any],
    free: Collection[str],
    do: str = LEAVE_OUT,
) -> None:
    """Checks flags and backend against the stored search; notes other versions or devices.

    Args:
      place: the folder.
      stored: its ``config.json`` or ``sweep.json``.
      there: stored values of flags; the default stands for flags added in later versions.
      here: current values of the flags to compare.
      free: flags that may differ.
      do: as in `identity.check`.

    Raises:
      IdentityError: a flag outside ``free`` differs, or the backend.
    """
    there = {name: flags.FLAGS[name].default for name in here} | dict(there)
    was, now = ({f"--{name}": of[name] for name in here} for of in (there, here))
    was["backend"], now["backend"] = stored["platform"], jax.default_backend()
    free = [f"--{name}" for name in free if name not in _HOW]
    identity.check(place, was, now, free=free, do=do)
    note_elsewhere(stored)


def check_table(place: Any, stored: Mapping[str, Any], sha256: str | None) -> None:
    """Raises IdentityError where the file --table has other content than at the start."""
    was, now = ({"content of --table (SHA-256)": of} for of in (stored["table_sha256"], sha256))
    identity.check(place, was, now, do="name the original table, or another folder")


def note_elsewhere(stored: Mapping[str, Any]) -> bool:
    """Notes changes of backend, device and versions; returns whether there are any."""
    now = {"device": provenance.device(), "versions": provenance.versions()}
    if "platform" in stored:
        now["platform"] = jax.default_backend()
    was = {part: stored[part] for part in now}
    was["versions"] = {name: was["versions"].get(name) for name in now["versions"]}
    if other := identity.differences(was, now):
        console.note(f"note: {identity.text(other)}: numbers may be rounded differently")
    return bool(other)
