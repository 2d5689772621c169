from .errors import LabelsError as LabelsError
from .errors import ModelError as ModelError
from .errors import ResultsError as ResultsError
from .errors import ScanError as ScanError
from .learn import classify as classify
from .learn import embed as embed
from .learn import load_model as load_model
from .learn import save_model as save_model
from .learn import suggest as suggest
from .learn import train as train
from .open import open_scan as open_scan
from .reduce import com as com
from .reduce import virtual as virtual
from .results import read_results as read_results
from .results import write_results as write_results
from .scan import Scan as Scan

__version__: str
