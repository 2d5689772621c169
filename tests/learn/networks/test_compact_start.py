"""What the compact autoencoder finds before it is trained: domains, walls and kinds of walls."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from napari_ferro4d import Scan
from napari_ferro4d.learn import embed, train
from napari_ferro4d.learn.data import numbered_anew, sample_tiles
from napari_ferro4d.learn.networks import CompactAutoencoder
from napari_ferro4d.learn.walls import find_abrupt

SHAPE = (36, 60)
KINDS = (20, 40)
"""Columns at which there is a wall of one kind and of another."""


def auc(values: np.ndarray, positive: np.ndarray) -> float:
    above = values[positive][:, None] - values[~positive][None]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def specimen() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return domain (-1, 1), and how much of either kind of wall is under the probe ``[y, x]``."""
    x = np.arange(SHAPE[1])
    domain = np.where((x < KINDS[0]) | (x >= KINDS[1]), 1, -1)
    walls = [np.exp(-(((x - column + 0.5) / 1.2) ** 2)) for column in KINDS]
    return tuple(np.broadcast_to(one, SHAPE) for one in (domain, *walls))


def patterns(seed: int = 0, walls: bool = True, noise: int = 0) -> np.ndarray:
    """Return counts ``[y, x, ky, kx]``: 16 reflections that bending, domains and walls modulate."""
    rng = np.random.default_rng(seed)
    spots = np.zeros((16, 32, 32))
    for number in range(16):
        row, column = divmod(number, 4)
        spots[number, 8 * row + 2 : 8 * row + 7, 8 * column + 2 : 8 * column + 7] = 1
    y, x = np.indices(SHAPE)
    bend = np.stack([np.sin(x / 25 + 0.3 * k) + np.cos(y / 20 - 0.5 * k) for k in range(16)])
    domain, first, second = specimen()
    polar, one, other = rng.normal(size=(3, 16))
    strength = 0.5 * bend
    if walls:
        strength = (
            strength
            + 0.25 * polar[:, None, None] * domain * (1 - first - second)
            + 0.4 * one[:, None, None] * first
            + 0.4 * other[:, None, None] * second
        )
    mean = np.einsum("kyx,kij->yxij", np.exp(4 + 0.5 * strength), spots) + 0.2
    return np.random.default_rng([seed, noise]).poisson(mean).astype(np.uint16)


@functools.cache
def scores(seed: int = 0, walls: bool = True, k: int = 10) -> np.ndarray:
    """Return the first principal components of `patterns` ``[k, y, x]``."""
    counts = patterns(seed, walls)
    flat = np.log1p(counts.reshape(SHAPE[0] * SHAPE[1], -1).astype(float))
    flat -= flat.mean(axis=0)
    axes = np.linalg.svd(flat, full_matrices=False)[2][:k]
    found = flat @ axes.T
    found = (found / found.std(axis=0)).T.reshape(k, *SHAPE)
    found.flags.writeable = False  # as it is shared among tests
    return found


def test_jumps_tell_domains_apart_whatever_bends() -> None:
    found = find_abrupt([scores()])
    assert found is not None
    jump = np.einsum("k,kyx->yx", found.jumps[:, 0], scores()).ravel()
    domain, first, second = specimen()
    clear = (first + second < 0.05).ravel()
    side = auc(jump[clear], (domain > 0).ravel()[clear])
    assert max(side, 1 - side) > 0.99


def test_strength_is_where_the_walls_are() -> None:
    found = find_abrupt([scores()])
    assert found is not None
    _, first, second = specimen()
    strength, inside = found.strength[0].ravel(), (first + second > 0.5).ravel()
    known = np.isfinite(strength) & (inside | (first + second < 0.05).ravel())
    assert auc(strength[known], inside[known]) > 0.98
    assert strength[known].min() >= 0


def test_kinds_part_two_kinds_of_walls() -> None:
    found = find_abrupt([scores()])
    assert found is not None
    _, first, second = (one.ravel() for one in specimen())
    walls = (first > 0.5) | (second > 0.5)
    kinds = [kind.ravel()[walls] for kind in found.kinds[0]]
    best = max(auc(np.nan_to_num(kind), first[walls] > 0.5) for kind in kinds)
    assert best > 0.95


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_found_where_only_bending_changes(seed: int) -> None:
    assert find_abrupt([scores(seed, walls=False)]) is None


def test_too_few_positions_tell_nothing() -> None:
    few = scores()[:, :3, :4]
    assert find_abrupt([few]) is None
    assert find_abrupt([few[:, :1]]) is None


def test_missing_positions_are_left_out() -> None:
    maps = scores().copy()
    maps[:, 10:14, 5:30] = np.nan
    found = find_abrupt([maps])
    assert found is not None
    assert np.isfinite(found.jumps).all()
    jump = np.einsum("k,kyx->yx", found.jumps[:, 0], np.nan_to_num(maps)).ravel()
    domain, first, second = specimen()
    clear = (first + second < 0.05).ravel() & np.isfinite(maps[0]).ravel()
    side = auc(jump[clear], (domain > 0).ravel()[clear])
    assert max(side, 1 - side) > 0.99


