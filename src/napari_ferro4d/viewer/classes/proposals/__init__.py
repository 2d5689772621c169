"""Panel "Proposals" of the dock "Classes": labels proposed by what the viewer shows of a scan.

Files, in reading order:

- `sources`: The layers of a scan that labels can be proposed from, and regions drawn on it.
- `value_table`: A table of the values in a label image: how often each occurs, and the class that
  it means.
- `map_editors`: What a map, or two, says about classes: ranges on a histogram, gates and sectors in
  a plane.
- `states_dialog`: A window that asks which simulated state each pattern is likest, to propose
  labels from.
- `proposal_form`: From what labels are proposed: a layer, or two, and what its values say about the
  classes.
- `proposed_layer`: The layer of proposed labels, and what becomes of them: taken to the user's
  labels, or discarded.
- `area_clicks`: Clicks on the canvas that each mean a probe position, while a button is down.
- `take_buttons`: Which proposals are taken: buttons to accept or discard them by click, in a
  region, or all.
- `panel`: Panel "Proposals": labels that maps and label images propose, to accept or discard.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
