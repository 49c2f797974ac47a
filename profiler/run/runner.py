"""Turn a target into a profile: build the model and its inputs, and run it, on meta if possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import nn

from profiler.errors import InputError, ModelError, one_line
from profiler.run.forward import count_forward
from profiler.run.meta_kernels import on_meta
from profiler.tally import Profile
from profiler.targets import Argument, build_called, make_inputs
from profiler.targets.signatures import ForwardSignature
from profiler.units import size as size_text

if TYPE_CHECKING:
    from profiler.targets import Target

#: Called with a model, its positional and its keyword arguments: counts a forward pass, a training step …
Run = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Profile]
Notify = Callable[[str], None]

#: The weights of the largest model that runs on the CPU where ``meta`` cannot run it.
_MOST_FALLBACK_BYTES = 4 * 2**30


class Runner:
    """Runs targets on one device in one dtype.

    With device "auto" models run on ``meta``. The first model that needs tensor values runs on the CPU, and so does
    every later one. A model is built once for consecutive calls with the same *settings*.
    """

    def __init__(
        self,
        run: Run = count_forward,
        *,
        device: str = "auto",
        dtype: str | None = None,
        notify: Notify = lambda _: None,
    ) -> None:
        """Run models with *run*, by default one forward pass; *notify* is called with each note for the user."""
        self._run, self._dtype, self._notify = run, dtype, notify
        self._falls_back = device == "auto"
        self._device = "meta" if self._falls_back else device
        self._told: set[str] = set()
        self._built: tuple[object, nn.Module, tuple[Argument, ...]] | None = None

    def __call__(
        self, target: Target, specs: Sequence[str] = (), *, batch: int | None = None, settings: object = None
    ) -> Profile:
        """Build *target* unless the previous call built it with the same *settings*, make its inputs, and run it.

        Args:
            target: The model to run.
            specs: Input specifications, as ``--input`` takes them.
            batch: First dimension of every input.
            settings: A key for the model's sizes; if it equals that of the previous call, the model is reused. None
                always builds a new model.

        Raises:
            ModelError: The model cannot be built, or raised.
            ProfilerError: An input, the dtype or the device is invalid.
        """
        try:
            return self._once(target, specs, batch, settings)
        except ModelError as error:
            if not (self._falls_back and self._device == "meta" and needs_values(error)):
                raise
            self._refuse_large(target, error)
            self._fall_back(f"{target.name} needs tensor values ({one_line(error.__cause__ or error)})")
        return self._once(target, specs, batch, settings)

    def build(self, target: Target, settings: object = None) -> nn.Module:
        """Return the model; that of the previous call if *settings* are the same."""
        if self._falls_back and self._device == "meta" and target.prefers == "cpu":
            self._fall_back(f"{target.name} needs tensor values")
        if settings is None or self._built is None or self._built[0] != settings:
            self._built = None  # free the previous model before the next is built
            model, called = build_called(target, device=self._device, dtype=self._dtype)
            self._built = settings, model, called.inputs if called is not target else ()
        return self._built[1]

    def _once(self, target: Target, specs: Sequence[str], batch: int | None, settings: object) -> Profile:
        model = self.build(target, settings)
        target = self._with_given_inputs(target, settings)
        with on_meta() if self._device == "meta" else nullcontext(), _no_exit(target):
            args, kwargs = make_inputs(target, model, specs, batch=batch, device=self._device, dtype=self._dtype)
            names = [*kwargs, *ForwardSignature.of(target.name, model).names([Argument(value) for value in args])]
            return self._noted(self._call(target, model, args, kwargs), target, names)

    def _noted(self, profile: Profile, target: Target, names: list[str]) -> Profile:
        """Return the profile with what its readers have to know, and tell the user."""
        notes = tuple(filter(None, (target.note, target.left_out(names))))
        for note in dict.fromkeys(n for n in notes if n not in self._told):
            self._notify(note)
        self._told.update(notes)
        return replace(profile, notes=(*profile.notes, *notes))

    def _call(self, target: Target, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
        """Run the model; where it stumbles over an input that is None, say which it was given and which it takes."""
        try:
            return self._run(model, args, kwargs)
        except ModelError as error:
            if "NoneType" not in str(error.__cause__):
                raise
            forward = ForwardSignature.of(target.name, model)
            msg = f"{target.name} {forward.missing(args, kwargs)} ({one_line(error.__cause__ or error)})"
            raise ModelError(msg) from error.__cause__

    def _with_given_inputs(self, target: Target, settings: object) -> Target:
        """Return *target* with the inputs that its factory returned, unless it has others."""
        inputs = self._built[2] if self._built else ()
        if not inputs or target.inputs:
            return target
        if settings is not None:
            msg = f"{target.name} returns its inputs with their sizes; write --input NAME=SIZE,SIZE to vary them"
            raise InputError(msg)
        return replace(target, inputs=inputs)

    def _refuse_large(self, target: Target, error: ModelError) -> None:
        """Raise a ``ModelError`` if the weights are too large to fall back to the CPU without being asked to."""
        parameters = self._built[1].parameters() if self._built else ()
        size = sum(parameter.nbytes for parameter in parameters)
        if size > _MOST_FALLBACK_BYTES:
            msg = (
                f"{target.name} needs tensor values ({one_line(error.__cause__ or error)}), and has "
                f"{size_text(size)} of weights; --device cpu runs it on the CPU all the same"
            )
            raise ModelError(msg) from error

    def _fall_back(self, reason: str) -> None:
        self._notify(f"{reason}; running on the CPU")
        self._device, self._built = "cpu", None


@contextmanager
def _no_exit(target: Target) -> Iterator[None]:
    """Raise a ``ModelError`` where the model would end the process, with a status that says that all went well."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit and the like
        msg = f"{target.name} raised {one_line(error)}"
        raise ModelError(msg) from error


def needs_values(error: ModelError) -> bool:
    """Return whether a model failed because tensors on ``meta`` have no values, which torch reports in several ways."""
    cause = error.__cause__
    return isinstance(cause, NotImplementedError) or "meta" in str(cause).lower() or "data-dependent" in str(cause)
