"""Dock "Classifier".

Files, in reading order:

- `labels_to_learn`: What the user said of a scan, taken together: labels, and corrections of the
  prediction.
- `live_prediction`: Prediction that follows the labelling by itself, while the user goes on
  painting.
- `shown_result`: A classification as the dock shows it: of which scan, in which colours, how it
  was made.
- `reliability_plot`: A reliability diagram: how often the model is right where it says how sure it
  is.
- `figure_tables`: Tables of labels held out: what was taken for what, and where label and model
  disagree.
- `figures_panel`: Panel "What the model says of itself": figures on labels that it had not seen.
- `maps_panel`: Panel "Maps": what the model knows beside the prediction, as layers for those who
  want them.
- `looks_panel`: Panel "What the model looks at": one small image per class, on the detector.
- `apply_dialog`: Dialog "Apply to": which of the other scans in the viewer the present model is to
  classify.
- `model_form`: The parameters of a training.
- `model_panel`: The present model: what it is, to load and save it, and to predict scans with it.
- `probe_position`: Move the probe of a scan from elsewhere than the dock that shows its pattern.
- `dock`: Dock widget "Classifier": few labelled positions in, a map of classes out, decisions
  back in.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
