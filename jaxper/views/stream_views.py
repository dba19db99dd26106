"""The members that all views of streams share."""

from typing import Any

from jaxper.stream import append, stream
from jaxper.stream.stream import Stream
from jaxper.stream.stream_view import StreamView
from jaxper.views.items import Items
from jaxper.views.view import check_same


class StreamViewShell:
    """The members of a view that do not depend on what a draw makes of the steps."""

    num_envs: int

    @property
    def all_live(self) -> bool:
        """False: at some stored steps no draw can start."""
        return False

    @property
    def takes_priorities(self) -> bool:
        """False: what a row completes is not known when it is added."""
        return False

    @property
    def slots_per_row(self) -> int:
        """Slots of one ring row: one step of each environment."""
        return self.num_envs

    @property
    def draws_randomly(self) -> bool:
        """False: its start determines all of a draw."""
        return False

    item_spec = staticmethod(stream.item_spec)
    check = staticmethod(append.check)
    take_rows = staticmethod(stream.take_rows)


def check_storage(view: StreamView, storage: Any) -> None:
    """Refuses a storage that was made under another view than this one, up to its discount."""
    made_under = storage.view if isinstance(storage, Stream) else Items()
    check_same(made_under, view.without_discount())
