"""Read the signature of a module's ``forward``, to name its arguments and to reject wrong ones before it runs."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from profiler.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from profiler.targets.target import Argument


#: Inputs that are no image, as ``--input`` takes them.
_EXAMPLES = {
    "input_features": "input_features=1x80x3000", "input_values": "input_values=1x16000",
    "input_ids": "input_ids=1x128", "pixel_values_videos": "pixel_values_videos=1x16x3x224x224",
    "past_values": "past_values=1x512", "waveform": "waveform=1x16000", "audio": "audio=1x16000",
}  # fmt: skip
#: Endings of the names of parameters that are tensors.
_TENSORS = (
    "ids", "values", "features", "inputs", "embeds", "states", "images", "mask", "lengths", "bbox", "feats", "pos",
    "thw", "sizes", "codes", "patches",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ForwardSignature:
    """The signature of one model's ``forward``."""

    #: Name of the model, for error messages.
    model: str
    #: None if ``forward`` is written in C++.
    signature: inspect.Signature | None

    @classmethod
    def of(cls, model: str, module: nn.Module) -> ForwardSignature:
        """Read the signature of *module*, which error messages call *model*."""
        try:
            return cls(model, inspect.signature(module.forward))
        except (TypeError, ValueError):
            return cls(model, None)

    def names(self, arguments: Sequence[Argument]) -> list[str]:
        """List the name of every argument; a positional one has that of its parameter, or ``input0`` if unknown."""
        parameters = list(self.signature.parameters) if self.signature is not None else []
        parameters += [f"input{i}" for i in range(len(parameters), len(arguments))]
        return [parameters[i] if argument.name is None else argument.name for i, argument in enumerate(arguments)]

    def require(self, name: str) -> None:
        """Raise unless ``forward`` takes a keyword argument called *name*.

        Raises:
            InputError: It does not; the message has the nearest names.
        """
        parameters = self.signature.parameters.values() if self.signature is not None else ()
        takes_any = self.signature is None or any(p.kind == p.VAR_KEYWORD for p in parameters)
        names = [p.name for p in parameters if p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
        if name not in names and not takes_any:
            kind = f"input of {self.model}"
            raise InputError(str(UnknownNameError(kind, name, names)))

    def missing(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Say what a call gave, and the tensors that ``forward`` takes beside that."""
        parameters = list(self.signature.parameters) if self.signature is not None else []
        given = [*parameters[: len(args)], *kwargs]
        others = [name for name in parameters if name.endswith(_TENSORS) and name not in given][:6]
        return (
            f"needs more inputs than {' and '.join(given) or 'none'}; add --input NAME=SHAPE for what it takes: "
            f"{', '.join(others) or 'see its forward'}"
        )

    def accepts(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Return whether Python could bind these arguments to ``forward``, as far as is known."""
        try:
            self.check(args, kwargs)
        except InputError:
            return False
        return True

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise if Python could not bind these arguments to ``forward``.

        Raises:
            InputError: An argument is missing, is given twice, or is one too many.
        """
        if self.signature is None:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            if args or kwargs:
                msg = f"{self.model} cannot be called with these inputs: {error}; write --input NAME=SHAPE"
            else:
                required = [p.name for p in self.signature.parameters.values() if p.default is p.empty]
                example = next((_EXAMPLES[name] for name in required if name in _EXAMPLES), "3x224x224")
                takes = ", ".join(required)
                msg = f"{self.model} has no default input (it takes {takes}); add --input, such as {example}"
            raise InputError(msg) from error
