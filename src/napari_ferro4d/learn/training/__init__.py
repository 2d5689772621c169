"""Losses, schedules and loops of training.

Files, in reading order:

- `request`: What a training is to be: from what the user asks for to the header of the model.
- `schedule`: Training schedules: phases of epochs, each with its learning rate and loss weights.
- `automatic_schedule`: The schedule "auto": more sparsity until it changes nothing, then an end
  when maps stand still.
- `losses`: What training an autoencoder minimises, and its terms.
- `gradient`: The gradient of a batch: in parts that fit into memory, over one process or several.
- `autoencoder_fit`: The training loop of the autoencoder: epochs, batches, checkpoints.
- `channel_monitor`: The channels while they are learnt: how many are active, what they look like.
- `history`: The course of a training, epoch by epoch, as it goes into the model's header. Knows no
  torch.
- `training_state`: What a training shows while it runs.
- `linear_fit`: Linear baselines: principal, non-negative and independent components of the
  patterns.
- `classifier_fit`: The training loop of the paper's classifier, with batches and a learning rate
  of its own: few labels, many small steps.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
