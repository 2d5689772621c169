from .process import Worker as Worker
from .scan_transfer import pickled as pickled
