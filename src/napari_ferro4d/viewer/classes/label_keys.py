"""Keys of the viewer that label while a dock wants them, and are napari's again afterwards.

napari asks the active layer before the viewer, and its layers have tools on 1 to 7, on Backspace
and on Space: the keys are bound on both, and what was bound on them before is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel


class LabelKeys:
    """Binds keys on a viewer and on whichever layer is active in it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer.
    actions : mapping of str to callable
        What each key does, by napari's name of the key.
    otherwise : mapping of str to callable
        The same for keys that do it only where the active layer does nothing with them.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        actions: Mapping[str, Callable[[], None]],
        otherwise: Mapping[str, Callable[[], None]],
    ) -> None:
        self._viewer = viewer
        self._actions = {key: _bindable(action) for key, action in actions.items()}
        self._otherwise = {key: _bindable(action) for key, action in otherwise.items()}
        self._bound: list[tuple[Any, dict[str, Any]]] = []
        self._on = False

    @property
    def on(self) -> bool:
        """Whether the keys label now."""
        return self._on

    def turn(self, on: bool) -> None:
        """Take the keys, or give them back."""
        if on == self._on:
            return
        self._on = on
        event = self._viewer.layers.selection.events.active
        if on:
            event.connect(self._on_active)
            self._bind()
        else:
            event.disconnect(self._on_active)
            self._unbind()

    def _on_active(self, event: Any = None) -> None:
        self._unbind()
        self._bind()

    def _bind(self) -> None:
        viewer, active = self._viewer, self._viewer.layers.selection.active
        for owner, actions in ((viewer, self._actions | self._otherwise), (active, self._actions)):
            if owner is not None:
                before = {
                    key: owner.bind_key(key, action, overwrite=True)
                    for key, action in actions.items()
                }
                self._bound.append((owner, before))

    def _unbind(self) -> None:
        for owner, before in self._bound:
            for key, action in before.items():
                owner.bind_key(key, action, overwrite=True)  # unbound where there was none
        self._bound = []


def _bindable(action: Callable[[], None]) -> Callable[[Any], None]:
    def act(owner: Any) -> None:
        action()

    return act
