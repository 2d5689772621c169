"""What becomes of the classes when a pattern is turned or mirrored, as the user declares it.

Knows no torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import LabelsError

from .turns import MATRICES, Operation

EXAMPLE = '"rot90: 1->2, 2->1, 3->3"'


@dataclass(frozen=True)
class Symmetry:
    """Turns and mirrors of patterns after which their class is known.

    A specimen that is turned by 90 degrees has a diffraction pattern turned by 90 degrees, and a
    polarization that was horizontal is vertical. So every labelled pattern is worth up to eight,
    if the user says what becomes of the classes; the operations that follow are found.

    Parameters
    ----------
    declared : tuple of Operation
        What the user says.

    Raises
    ------
    LabelsError
        If an operation is not known, maps two classes to one or leaves one out, or if the
        operations contradict themselves or each other.

    Examples
    --------
    >>> horizontal, vertical, none = 1, 2, 3
    >>> symmetry = Symmetry.parse(["rot90: 1->2, 2->1, 3->3"])
    >>> [operation.name for operation in symmetry.operations]
    ['identity', 'rot90', 'rot180', 'rot270']
    >>> symmetry.operations[2].becomes
    {1: 1, 2: 2, 3: 3}
    """

    declared: tuple[Operation, ...]

    def __post_init__(self) -> None:
        if not self.declared:
            raise LabelsError(f"the symmetry holds no operation; write one such as {EXAMPLE}.")
        for operation in self.declared:
            _check_operation(operation)
        _check_same_classes(self.declared)
        _ = self.operations  # which finds contradictions

    @classmethod
    def parse(cls, lines: str | Iterable[str]) -> Symmetry:
        """Read operations as a user writes them: a line each, or several with ``;`` between.

        Parameters
        ----------
        lines : str or iterable of str
            Such as ``"rot90: 1->2, 2->1, 3->3"``. Operations are rot90, rot180 and rot270
            (counterclockwise as drawn), mirror-x (left and right), mirror-y (up and down),
            mirror-diagonal (ky and kx) and mirror-antidiagonal. The classes of a line are
            complete: also what stays what it is.

        Raises
        ------
        LabelsError
            See `Symmetry`.
        """
        given = [lines] if isinstance(lines, str) else list(lines)
        parts = [part.strip() for line in given for part in re.split("[;\n]", line)]
        return cls(tuple(_parsed(part) for part in parts if part))

    def to_json(self) -> list[str]:
        """Return the declared operations as `parse` reads them."""
        return [str(operation) for operation in self.declared]

    @classmethod
    def from_json(cls, header: Sequence[str]) -> Symmetry:
        """Read what `to_json` wrote."""
        return cls.parse(header)

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that the operations map."""
        return tuple(before for before, _ in self.declared[0].pairs)

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """All operations that follow from the declared ones, the identity first."""
        identity = Operation("identity", tuple((n, n) for n in self.classes))
        found = {identity.name: identity}
        new = [identity]
        while new:
            before = new.pop(0)
            for operation in self.declared:
                after = operation.after(before)
                known = found.setdefault(after.name, after)
                if known is after:
                    new.append(after)
                elif known != after:
                    raise _contradiction(self.declared, known, after)
        return tuple(found[name] for name in MATRICES if name in found)

    def check(self, classes: Collection[int], k_step: tuple[float, float] | None = None) -> None:
        """Refuse classes of a scan that the symmetry does not fit.

        Parameters
        ----------
        classes : collection of int
            Those that are labelled.
        k_step : tuple of float, optional
            Size ``(ky, kx)`` of a detector pixel.

        Raises
        ------
        LabelsError
            If a class is not mapped, or to one without a label, or a pattern would be laid on its
            side whose pixels are not square.
        """
        for operation in self.operations:
            becomes = operation.becomes
            for number in sorted(classes):
                if number not in becomes:
                    raise LabelsError(
                        f"class {number} is labelled, but the symmetry does not say what becomes "
                        f'of it; add it to every operation, such as "{self.declared[0]}, '
                        f'{number}->{number}".'
                    )
                if becomes[number] not in classes:
                    raise LabelsError(
                        f"{operation.name} makes class {becomes[number]} of class {number}, but no "
                        f"position is labelled {becomes[number]}; label one, or leave the symmetry "
                        "out."
                    )
            if operation.matrix[0][1] and k_step is not None and not np.isclose(*k_step, rtol=0.01):
                raise LabelsError(
                    f"{operation.name} lays a pattern on its side, but its pixels are no squares "
                    f"({k_step[0]:g} x {k_step[1]:g} per angstrom); leave the operation out."
                )

    def copies(
        self,
        patterns: npt.NDArray[Any],
        labels: npt.NDArray[Any],
        centre: tuple[float, float] | None = None,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return labelled patterns and all their turned copies, with the classes of these.

        Parameters
        ----------
        patterns : ndarray
            ``[n, ky, kx]``.
        labels : ndarray
            ``[n]`` class numbers.
        centre : tuple of float, optional
            As in `Operation.turn`.

        Returns
        -------
        patterns : ndarray
            ``[operation * n, ky, kx]``: first all of them as they are, then all of them after the
            second of `operations`, and so on; ``numpy.tile`` repeats weights or positions alike.
        labels : ndarray
            ``[operation * n]``.

        Raises
        ------
        LabelsError
            If the classes do not fit, or the patterns are not square where they have to be.
        """
        numbers = np.unique(labels)
        self.check(numbers.tolist())
        turned = [operation.turn(patterns, centre) for operation in self.operations]
        which = np.searchsorted(numbers, labels)
        mapped = [
            np.array([operation.becomes[n] for n in numbers.tolist()], labels.dtype)[which]
            for operation in self.operations
        ]
        return np.concatenate(turned), np.concatenate(mapped)


def _parsed(line: str) -> Operation:
    name, colon, rest = line.partition(":")
    pairs = [re.fullmatch(r"\s*(\d+)\s*(?:->|→)\s*(\d+)\s*", part) for part in rest.split(",")]
    if not colon or not all(pairs):
        raise LabelsError(
            f'"{line}" is no operation of a symmetry; write what it is and what becomes of every '
            f"class, such as {EXAMPLE}."
        )
    found = tuple((int(pair[1]), int(pair[2])) for pair in pairs if pair)
    return Operation(name.strip().lower(), tuple(sorted(found)))


def _check_operation(operation: Operation) -> None:
    """Refuse what is no turn or mirror, no permutation of classes, or contradicts itself."""
    name, pairs = operation.name, operation.pairs
    if name not in MATRICES or name == "identity":
        known = ", ".join(other for other in MATRICES if other != "identity")
        raise LabelsError(f'"{name}" is no operation of a symmetry; known are {known}.')
    if not pairs or any(number < 1 for pair in pairs for number in pair):
        raise LabelsError(f"{name} maps a class below 1; 0 is unlabelled, classes are 1 and more.")
    before, after = [a for a, _ in pairs], [b for _, b in pairs]
    for number in before:
        if before.count(number) > 1:
            raise LabelsError(f"{name} maps class {number} twice; write each class once.")
    for number in after:
        if number not in before:
            raise LabelsError(
                f"{name} makes class {number} of a class, but does not say what becomes of class "
                f"{number} itself; add it."
            )
        if after.count(number) > 1:
            one, other = [a for a, b in pairs if b == number][:2]
            raise LabelsError(
                f"{name} makes class {number} of both class {one} and class {other}; no turn makes "
                "two classes one. Give each class one of its own."
            )
    times, result = 1, operation
    while result.name != "identity":
        times, result = times + 1, operation.after(result)
    for number, becomes in result.pairs:
        if number != becomes:
            raise LabelsError(
                f"{name} contradicts itself: done {times} times it leaves a pattern as it was, but "
                f"makes class {becomes} of class {number}."
            )


def _check_same_classes(operations: Sequence[Operation]) -> None:
    names = [operation.name for operation in operations]
    for one in operations:
        if names.count(one.name) > 1:
            raise LabelsError(f"{one.name} is given twice; write it once.")
        for other in operations:
            if left := sorted(set(one.becomes) - set(other.becomes)):
                raise LabelsError(
                    f"{one.name} maps class {left[0]}, but {other.name} does not say what becomes "
                    f"of it; add it to {other.name}, if only as {left[0]}->{left[0]}."
                )


def _contradiction(
    declared: Sequence[Operation], known: Operation, found: Operation
) -> LabelsError:
    names = " and ".join(operation.name for operation in declared)
    number, one, other = next(
        (before, one, other)
        for (before, one), (_, other) in zip(known.pairs, found.pairs, strict=True)
        if one != other
    )
    ways = f"two ways to do {known.name}"
    if known.name == "identity":
        ways = "two ways to leave a pattern as it is"
    return LabelsError(
        f"{names} contradict each other: of class {number}, {ways} make class {one} and class "
        f"{other}; a line is wrong."
    )
