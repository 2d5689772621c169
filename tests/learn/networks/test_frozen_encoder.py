"""The paper's encoder for weights that no longer change: the same embedding, in other steps."""

from __future__ import annotations

import copy

import pytest
import torch

from napari_ferro4d.learn.networks import PaperAutoencoder, VariationalAutoencoder


def patterns(count: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    counts = torch.poisson(torch.full((count, 1, size, size), 3.0), generator=generator)
    return torch.log1p(counts)


# Images smaller than a strip and larger, whole strips and a last one that is not; one pixel more
# than the square that the first four convolutions see, and many.
@pytest.mark.parametrize(
    ("size", "filters", "pooling"),
    [(12, 3, (2,)), (16, 16, (2, 2)), (28, 5, (2,)), (32, 32, (4, 2)), (96, 4, (4, 2, 3))],
)
def test_the_embedding_is_that_of_the_plain_network_to_1e_5(size, filters, pooling):
    torch.manual_seed(0)
    network = PaperAutoencoder(8, size, filters, pooling)
    for values in network.parameters():
        values.data += 0.02 * torch.randn(values.shape)  # weights of the norms are no longer 1
    plain = copy.deepcopy(network).double()
    x = patterns(2, size)
    with torch.inference_mode():
        wanted = plain.encode(x.double())
        found = network.frozen_encode()(x)
    assert found.dtype == torch.float32
    assert wanted.max() > 0.1
    assert float((found - wanted).abs().max()) < 1e-5 * float(wanted.max())


def test_it_takes_other_steps_than_the_plain_network():
    # The convolutions are none of torch's: they are never called.
    network = PaperAutoencoder(4, size=32, filters=4, pooling=(4, 2))
    encode, called = network.frozen_encode(), []
    for layer in network.encoder.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda layer, *_: called.append(layer.out_channels))
    with torch.inference_mode():
        encode(patterns(1, 32))
    assert called == [1]


@pytest.mark.parametrize(("size", "pooling"), [(8, (2,)), (20, (2,)), (36, (2,))])
def test_any_size_has_an_embedding(size, pooling):
    network = PaperAutoencoder(4, size, 3, (*pooling, 2))
    x = patterns(1, size)
    with torch.inference_mode():
        torch.testing.assert_close(network.frozen_encode()(x), network.encode(x))


def test_a_beta_vae_around_it_gives_its_means():
    network = VariationalAutoencoder(PaperAutoencoder(4, 16, 16, (2, 2)), 4)
    x = patterns(2, 16)
    with torch.inference_mode():
        torch.testing.assert_close(network.frozen_encode()(x), network.encode(x))


def test_a_pattern_that_is_not_finite_is_not_hidden():
    network = PaperAutoencoder(4, size=16, filters=16, pooling=(2, 2))
    x = patterns(1, 16)
    x[0, 0, 3, 5] = torch.nan
    with torch.inference_mode():
        assert network.frozen_encode()(x).isnan().any()


@pytest.mark.parametrize("threads", [1, 2])
def test_twice_the_same_is_the_same_bit_by_bit(threads):
    network = PaperAutoencoder(8, size=64, filters=32, pooling=(4, 2))
    x = patterns(3, 64)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            first, again = (network.frozen_encode()(x) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(first, again)


def test_the_network_has_the_reference_s_names():
    names = list(PaperAutoencoder(4, size=16, filters=16, pooling=(2, 2)).state_dict())
    assert names[:3] == ["scale", "encoder.0.weight", "encoder.0.bias"]
    assert "encoder.1.convolutions.2.weight" in names
    assert "decoder.3.norm.bias" in names
