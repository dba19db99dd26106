"""The check that all views of streams share."""

from typing import Any

from jaxper.stream.stream import Stream
from jaxper.stream.stream_view import StreamView
from jaxper.views.items import Items
from jaxper.views.view import check_same


def check_storage(view: StreamView, storage: Any) -> None:
    """Refuses a storage that was made under another view than this one, up to its discount."""
    made_under = storage.view if isinstance(storage, Stream) else Items()
    check_same(made_under, view.without_discount())
