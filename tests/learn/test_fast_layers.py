"""The compiled layers of the paper's network: against torch's, their gradients, reproducibility."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_ferro4d.learn.networks import PaperAutoencoder
from napari_ferro4d.learn.networks.fast import Convolution, Memory, chain
from napari_ferro4d.learn.networks.fast import channel as channel
from napari_ferro4d.learn.networks.fast import functions as fast
from napari_ferro4d.learn.networks.fast import winograd as winograd

MEMORY = Memory()


def image(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def framed(image, rows, columns):
    (top, bottom), (left, right) = rows.chunk(2), columns.chunk(2)
    inside = [left[:, :, 2:-2, :2], image[:, :, 2:-2, 2:-2], right[:, :, 2:-2, 2:]]
    return torch.cat([top[:, :, :2], torch.cat(inside, 3), bottom[:, :, 2:]], 2)


# Every layer: the compiled one, torch's, the shapes of what they take. 2 x 3 tiles of two images,
# some at the edge and one that is not; two groups of channels in, one out.
LAYERS = {
    "convolution": (
        lambda x, w, b: fast.convolve(x, w, b, MEMORY),
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
        [(2, 32, 12, 16), (16, 32, 3, 3), (16,)],
    ),
    "from one channel": (
        lambda x, w, b: channel.widen(x, w, b, MEMORY),
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
        [(2, 1, 5, 8), (16, 1, 3, 3), (16,)],
    ),
    "to one channel": (
        lambda x, w, b: channel.narrow(x, w, b, MEMORY),
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
        [(2, 16, 5, 8), (1, 16, 3, 3), (1,)],
    ),
    "wide kernels, another frame": (
        lambda x, w, b, *frame: channel.widen(x, w, b, MEMORY, frame),
        lambda x, w, b, *frame: framed(F.conv2d(x, w, b, padding=2), *frame),
        [(2, 1, 9, 8), (16, 1, 5, 5), (16,), (4, 16, 4, 8), (4, 16, 9, 4)],
    ),
    "norm": (
        lambda x, w, b: fast.norm_relu(x, w, b, None, 1e-5, MEMORY),
        lambda x, w, b: torch.relu(F.layer_norm(x, w.shape, w, b)),
        [(2, 5, 6, 7), (6, 7), (6, 7)],
    ),
    "norm and skip": (
        lambda x, w, b, s: fast.norm_relu(x, w, b, s, 1e-5, MEMORY),
        lambda x, w, b, s: torch.relu(F.layer_norm(x, w.shape, w, b)) + s,
        [(2, 5, 6, 7), (6, 7), (6, 7), (2, 5, 6, 7)],
    ),
    "pooling": (
        lambda x: fast.max_pool(x, 4, MEMORY),
        lambda x: F.max_pool2d(x, 4),
        [(2, 5, 8, 12)],
    ),
    "interpolation": (
        lambda x: fast.upsample(x, 4, MEMORY),
        lambda x: F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=True),
        [(2, 5, 4, 3)],
    ),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 5e-6)])
def test_a_layer_and_its_gradients_are_those_of_torch(layer, kind, tolerance):
    ours, theirs, shapes = LAYERS[layer]
    exact = [image(*shape, seed=n).double().requires_grad_() for n, shape in enumerate(shapes)]
    inputs = [x.detach().to(kind).requires_grad_() for x in exact]
    found, wanted = ours(*inputs), theirs(*exact)
    assert relative(found, wanted) < tolerance
    slope = image(*wanted.shape, seed=9)
    gradients = torch.autograd.grad(found, inputs, slope.to(kind))
    for got, want in zip(
        gradients, torch.autograd.grad(wanted, exact, slope.double()), strict=True
    ):
        assert relative(got, want) < tolerance


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_are_the_differences_of_the_result(layer):
    ours, _, shapes = LAYERS[layer]
    inputs = [image(*shape, seed=n).double() for n, shape in enumerate(shapes)]
    # One random direction in the space of all inputs at a time, which `fast_mode` takes.
    inputs = [x.requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(ours, inputs, fast_mode=True)


def convolutions(*, kind):
    sizes = [(1, 16), (16, 32), (32, 16), (16, 16)]
    torch.manual_seed(0)
    return [Convolution(*size, MEMORY).to(kind) for size in sizes]


@pytest.mark.parametrize("shape", [(2, 1, 16, 20), (1, 1, 40, 24), (1, 1, 12, 8), (1, 1, 18, 20)])
def test_a_chain_of_convolutions_is_the_same_as_one_after_the_other(shape):
    layers, exact = convolutions(kind=torch.float32), convolutions(kind=torch.float64)
    x = image(*shape)
    results = {}
    for these, kind in ((layers, torch.float32), (exact, torch.float64)):
        pixels = x.to(kind).requires_grad_()
        found = chain(pixels, these) if these is layers else plain_chain(pixels, these)
        weights = [p for layer in these for p in layer.parameters()]
        slopes = [image(*y.shape, seed=n).to(kind) for n, y in enumerate(found)]
        results[kind] = [*found, *torch.autograd.grad(found, [pixels, *weights], slopes)]
    for got, want in zip(*results.values(), strict=True):
        assert relative(got, want) < 5e-6


def plain_chain(x, layers):
    results = []
    for layer in layers:
        x = F.conv2d(x, layer.weight, layer.bias, padding=1)
        results.append(x)
    return results[0], results[-1]


def test_a_chain_starts_with_one_convolution_nine_wide():
    # The four of them are never done on the whole image: what they would take is not there.
    layers = convolutions(kind=torch.float32)
    sizes = []
    for layer in layers[1:]:
        layer.register_forward_hook(lambda _, x, __: sizes.append(tuple(x[0].shape[2:])))
    chain(image(1, 1, 32, 32), layers)
    assert set(sizes) == {(8, 32), (32, 8)}


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.double() - wanted).detach().abs().max() / wanted.detach().abs().max())


def test_a_product_at_the_points_is_a_convolution():
    # Polynomials with numbers in place of vectors: one line of six pixels, a kernel of three.
    rng = np.random.default_rng(0)
    pixels, kernel, slope = rng.normal(size=6), rng.normal(size=3), rng.normal(size=4)
    values = np.multiply(winograd.to_points(pixels), winograd.kernel_to_points(kernel))
    np.testing.assert_allclose(
        winograd.from_points(values), np.correlate(pixels, kernel, "valid"), rtol=1e-12
    )
    # The gradient of the kernel: pixels against slopes.
    values = np.multiply(winograd.to_points(pixels), winograd.spread(slope))
    np.testing.assert_allclose(
        winograd.kernel_from_points(values), np.correlate(pixels, slope, "valid"), rtol=1e-12
    )


def test_the_whole_network_is_the_plain_one_to_1e_5():
    torch.manual_seed(0)
    network = PaperAutoencoder(8, size=32, filters=32, pooling=(4, 2))
    plain = copy.deepcopy(network).double()  # what is not float32 goes through torch's layers
    x = torch.log1p(torch.poisson(torch.full((2, 1, 32, 32), 3.0)))
    found, wanted = run(network, x), run(plain, x.double())
    assert wanted[0].max() > 0.1
    assert float((found[0] - wanted[0]).abs().max()) < 1e-5
    assert relative(found[1], wanted[1]) < 1e-5
    # Where an activation is 0 in one and 1e-7 in the other, or two pixels of a square are as large,
    # the gradient goes another way in single precision, by whatever layers. Hence not tighter.
    error = torch.cat([(a - b).ravel() for a, b in zip(found[2], wanted[2], strict=True)])
    assert error.norm() < 1e-2 * torch.cat([g.ravel() for g in wanted[2]]).norm()


def run(network, x):
    embedding = network.encode(x)
    decoded = network.decode(embedding)
    ((decoded - x).square().mean() + 1e-3 * embedding.sum()).backward()
    return embedding.detach(), decoded.detach(), [p.grad for p in network.parameters()]


@pytest.mark.parametrize("threads", [1, 2])
def test_twice_the_same_is_the_same_bit_by_bit(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        inputs = image(1, 32, 128, 64), image(32, 32, 3, 3, seed=1), image(32, seed=2)
        first, again = (everything(*inputs) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def everything(*inputs):
    x, weight, bias = (value.clone().requires_grad_() for value in inputs)
    out = fast.convolve(x, weight, bias, MEMORY)
    norm = torch.ones(x.shape[2:]), torch.zeros(x.shape[2:])
    out = fast.norm_relu(out, *norm, x, 1e-5, MEMORY)
    results = [out.detach(), *torch.autograd.grad(out.square().sum(), (x, weight, bias))]
    layers = convolutions(kind=torch.float32)
    found = chain(x.detach()[:, :1], layers)
    loss = sum(y.square().sum() for y in found)
    return [
        *results,
        *found,
        *torch.autograd.grad(loss, [p for n in layers for p in n.parameters()]),
    ]


def test_a_pattern_that_is_not_finite_is_not_hidden():
    network = PaperAutoencoder(4, size=16, filters=16, pooling=(2, 2))
    x = torch.rand(1, 1, 16, 16)
    x[0, 0, 3, 5] = torch.nan
    with torch.inference_mode():
        assert network.encode(x).isnan().any()


def test_memory_is_used_again_but_not_while_anything_refers_to_it():
    memory = Memory()
    first = memory.array((4, 5), np.dtype(np.float32))
    place = first.ctypes.data
    part = first.reshape(20)[3:].reshape(17, 1)[2:]
    tensor = torch.from_numpy(part)
    del first, part
    other = memory.array((20,), np.dtype(np.float32))
    assert other.ctypes.data != place
    del tensor
    assert memory.array((2, 10), np.dtype(np.float32)).ctypes.data == place


def test_images_of_the_memory_are_channels_last():
    assert (
        Memory()
        .image(2, 3, 4, 5, np.dtype(np.float32))
        .is_contiguous(memory_format=torch.channels_last)
    )


def test_a_network_can_be_copied_and_its_layers_have_the_reference_s_names():
    network = PaperAutoencoder(4, size=16, filters=16, pooling=(2, 2))
    twin = copy.deepcopy(network)
    x = torch.rand(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(network.encode(x), twin.encode(x))
    names = list(network.state_dict())
    assert names[:3] == ["scale", "encoder.0.weight", "encoder.0.bias"]
    assert "encoder.1.convolutions.2.weight" in names
    assert "decoder.3.norm.bias" in names
