"""Probabilities spread along the scan grid, up to where the patterns change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve

from napari_ferro4d.learn.few_labels.spatial import LEAST_EDGE, STRENGTHS, Grid, edges, spread


def random_edges(shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return weights from none to full, on a logarithmic scale."""
    ny, nx = shape
    return tuple(10 ** rng.uniform(-4, 0, one) for one in ((ny - 1, nx), (ny, nx - 1)))


def matrix(along_y: np.ndarray, along_x: np.ndarray, own: np.ndarray):
    """Return the graph's Laplacian plus a diagonal, edge by edge."""
    ny, nx = along_x.shape[0], along_y.shape[1]
    number = np.arange(ny * nx).reshape(ny, nx)
    first = np.concatenate([number[:-1].ravel(), number[:, :-1].ravel()])
    second = np.concatenate([number[1:].ravel(), number[:, 1:].ravel()])
    weight = np.concatenate([along_y.ravel(), along_x.ravel()])
    between = coo_array((weight, (first, second)), shape=(ny * nx, ny * nx)).tocsr()
    between = between + between.T
    degree = np.asarray(between.sum(axis=1)).ravel()
    return (diags_array(degree + own.ravel()) - between).tocsc()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (2, 2), (5, 8), (13, 6)])
@given(seed=st.integers(0, 10_000))
def test_the_graph_is_solved_as_a_sparse_solver_does(shape, seed):
    rng = np.random.default_rng(seed)
    along = random_edges(shape, rng)
    own, right = rng.uniform(0.05, 2, shape), rng.random((*shape, 2))
    found = Grid(*along).solve(own, right)
    exact = spsolve(matrix(*along, own), right.reshape(-1, 2)).reshape(right.shape)
    np.testing.assert_allclose(found, exact, atol=2e-3 * np.abs(exact).max())
    (alone,) = np.moveaxis(Grid(*along).solve(own, right[..., :1]), -1, 0)
    np.testing.assert_allclose(Grid(*along).solve(own, right[..., 0]), alone)


def test_the_own_answer_is_large_where_a_position_is_cut_off():
    along_y, along_x = np.ones((4, 5)), np.ones((5, 4))
    along_y[1:3, 2] = LEAST_EDGE
    along_x[2, 1:3] = LEAST_EDGE
    answer = Grid(along_y, along_x).own_answer(0.02)
    assert answer.argmax() == 12
    assert answer[2, 2] == pytest.approx(1 / 0.02, rel=0.05)


@pytest.mark.parametrize("shape", [(1, 9), (7, 1), (2, 2), (11, 8)])
@pytest.mark.parametrize("strength", STRENGTHS, ids=lambda one: str(one.number))
def test_probabilities_stay_probabilities(shape, strength):
    rng = np.random.default_rng(1)
    before = rng.dirichlet((1, 1, 1), shape)
    seeds = np.zeros((*shape, 3))
    seeds[0, 0, 1] = 1
    after = spread(before, Grid(*random_edges(shape, rng)), strength, seeds)
    np.testing.assert_allclose(after.sum(axis=-1), 1)
    assert (after >= 0).all()


def test_strength_0_changes_nothing():
    rng = np.random.default_rng(1)
    before = rng.dirichlet((1, 1), (6, 5))
    assert np.array_equal(spread(before, Grid(*random_edges((6, 5), rng)), STRENGTHS[0]), before)


def test_a_label_tells_its_side_of_a_wall_and_nothing_beyond():
    along_y, along_x = np.ones((7, 12)), np.ones((8, 11))
    along_x[:, 5] = 0
    seeds = np.zeros((8, 12, 2))
    seeds[4, 2, 0] = 1
    after = spread(np.full((8, 12, 2), 0.5), Grid(along_y, along_x), STRENGTHS[2], seeds)
    assert (after[:, :6, 0] > 0.55).all()
    np.testing.assert_allclose(after[:, 6:, 0], 0.5, atol=1e-6)
    # The nearer the label, the more it tells.
    assert after[4, 2, 0] == after[..., 0].max()


def test_logits_that_change_abruptly_cut_the_graph_there_and_nowhere_else():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 0.3, (20, 24, 3))
    logits[:, 12:, 0] += 6
    along_y, along_x = edges(logits)
    assert along_x.shape == (20, 23)
    assert along_y.shape == (19, 24)
    assert along_x[:, 11].max() < 0.01
    assert np.median(along_x[:, :7]) > 0.5
    assert np.median(along_y) > 0.5
    missing = np.zeros((20, 24), bool)
    missing[3, 4] = True
    along_y, along_x = edges(logits, missing)
    assert along_y[2:4, 4].max() == along_x[3, 3:5].max() == LEAST_EDGE


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2)])
@pytest.mark.parametrize("constant", [True, False])
def test_small_and_constant_maps_have_a_graph_too(shape, constant):
    logits = np.zeros((*shape, 2))
    if not constant:
        logits += np.random.default_rng(0).normal(size=logits.shape)
    along_y, along_x = edges(logits)
    assert Grid(along_y, along_x).shape == shape
    for one in (along_y, along_x):
        assert np.isfinite(one).all()
        assert (one >= 0).all()
