"""The schedule "auto": more sparsity until it changes nothing, then an end when maps stand still.

Phase by phase the weight of the activity is multiplied, and channels fall silent whose part others
can play. A phase ends when the maps of the active channels no longer change from one epoch to the
next. When a phase leaves as many channels active as the one before, the weight stays, and a last
phase lowers the learning rate; it ends early if the maps no longer change.

What comes next follows from the course of training so far alone, so that a resumed training takes
the same way; the schedule that a model's header tells in the end is the one that was run. Knows no
torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .schedule import Phase, total_epochs


@dataclass(frozen=True)
class Automatic:
    """What the schedule "auto" is made of.

    Parameters
    ----------
    learning_rate, end_learning_rate : float
        Of all phases, and at the end of the last.
    l1 : float
        Weight of the activity in the first phase.
    factor : float
        By which it is raised from phase to phase.
    raises : int
        Most phases after the first.
    least, most : int
        Epochs of a phase.
    last : int
        Most epochs of the last phase.
    still : float
        Mean correlation of the active channels with those an epoch before, from which on the maps
        no longer change.
    """

    learning_rate: float
    end_learning_rate: float
    l1: float
    factor: float = 2.0
    raises: int = 5
    least: int = 2
    most: int = 6
    last: int = 10
    still: float = 0.999


AUTOMATIC: Mapping[str, Automatic] = {
    "compact": Automatic(1e-3, 5e-5, 2e-4),
    # From the weight that the paper trains on domains with to near that for walls.
    "paper": Automatic(3e-5, 3e-6, 1e-5, factor=5.0, raises=4, least=10, most=100, last=100),
}
"""By preset."""


def first(how: Automatic) -> tuple[Phase, ...]:
    """Return the schedule to begin with."""
    return (Phase(how.most, how.learning_rate, l1=how.l1),)


def onward(
    how: Automatic,
    phases: Sequence[Phase],
    active: Sequence[int],
    alike: Sequence[float],
) -> tuple[Phase, ...]:
    """Return the schedule as it goes on after an epoch.

    Parameters
    ----------
    how : Automatic
        What it is made of.
    phases : sequence of Phase
        The schedule so far. The last of its phases is the one that was just trained in.
    active : sequence of int
        Number of active channels after each epoch.
    alike : sequence of float
        Likeness of the maps after each epoch with those an epoch before.

    Examples
    --------
    >>> how = Automatic(1e-3, 1e-4, l1=0.1, least=1, most=4, last=3)
    >>> [p.epochs for p in onward(how, first(how), [9, 8], [0.5, 0.9])]
    [4]
    >>> [(p.epochs, p.l1) for p in onward(how, first(how), [9, 8], [0.5, 0.9995])]
    [(2, 0.1), (4, 0.2)]
    """
    *past, now = phases
    before = total_epochs(past)
    length = len(active) - before
    over = length == now.epochs or (length >= how.least and alike[-1] >= how.still)
    if not over:
        return tuple(phases)
    past.append(replace(now, epochs=length))
    if now.end_learning_rate is not None:
        return tuple(past)
    fewer = len(past) == 1 or active[-1] < active[before - 1]
    if fewer and len(past) <= how.raises:
        past.append(Phase(how.most, how.learning_rate, l1=now.l1 * how.factor))
    else:
        past.append(Phase(how.last, how.learning_rate, how.end_learning_rate, l1=now.l1))
    return tuple(past)


def most_epochs(how: Automatic, phases: Sequence[Phase]) -> int:
    """Return how many epochs a schedule that has come so far may still have in all."""
    if phases[-1].end_learning_rate is not None:
        return total_epochs(phases)
    return total_epochs(phases) + (how.raises + 1 - len(phases)) * how.most + how.last
