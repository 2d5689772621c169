from .bad_pixel_search import bad_pixels as bad_pixels
from .block_work import sum_squares as sum_squares
from .correct_scan import correct as correct
from .correct_scan import not_negative as not_negative
from .image_files import corrected as corrected
from .image_files import detector_image as detector_image
