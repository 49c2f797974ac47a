"""Parts around parts: checkpoints, threads, conditions, functional calls, modes, hooks, and parts that run twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from random_models.tape import Region, Tape, Value

#: Builds the body of a wrapper.
Parts = Callable[[Tape, Value], nn.Module]


class Around(nn.Module):
    """A module around a part, at the path ``body``."""

    #: What holds for the parts inside.
    flags: tuple[tuple[str, bool], ...] = ()

    def __init__(self, rng: Random, tape: Tape, x: Value, parts: Parts) -> None:
        super().__init__()
        self.body = self.part(tape, x, parts)
        self.out = self.body.out

    def part(self, tape, x, parts):
        """Build the part."""
        tape.path.append("body")
        with tape.within(**dict(self.flags)):
            body = parts(tape, x)
        tape.path.pop()
        return body

    def forward(self, x):
        return self.body(x)


class Residual(Around):
    """``x`` beside what the body makes of it."""

    def __init__(self, rng: Random, tape: Tape, x: Value, parts: Parts) -> None:
        super().__init__(rng, tape, x, parts)
        self.out = tape.call([x, self.body.out], x.width + self.body.out.width, saves=False)

    def forward(self, x):
        return torch.cat([x, self.body(x)], 1)


class NoGrad(Around):
    """A body without autograd."""

    flags = (("grad", False),)

    def forward(self, x):
        with torch.no_grad():
            return self.body(x)


class Again(Around):
    """A body that a checkpoint runs again in backward."""

    reentrant = False

    def part(self, tape, x, parts):
        tape.regions.append(Region())
        body = super().part(tape, x, parts)
        self.region = tape.regions.pop()
        # the input of a reentrant checkpoint has a gradient, if only of zeros, also where its body cuts the graph
        self.region.active = not self.reentrant or x.number in tape.reached(body.out)
        self.region.out = body.out if self.reentrant else None
        return body

    def forward(self, x):
        with set_checkpoint_early_stop(False):
            if not self.region.active:
                return self.body(x)
            # the random state is no operator's result: the allocator would see it, and the counter not
            return checkpoint(self.body, x, use_reentrant=self.reentrant, preserve_rng_state=False)


class AgainInside(Again):
    """The same by the reentrant checkpoint."""

    reentrant = True

    def __init__(self, rng: Random, tape: Tape, x: Value, parts: Parts) -> None:
        super().__init__(rng, tape, x, parts)
        if self.region.active:  # it saves its input itself, where the checkpoints around it notice
            self.out = tape.call([self.out], self.out.width)


class Rerun(torch.autograd.Function):
    """A checkpoint by hand: forward without autograd, and once more in backward."""

    @staticmethod
    def forward(ctx, body, x, *parameters):
        ctx.body, ctx.parameters = body, parameters
        ctx.save_for_backward(x)
        with torch.no_grad():
            return body(x)

    @staticmethod
    def backward(ctx, gradient):
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            result = ctx.body(x)
        wanted = [x, *(parameter for parameter in ctx.parameters if parameter.requires_grad)]
        of_x, *rest = torch.autograd.grad(result, wanted, gradient, allow_unused=True)
        gradients = iter(rest)
        return None, of_x, *(next(gradients) if p.requires_grad else None for p in ctx.parameters)


class AgainByHand(AgainInside):
    """The same by a custom ``autograd.Function``."""

    flags = (("by_hand", True), ("lazy", False))

    def forward(self, x):
        return Rerun.apply(self.body, x, *self.body.parameters()) if self.region.active else self.body(x)


class OtherThread(Around):
    """A body that runs in a thread of its own."""

    def forward(self, x):
        results, errors, grad = [], [], torch.is_grad_enabled()

        def run() -> None:
            try:
                with torch.set_grad_enabled(grad):
                    results.append(self.body(x))
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]


class OnPool(Around):
    """A body that runs on a thread of a pool."""

    def forward(self, x):
        grad = torch.is_grad_enabled()

        def run():
            with torch.set_grad_enabled(grad):
                return self.body(x)

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(run).result()


class InTask(Around):
    """A body that runs in a task, among others."""

    flags = (("in_task", True),)

    def forward(self, x):
        async def one(body):
            await asyncio.sleep(0)
            return body(x)

        async def both():
            return await asyncio.gather(one(self.body), one(torch.neg))

        return asyncio.run(both())[0]


class Chosen(Around):
    """The branch of a condition."""

    flags = (("branch", True),)

    def forward(self, x):
        return torch.cond(torch.tensor(True), self.body, torch.neg, (x,))


class Twice(Around):
    """A body that runs twice."""

    def __init__(self, rng: Random, tape: Tape, x: Value, parts: Parts) -> None:
        start = len(tape.ops)
        super().__init__(rng, tape, x, parts)
        again = tape.repeat(start, self.body.out)
        self.out = tape.call([self.body.out, again], 2 * again.width, saves=False)

    def forward(self, x):
        return torch.cat([self.body(x), self.body(x)], 1)


class Functional(Around):
    """A body that runs on a copy of its parameters' values."""

    flags = (("lazy", False),)

    def forward(self, x):
        return functional_call(self.body, dict(self.body.named_parameters()), (x,))


class AutocastOff(Around):
    """A body under autocast that is switched off."""

    flags = (("autocast", False),)

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16, enabled=False):
            return self.body(x.float())


class AutocastOn(Around):
    """A body whose products are computed in 16 bits."""

    flags = (("autocast", True), ("lazy", False))

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            return self.body(x).float()


class Inference(Around):
    """A body in inference mode."""

    flags = (("grad", False), ("lazy", False), ("inference", True))

    def forward(self, x):
        with torch.inference_mode():
            result = self.body(x)
        return result.clone()


class Packed(Around):
    """A body whose saved tensors are packed by hooks, which take the place of those of a checkpoint around it."""

    def part(self, tape, x, parts):
        before, tape.blind = tape.blind, len(tape.regions)
        body = super().part(tape, x, parts)
        tape.blind = before
        return body

    def forward(self, x):
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: (tensor,), lambda packed: packed[0]):
            return self.body(x)


class Direct(Around):
    """A body whose ``forward`` is called instead of it."""

    def forward(self, x):
        return self.body.forward(x)


class Hooked(Around):
    """A body with hooks that change what it is given and returns."""

    def __init__(self, rng: Random, tape: Tape, x: Value, parts: Parts) -> None:
        super().__init__(rng, tape, x, parts)
        self.body.register_forward_pre_hook(lambda _, args: (args[0] * 2,))
        self.body.register_forward_hook(lambda _module, _args, result: result + 1)
        self.body.register_full_backward_hook(lambda _module, _given, _taken: None)


WRAPPERS = {
    kind.__name__: kind
    for kind in (
        Around, Residual, NoGrad, Again, AgainInside, AgainByHand, OtherThread, OnPool, InTask, Chosen, Twice,
        Functional, AutocastOff, AutocastOn, Inference, Packed, Direct, Hooked,
    )
}  # fmt: skip
