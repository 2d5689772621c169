from .abrupt_changes import find_abrupt as find_abrupt
