"""``PlainDispatchMode``: a dispatch mode whose handler runs as it is written."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class PlainDispatchMode(TorchDispatchMode):
    """A ``TorchDispatchMode`` that torch does not guard against its compiler.

    torch wraps the handler of a mode so that it is not compiled. The wrapper imports the compiler, which takes seconds,
    and slows down every operator. While a mode of this package is entered, nothing compiles: a session sets the stance
    ``force_eager``.
    """

    def __init__(self) -> None:
        """Begin as a mode that is not entered."""
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
