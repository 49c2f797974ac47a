"""What a module's ``forward`` takes, as far as Python knows."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from profiler.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from profiler.targets.target import Argument


@dataclass(frozen=True, slots=True)
class Forward:
    """The signature of one model's ``forward``; None where it is written in C++."""

    model: str
    signature: inspect.Signature | None

    @classmethod
    def of(cls, model: str, module: nn.Module) -> Forward:
        """Read the signature of *module*, which is called *model* in messages."""
        try:
            return cls(model, inspect.signature(module.forward))
        except (TypeError, ValueError):
            return cls(model, None)

    def names(self, arguments: Sequence[Argument]) -> list[str]:
        """Name every argument: a positional one by the parameter that it is for, where that is known."""
        parameters = list(self.signature.parameters) if self.signature is not None else []
        parameters += [f"input{i}" for i in range(len(parameters), len(arguments))]
        return [parameters[i] if argument.name is None else argument.name for i, argument in enumerate(arguments)]

    def require(self, name: str) -> None:
        """Refuse a keyword that ``forward`` does not take.

        Raises:
            InputError: It takes no such argument; the message gives the nearest names.
        """
        parameters = self.signature.parameters.values() if self.signature is not None else ()
        takes_any = self.signature is None or any(p.kind == p.VAR_KEYWORD for p in parameters)
        known = [p.name for p in parameters if p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
        if name not in known and not takes_any:
            kind = f"input of {self.model}"
            raise InputError(str(UnknownNameError(kind, name, known)))

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse a call that Python would refuse, before the model runs.

        Raises:
            InputError: An argument is missing, or is given twice.
        """
        if self.signature is None:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            if args or kwargs:
                msg = f"{self.model} cannot be called so: {error}; give it with --input NAME=SHAPE"
            else:
                required = ", ".join(p.name for p in self.signature.parameters.values() if p.default is p.empty)
                msg = f"{self.model} has no default input (it takes {required}); say it with --input, such as 3x224x224"
            raise InputError(msg) from error
