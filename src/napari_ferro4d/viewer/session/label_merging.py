"""How a user's decisions and a machine's prediction combine; plain arrays, no Qt and no napari.

A decision is a class number that a user painted over the prediction; 0 is no decision. Everything
is derived from three arrays, so undo, redo, fill and paint need no bookkeeping of their own:
what the machine predicted, what was decided when that prediction was shown, and what is shown now.
"""

from __future__ import annotations

import numpy as np


def shown(machine: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """Return the prediction to show: the user's decision where there is one, else the machine's.

    Parameters
    ----------
    machine, decided : array
        Integer ``[y, x]``, 0 = none.

    Examples
    --------
    >>> shown(np.array([[1, 1, 2]]), np.array([[0, 2, 0]]))
    array([[1, 2, 2]])
    """
    return _as_labels(np.where(decided > 0, decided, machine), machine, decided)


def decisions(now: np.ndarray, machine: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """Return the user's decisions, from what is shown now.

    A position that still shows what was put there keeps its earlier decision, if it had one. A
    position that shows something else was painted: that is a decision, and erasing it takes the
    decision back.

    Parameters
    ----------
    now : array
        Integer ``[y, x]``: the prediction layer as the user left it.
    machine : array
        Integer ``[y, x]``: the machine's own prediction.
    decided : array
        Integer ``[y, x]``: the decisions when the prediction was shown.

    Examples
    --------
    >>> machine, decided = np.array([[1, 1, 2]]), np.array([[0, 2, 0]])
    >>> decisions(np.array([[1, 2, 1]]), machine, decided)   # the last one was painted
    array([[0, 2, 1]])
    """
    untouched = now == shown(machine, decided)
    return _as_labels(np.where(untouched, decided, now), machine, decided)


def training_labels(painted: np.ndarray | None, decided: np.ndarray) -> np.ndarray:
    """Return the labels to train from: decisions first, then what was painted to begin with."""
    return decided if painted is None else shown(painted, decided)


def contradictions(painted: np.ndarray | None, decided: np.ndarray | None) -> int:
    """Return at how many positions a decision says otherwise than what was painted before."""
    if painted is None or decided is None:
        return 0
    return int(np.count_nonzero((painted > 0) & (decided > 0) & (painted != decided)))


def _as_labels(values: np.ndarray, *like: np.ndarray) -> np.ndarray:
    # Class numbers of both arrays fit the wider of their types, whatever numpy promotes them to.
    return values.astype(max((one.dtype for one in like), key=lambda dtype: dtype.itemsize))
