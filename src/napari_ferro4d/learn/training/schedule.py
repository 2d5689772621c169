"""Training schedules: phases of epochs, each with its learning rate and loss weights."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from napari_ferro4d.errors import ScanError

AUTO = "auto"
"""Name of the schedule that training makes up as it goes, which is therefore not a list."""

BETA = 0.01
"""Weight of the KL term of a beta-VAE unless a schedule says another; the paper names none.

An ordinary VAE (beta 1 where squared errors and KL are summed, not averaged) has
``2 * noise * channels / pixels`` here, with the variance of the noise in the network's unit: 0.011
for 32 channels, 64 x 64 pixels and a noise of 0.7, as simulated scans of 2e5 electrons have it.
"""


@dataclass(frozen=True)
class Phase:
    """Some epochs with the same loss weights.

    Parameters
    ----------
    epochs : int
        Length.
    learning_rate : float
        Of Adam; at the beginning of the phase.
    end_learning_rate : float or None
        At the end of the phase, reached along half a cosine; None keeps it constant.
    cycle : tuple of float and int, or None
        ``(rate, epochs)``: the learning rate rises in equal steps, one after each epoch, and is
        `rate` after so many `epochs`, falls back in as many, and begins again.
    l1, similarity, divergence, beta : float
        Weights (lambda, and the beta of a beta-VAE) of the loss terms in `losses`.

    Raises
    ------
    ScanError
        If a value cannot be.
    """

    epochs: int
    learning_rate: float
    end_learning_rate: float | None = None
    cycle: tuple[float, int] | None = None
    l1: float = 0.0
    similarity: float = 0.0
    divergence: float = 0.0
    beta: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ScanError(f"a phase of {self.epochs} epochs trains nothing; give it 1 or more.")
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            least = value[0] if isinstance(value, tuple) else value
            if least is not None and not 0 <= least < math.inf:
                raise ScanError(f"{field.name} of a phase is {least}; it must be 0 or more.")
        if self.learning_rate == 0:
            raise ScanError("a phase with a learning_rate of 0 trains nothing.")
        if self.cycle is not None:
            if self.cycle[1] < 1:
                raise ScanError("the cycle of a phase must rise in 1 epoch or more.")
            if self.end_learning_rate is not None:
                raise ScanError("a phase has either a cycle or an end_learning_rate; drop one.")

    def to_json(self) -> dict[str, Any]:
        """Return the phase as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, header: Mapping[str, Any]) -> Phase:
        """Read what `to_json` wrote.

        Raises
        ------
        ScanError
            If a key is unknown or missing, or a value is of another type or cannot be.
        """
        from napari_ferro4d.io import as_kind, in_words

        types = get_type_hints(cls)
        values = {}
        for key, value in header.items():
            if key not in types:
                raise ScanError(f"{key!r} is no key of a phase; it has {', '.join(types)}.")
            try:
                plain = list(value) if isinstance(value, tuple) else value
                values[key] = as_kind(plain, types[key])
            except TypeError:
                raise ScanError(
                    f"{key} of a phase must be {in_words(types[key])}, not {value!r}."
                ) from None
        for key in ("epochs", "learning_rate"):
            if key not in values:
                raise ScanError(f"a phase needs {key}.")
        return cls(**values)


SCHEDULES: Mapping[str, tuple[Phase, ...]] = {
    # Ludacka et al. (2024), Methods. Dataset DS1, the domains and the wall of Fig. 5a, b.
    "paper-ds1": (Phase(epochs=377, learning_rate=3e-5, l1=1e-5),),
    # Dataset DS2, the vortex of Fig. 5c.
    "paper-ds2": (
        Phase(epochs=225, learning_rate=3e-5, l1=1e-5),
        Phase(epochs=60, learning_rate=3e-5, cycle=(5e-5, 15), l1=5e-4),
    ),
    # Its walls, Fig. 5e, f: to go on with from a model that was trained on the domains.
    "paper-walls": (
        Phase(epochs=18, learning_rate=3e-5, l1=5e-3, similarity=5e-5, divergence=2e-4),
    ),
    "compact": (
        Phase(epochs=5, learning_rate=1e-3, l1=2e-4),
        Phase(epochs=10, learning_rate=1e-3, end_learning_rate=5e-5, l1=1e-3),
    ),
}
"""The schedules that have a name."""

