from .layer_memory import Memory as Memory
from .layers import Convolution as Convolution
from .layers import MaxPool as MaxPool
from .layers import NormReLU as NormReLU
from .layers import Upsample as Upsample
from .layers import chain as chain
