from .direct_electron import read_mrc as read_mrc
from .gatan import images_of as images_of
from .hdf5 import Hdf5Array as Hdf5Array
from .hdf5_chunks import plain_chunks as plain_chunks
from .images import is_image_folder as is_image_folder
from .images import quiet as quiet
from .images import read_image as read_image
from .table import FORMATS as FORMATS
