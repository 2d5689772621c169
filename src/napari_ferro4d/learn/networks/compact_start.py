"""How the compact autoencoder begins: what is abrupt in a scan, told from single patterns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from napari_ferro4d.learn.walls import find_abrupt

EPOCHS, BATCH, RATE = 30, 256, 5e-3
"""Of the perceptron that learns to tell walls from single patterns."""

RIDGE = 1e-5
"""Of the linear decoder, in units of the number of patterns."""


@dataclass(frozen=True, eq=False)
class Found:
    """Channels that a scan itself suggests, the first ones most.

    Parameters
    ----------
    names : tuple of str
        What each channel shows.
    sides : tuple of tuple
        Of each channel ``(jump, sign)``: one side of that jump, or sign 0 for a learnt target.
    jumps : Tensor
        ``[k, m]``, coordinates to jumps.
    thresholds : Tensor
        ``[m]``: between the two sides.
    targets : Tensor
        ``[n, channel]``, not negative: what the perceptron is to tell; NaN where that is not
        known, 0 for jumps.
    """

    names: tuple[str, ...]
    sides: tuple[tuple[int, int], ...]
    jumps: torch.Tensor
    thresholds: torch.Tensor
    targets: torch.Tensor

    @property
    def told(self) -> list[int]:
        """The jumps of which both sides have a channel, so that nothing of them is left to say.

        Where there is room for few channels, not all jumps have.
        """
        return [
            jump
            for jump in range(self.jumps.shape[1])
            if {(jump, 1), (jump, -1)} <= set(self.sides)
        ]


def find(
    coordinates: torch.Tensor, places: Sequence[npt.NDArray[np.int64]], most: int
) -> Found | None:
    """Find domains and walls in the maps of `coordinates` ``[n, k]``.

    Parameters
    ----------
    coordinates : Tensor
        ``[n, k]``.
    places : sequence of ndarray
        Parts of scans ``[y, x]``: the number of the pattern, -1 where there is none.
    most : int
        Channels at most.

    Returns
    -------
    Found or None
        None if nothing is abrupt.
    """
    values = coordinates.double().numpy().T
    maps = [np.where(place >= 0, values[:, np.maximum(place, 0)], np.nan) for place in places]
    abrupt = find_abrupt(maps) if maps and most > 0 else None
    if abrupt is None:
        return None
    jumps = torch.from_numpy(abrupt.jumps).float()
    scores = coordinates @ jumps
    spread = scores.std(dim=0)
    jumps, scores = jumps / spread, scores / spread
    thresholds = torch.tensor([_between(one) for one in scores.T.numpy()])
    names, sides, targets = [], [], []
    walls = [
        ("above the walls' jump", [np.maximum(one, 0) for one in abrupt.sides]),
        ("below the walls' jump", [np.maximum(-one, 0) for one in abrupt.sides]),
        ("walls", list(abrupt.strength)),
    ]
    walls += [
        (f"walls of kind {number + 1}", [one[number] for one in abrupt.kinds])
        for number in range(len(abrupt.kinds[0]))
    ]
    for jump in range(jumps.shape[1]):
        for sign, side in ((1, "above"), (-1, "below")):
            names.append(f"jump {jump + 1}, {side}")
            sides.append((jump, sign))
            targets.append(np.zeros(len(coordinates), np.float32))
        if jump == 0:
            for name, wall in walls:
                names.append(name)
                sides.append((0, 0))
                targets.append(_listed(wall, places, len(coordinates)))
    return Found(
        tuple(names[:most]),
        tuple(sides[:most]),
        jumps,
        thresholds,
        torch.from_numpy(np.stack(targets[:most], axis=1)),
    )


def _listed(
    maps: Sequence[npt.NDArray[np.float32]],
    places: Sequence[npt.NDArray[np.int64]],
    count: int,
) -> npt.NDArray[np.float32]:
    """Return the values of maps by pattern, in units of the root mean square where not 0."""
    values = np.full(count, np.nan, np.float32)
    for one, place in zip(maps, places, strict=True):
        values[place[place >= 0]] = one[place >= 0]
    shown = values[values > 0]
    return values / np.sqrt(np.mean(shown**2)) if len(shown) else values


def _between(values: npt.NDArray[np.float32]) -> float:
    """Return the value half-way between the means of what lies above and below it."""
    middle = float(values.mean())
    for _ in range(50):
        above, below = values[values > middle], values[values <= middle]
        if not len(above) or not len(below):
            break
        middle = float(above.mean() + below.mean()) / 2
    return middle


def distil(
    coordinates: torch.Tensor, found: Found, hidden: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Train a perceptron to tell the targets from coordinates ``[n, k]``.

    What is told of a position must follow from its pattern alone, so that it can be told of
    other scans, and where a wall has no neighbours to compare with.

    Returns
    -------
    list of tuple
        Weight and bias of three layers, with GELU between them.
    """
    targets = found.targets
    learnt = torch.tensor([sign == 0 for _, sign in found.sides])
    network = nn.Sequential(
        nn.Linear(coordinates.shape[1], hidden),
        nn.GELU(),
        nn.Linear(hidden, hidden),
        nn.GELU(),
        nn.Linear(hidden, targets.shape[1]),
    )
    if learnt.any():
        with torch.enable_grad():
            _fit(network, coordinates.clone(), targets, learnt)
    with torch.no_grad():
        for one in network[4].parameters():
            one[~learnt] = 0
    values = [one.detach() for one in network.parameters()]
    return list(zip(values[::2], values[1::2], strict=True))


def _fit(
    network: nn.Sequential, inputs: torch.Tensor, targets: torch.Tensor, learnt: torch.Tensor
) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    for epoch in range(EPOCHS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - epoch / EPOCHS)
        for chosen in torch.randperm(len(inputs)).split(BATCH):  # type: ignore[no-untyped-call]
            said, wanted = network(inputs[chosen])[:, learnt], targets[chosen][:, learnt]
            # A ReLU follows: where nothing is wanted, any negative value will do.
            error = torch.where(wanted > 0, said - wanted, F.relu(said))
            optimizer.zero_grad()
            error[wanted.isfinite()].square().mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def linear_decoder(
    activations: torch.Tensor, wanted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight ``[pixel, channel]`` and bias ``[pixel]`` that reconstruct best (ridge)."""
    mean, offset = activations.mean(dim=0), wanted.mean(dim=0)
    centred = activations - mean
    gram = centred.T @ centred + RIDGE * len(centred) * torch.eye(centred.shape[1])
    weight = torch.linalg.solve(gram, centred.T @ (wanted - offset)).T
    return weight, offset - weight @ mean
