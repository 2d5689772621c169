from .screenshot import screenshot_results as screenshot_results