PRESETS: Mapping[str, tuple[Phase, ...]] = {
    "paper": SCHEDULES["paper-ds1"],
    "compact": SCHEDULES["compact"],
}
"""The schedule of each preset of the autoencoder, where no other is asked for."""


def read_schedule(schedule: str | os.PathLike[str]) -> tuple[Phase, ...]:
    """Return a schedule by its name, or from a TOML file.

    Parameters
    ----------
    schedule : str or path
        One of `SCHEDULES`, or a file with a table ``[[phase]]`` for each phase; its keys are those
        of `Phase`.

    Raises
    ------
    ScanError
        If there is no such name or file, or the file is no schedule: names file, phase and key.

    Examples
    --------
    >>> read_schedule("paper-ds2")[1].cycle
    (5e-05, 15)
    """
    name = os.fspath(schedule)
    if name in SCHEDULES:
        return SCHEDULES[name]
    file = Path(name)
    if file.suffix.lower() != ".toml":
        raise ScanError(
            f"schedule {name!r} is unknown; use {', '.join(SCHEDULES)}, or a .toml file."
        )
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScanError(f"{file}: cannot be read ({error.strerror or error}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScanError(f"{file}: is not a TOML file ({error}).") from error
    tables = content.pop("phase", None)
    if content:
        raise ScanError(f"{file}: {next(iter(content))}: is not known; use [[phase]] tables.")
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise ScanError(f"{file}: holds no phase; write each as a table [[phase]].")
    phases = []
    for number, table in enumerate(tables, start=1):
        try:
            phases.append(Phase.from_json(table))
        except ScanError as error:
            raise ScanError(f"{file}: phase {number}: {error}") from None
    return tuple(phases)


def total_epochs(phases: Sequence[Phase]) -> int:
    """Return the length of a schedule.

    Examples
    --------
    >>> total_epochs(SCHEDULES["paper-ds1"])
    377
    """
    return sum(phase.epochs for phase in phases)


def resize(phases: Sequence[Phase], epochs: int) -> tuple[Phase, ...]:
    """Return the schedule stretched or shortened to `epochs`, phases and cycles in proportion.

    Phases that would have no epoch left are dropped.

    Examples
    --------
    >>> [phase.epochs for phase in resize([Phase(20, 1e-3), Phase(10, 1e-4)], 15)]
    [10, 5]
    """
    total, past, begin = total_epochs(phases), 0, 0
    resized = []
    for phase in phases:
        past += phase.epochs
        end = round(past * epochs / total)
        if end > begin:
            cycle = phase.cycle
            if cycle is not None:
                cycle = cycle[0], max(1, round(cycle[1] * epochs / total))
            resized.append(replace(phase, epochs=end - begin, cycle=cycle))
        begin = end
    return tuple(resized)


def as_variational(phases: Sequence[Phase], beta: float = BETA) -> tuple[Phase, ...]:
    """Return the schedule for a beta-VAE: its one weight in place of those of the sparse network.

    Examples
    --------
    >>> phase = as_variational(SCHEDULES["paper-ds1"])[0]
    >>> phase.l1, phase.beta
    (0.0, 0.01)
    """
    return tuple(
        replace(phase, l1=0.0, similarity=0.0, divergence=0.0, beta=beta) for phase in phases
    )


def phase_at(phases: Sequence[Phase], epoch: int) -> tuple[Phase, int]:
    """Return the phase that epoch number `epoch` (from 0) is in, and its number within it.

    Examples
    --------
    >>> phase_at([Phase(2, 1e-3), Phase(3, 1e-4)], 3)[1]
    1
    """
    for phase in phases:
        if epoch < phase.epochs:
            return phase, epoch
        epoch -= phase.epochs
    raise IndexError("the schedule is over")


def learning_rate(phase: Phase, progress: float) -> float:
    """Return the learning rate when `progress` (0 to 1) of a phase is over.

    Examples
    --------
    >>> learning_rate(Phase(10, 1e-3, end_learning_rate=0.0), 0.5)
    0.0005
    """
    if phase.cycle is not None:
        high, up = phase.cycle
        # A little more, as 7 / 60 * 60 may be less than 7.
        epoch = math.floor(progress * phase.epochs + 1e-6) % (2 * up)
        return phase.learning_rate + (high - phase.learning_rate) * (1 - abs(epoch / up - 1))
    end = phase.learning_rate if phase.end_learning_rate is None else phase.end_learning_rate
    share = (1 + math.cos(math.pi * progress)) / 2
    return end + (phase.learning_rate - end) * share