def test_single_patterns_tell_what_was_found() -> None:
    """Another scan, of which nothing is known, is embedded with the same channels."""
    scan = Scan.from_array(patterns())
    model = train(scan, epochs=1, device="cpu")
    assert model.weights["found"].sum() >= 4
    domain, first, second = (one.ravel() for one in specimen())
    # New noise, and an order in which nothing is beside what it was beside.
    mixed = np.random.default_rng(5).permutation(SHAPE[0] * SHAPE[1])
    counts = patterns(noise=1).reshape(-1, 32, 32)[mixed].reshape(*SHAPE, 32, 32)
    channels = embed(Scan.from_array(counts), model, device="cpu").channels.reshape(32, -1)
    domain, first, second = (one[mixed] for one in (domain, first, second))
    clear, inside = first + second < 0.05, first + second > 0.5
    assert max(auc(c[clear], domain[clear] > 0) for c in channels) > 0.98
    assert max(auc(c[inside | clear], inside[inside | clear]) for c in channels) > 0.95
    assert max(auc(c[inside], first[inside] > 0.5) for c in channels) > 0.95


def test_training_leaves_what_was_found() -> None:
    x = torch.from_numpy(np.log1p(patterns().reshape(-1, 1, 32, 32)).astype(np.float32))
    torch.manual_seed(0)
    network = CompactAutoencoder(16, 32)
    network.start(x, [np.arange(len(x)).reshape(SHAPE)])
    before = network.encode(x).detach()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        (network.decode(network.encode(x[:64])) - x[:64]).square().mean().backward()
        optimizer.step()
    after = network.encode(x).detach()
    found = network.found
    assert 0 < found.sum() <= 8
    assert torch.equal(before[:, found], after[:, found])
    assert not torch.equal(before[:, ~found], after[:, ~found])


def test_the_start_reconstructs_no_worse_than_principal_components() -> None:
    x = torch.from_numpy(np.log1p(patterns().reshape(-1, 1, 32, 32)).astype(np.float32))
    torch.manual_seed(0)
    network = CompactAutoencoder(32, 32)
    network.start(x, [np.arange(len(x)).reshape(SHAPE)])
    with torch.no_grad():
        error = float((network.decode(network.encode(x)) - x).square().mean())
    flat = (x - x.mean(dim=0)).flatten(1)
    values = torch.linalg.svdvals(flat).square() / flat.numel()
    learnt = (32 - int(network.found.sum())) // 2
    assert error < float(values[learnt:].sum()) * 1.02


def test_domains_without_room_among_what_is_found_are_learnt() -> None:
    """Of two sorts of domains only the first has room among the found two of four channels."""
    rng = np.random.default_rng(0)
    y, x = np.indices(SHAPE)
    first, second = rng.normal(size=(2, 16))
    left, upper = np.where(x < 30, 1, -1), np.where(y < 18, 1, -1)
    strength = first[:, None, None] * left + second[:, None, None] * upper
    mean = np.exp(4 + 0.15 * strength.reshape(4, 4, *SHAPE))
    counts = rng.poisson(np.kron(np.moveaxis(mean, (2, 3), (0, 1)), np.ones((1, 1, 8, 8))))
    patterns = torch.from_numpy(np.log1p(counts.reshape(-1, 1, 32, 32)).astype(np.float32))
    torch.manual_seed(0)
    network = CompactAutoencoder(4, 32)
    network.start(patterns, [np.arange(len(patterns)).reshape(SHAPE)])
    assert network.found.sum() == 2
    with torch.no_grad():
        channels = network.encode(patterns).numpy().T
    for side in (left, upper):
        assert max(auc(channel, (side > 0).ravel()) for channel in channels) > 0.99


def test_without_noise_only_the_wall_is_abrupt() -> None:
    x = np.indices((30, 40))[1]
    found = find_abrupt([np.where(x >= 20, 1.0, -1.0)[None]])
    assert found is not None
    assert np.array_equal(found.strength[0] > 0, (x == 19) | (x == 20))
    side = found.sides[0]
    assert np.array_equal(np.sign(side[:, 16:18]), -np.sign(side[:, 22:24]))


def test_tiles_do_not_overlap_and_reach_all_sides() -> None:
    place = np.arange(100 * 100).reshape(100, 100)
    tiles = sample_tiles([place], 8192)
    _, numbers = numbered_anew(tiles)
    assert len(np.unique(numbers)) == len(numbers) == 9 * 24**2
    rows = np.unique(numbers // 100)
    assert rows[0] < 8
    assert rows[-1] >= 92


def test_a_sample_keeps_neighbours_together() -> None:
    place = np.arange(200 * 300).reshape(200, 300)
    place[50:70, 50:70] = -1
    tiles = sample_tiles([place], 8000)
    assert sum(tile.size for tile in tiles) <= 8000
    assert len(tiles) > 4
    for tile in tiles:
        there = (tile[:, 1:] >= 0) & (tile[:, :-1] >= 0)
        assert (np.diff(tile, axis=1)[there] == 1).all()
    renumbered, numbers = numbered_anew(tiles)
    for tile, new in zip(tiles, renumbered, strict=True):
        assert np.array_equal(tile >= 0, new >= 0)
        assert np.array_equal(numbers[new[new >= 0]], tile[tile >= 0])


def test_a_small_scan_is_its_own_sample() -> None:
    place = np.arange(12).reshape(3, 4)
    (tile,) = sample_tiles([place], 100)
    assert np.array_equal(tile, place)
    row = sample_tiles([np.arange(5000).reshape(1, 5000)], 100)[0]
    assert row.shape[0] == 1
