"""The layers of the paper's encoder for weights that no longer change: embedding on a CPU.

Two identities spare five sixths of the multiplications; what is left are products of matrices.

- The first four convolutions have no activation between them. From an image of one channel they are
  one linear function of the 9 x 9 pixels around each pixel.
- Winograd's minimal filtering F(4 x 4, 3 x 3): squares of 6 x 6 pixels and the kernels are
  polynomials. Of their product, the values at 6 x 6 points are enough for 4 x 4 coefficients; there
  a convolution is one product of numbers, summed over the channels, in place of nine.

Images are float32 ``[y, x, channel]``, and those of the first layers take 32 MB. They are worked on
in strips of rows, which stay in a core's own cache, and always in the same memory, since what comes
fresh from the system is emptied first, which takes as long as a tenth of all arithmetic.

References
----------
Lavin & Gray, CVPR 2016, doi:10.1109/CVPR.2016.435 (minimal filtering);
Barabasz et al., ACM Trans. Math. Softw. 46, 37 (2020), doi:10.1145/3412380 (its precision).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import nn


def _strip() -> int:
    """Return how many pixels are worked on at a time: 1 MB of 128 channels for every thread."""
    return 2048 * torch.get_num_threads()


class LinearLayers:
    """Convolutions 3 x 3, one after the other without activation, from an image of one channel.

    Every pixel is a linear function of the pixels of a square around it. Near an edge, where each
    layer continues its image by zeros, it is another function, and the square is the outermost one
    of the image. So there is a kernel for every place that a pixel can have in its square. The
    kernels are what the layers make of squares with a single bright pixel.
    """

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        self.side = 2 * len(layers) + 1
        dots = torch.eye(self.side**2).view(-1, 1, self.side, self.side)
        dark = torch.zeros(1, 1, self.side, self.side)
        for layer in layers:
            dots = F.conv2d(dots, layer.weight, padding=1)
            dark = layer(dark)
        self.channels = dark.shape[1]
        self._kernels = dots.permute(2, 3, 0, 1).contiguous()
        self._offsets = dark[0].permute(1, 2, 0).contiguous()

    def add_to(self, image: torch.Tensor, x: torch.Tensor) -> None:
        """Add to `image` what the layers make of `x` ``[y, x]``, at least as large as a square."""
        squares = x.unfold(0, self.side, 1).unfold(1, self.side, 1)
        places = (list(self._places(size)) for size in x.shape)
        for (i, rows, from_rows), (j, columns, from_columns) in product(*places):
            seen, out = squares[from_rows, from_columns], image[rows, columns]
            step = max(1, _strip() // out.shape[1])
            for pixels, sums in zip(torch.split(seen, step), torch.split(out, step), strict=True):
                kernels = self._kernels[i, j].expand(len(sums), -1, -1)
                sums += self._offsets[i, j]
                sums.baddbmm_(pixels.reshape(*sums.shape[:2], -1), kernels)

    def _places(self, size: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield places in the square: who has it along a side of the image, and whose square."""
        middle, last = self.side // 2, size - self.side
        for i in range(self.side):
            if i == middle:
                yield i, slice(middle, middle + last + 1), slice(0, last + 1)
            else:
                start = 0 if i < middle else last
                yield i, slice(start + i, start + i + 1), slice(start, start + 1)


# The points along an axis: these and infinity. They lose less precision than the usual 0, +-1, +-2
# do: 1.1e-6 of the result's standard deviation at 128 channels, where sums of products lose 2e-7.
_POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2.0), -math.sqrt(2.0))


def _values(count: int) -> torch.Tensor:
    """Return the matrix that takes `count` coefficients of a polynomial to values at the points."""
    powers = torch.tensor(_POINTS, dtype=torch.float64)[:, None] ** torch.arange(count)
    highest = torch.eye(count, dtype=torch.float64)[-1:]
    return torch.cat([powers, highest])


def _both_axes(one: torch.Tensor) -> torch.Tensor:
    return torch.kron(one, one).float()


# A correlation is the transpose of a product of polynomials with respect to one of its factors.
_PIXELS_TO_POINTS = _both_axes(torch.linalg.inv(_values(6)).T)
_KERNEL_TO_POINTS = _both_axes(_values(3))
_POINTS_TO_PIXELS = _both_axes(_values(4).T)


class MinimalConvolution:
    """A convolution 3 x 3, the image continued by zeros, with a quarter of the multiplications."""

    def __init__(self, layer: nn.Conv2d) -> None:
        # Turned into [point, c_in, c_out].
        at_points = torch.tensordot(_KERNEL_TO_POINTS, layer.weight.flatten(2), ([1], [2]))
        self._kernel = at_points.mT.contiguous()
        assert layer.bias is not None
        self._bias = layer.bias
        self._result = torch.empty(0)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return ``[y, x, c_out]`` of ``[y, x, c_in]``, whose sides are multiples of four.

        The next call overwrites it.
        """
        ny, nx, c_in = image.shape
        c_out = self._kernel.shape[2]
        rows = min(ny, max(1, _strip() // 16 // nx) * 4)
        tiles = rows * nx // 16
        result = self._result.resize_(ny, nx, c_out)
        padded = image.new_empty(rows + 2, nx + 2, c_in)
        squares = padded.unfold(0, 6, 4).unfold(1, 6, 4).permute(3, 4, 0, 1, 2)
        pixels = image.new_empty(6, 6, rows // 4, nx // 4, c_in)
        values, sums = image.new_empty(36, tiles, c_in), image.new_empty(36, tiles, c_out)
        found = image.new_empty(4, 4, rows // 4, nx // 4, c_out)
        for begin in range(0, ny, rows):
            begin = min(begin, ny - rows)  # the last strip may overlap the one before
            first, last = max(begin - 1, 0), min(begin + rows + 1, ny)
            padded.zero_()
            padded[first - begin + 1 : last - begin + 1, 1:-1] = image[first:last]
            pixels.copy_(squares)
            torch.mm(_PIXELS_TO_POINTS, pixels.view(36, -1), out=values.view(36, -1))
            torch.bmm(values, self._kernel, out=sums)
            torch.mm(_POINTS_TO_PIXELS, sums.view(36, -1), out=found.view(16, -1))
            out = result[begin : begin + rows].view(rows // 4, 4, nx // 4, 4, c_out)
            torch.add(found.permute(2, 0, 3, 1, 4), self._bias, out=out)
        return result


def norm_relu_(image: torch.Tensor, norm: nn.LayerNorm) -> torch.Tensor:
    """Normalise every channel of ``[y, x, channel]`` over the image, and apply ReLU, in place."""
    pixels = image.flatten(0, 1)
    strips, weights, biases = (
        torch.split(values, _strip())
        for values in (pixels, norm.weight.view(-1, 1), norm.bias.view(-1, 1))
    )
    share = pixels.new_full((1, len(pixels)), 1 / len(pixels))

    def mean(parts: Iterator[torch.Tensor]) -> torch.Tensor:
        # Sums of few numbers first: one after the other, 65,536 of them lose a digit.
        return torch.cat([share[:, : len(part)] @ part for part in parts]).sum(dim=0)

    pixels -= mean(iter(strips))
    scale = (mean(strip.square() for strip in strips) + norm.eps).rsqrt()
    for strip, weight, bias in zip(strips, weights, biases, strict=True):
        strip.mul_(scale).mul_(weight).add_(bias).relu_()
    return image
