"""What a call that goes on with a search must agree in with what began it: `storage.identity`."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import jax
from absl import flags

from weaknas_jax.cli import console
from weaknas_jax.report import provenance
from weaknas_jax.storage import identity

_HOW = {"out", "overwrite", "resume"}  # of a call, not of what it does
LEAVE_OUT = "leave these flags out, or name another folder"


def asked(names: Iterable[str]) -> dict[str, Any]:
    """Those of the flags ``names`` that are in this line and say what is done, by name."""
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
    """Finds that flags go on with what is stored; notes where versions or device are others.

    Args:
      place: the folder.
      stored: its ``config.json`` or ``sweep.json``.
      there: values of flags that it began with; the default is that of one that came later.
      here: values of flags now, of those that are to agree.
      free: flags that may differ.
      do: as of `identity.check`.

    Raises:
      IdentityError: a flag that may not differ does, or the backend.
    """
    there = {name: flags.FLAGS[name].default for name in here} | dict(there)
    was, now = ({f"--{name}": of[name] for name in here} for of in (there, here))
    was["backend"], now["backend"] = stored["platform"], jax.default_backend()
    free = [f"--{name}" for name in free if name not in _HOW]
    identity.check(place, was, now, free=free, do=do)
    note_elsewhere(stored)


def check_table(place: Any, stored: Mapping[str, Any], sha256: str | None) -> None:
    """Raises IdentityError where the content of the file that --table names is another."""
    was, now = ({"content of --table (SHA-256)": of} for of in (stored["table_sha256"], sha256))
    identity.check(place, was, now, do="name the table that it began with, or another folder")


def note_elsewhere(stored: Mapping[str, Any]) -> bool:
    """Notes what differs of backend, device and versions since; returns whether anything does."""
    now = {"device": provenance.device(), "versions": provenance.versions()}
    if "platform" in stored:
        now["platform"] = jax.default_backend()
    was = {part: stored[part] for part in now}
    was["versions"] = {name: was["versions"].get(name) for name in now["versions"]}
    if other := identity.differences(was, now):
        console.note(f"note: {identity.text(other)}: numbers may round otherwise")
    return bool(other)
