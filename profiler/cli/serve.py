"""``profiler serve hf:MODEL --users 8``: a language model in service on one device or several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.name_lists import split_names
from profiler.cli.output import emit, working
from profiler.cli.subjects import OUTPUT, PLAN, examples
from profiler.errors import CheckFailedError
from profiler.report.servings import SERVICE_FORMATS, ServiceReport
from profiler.util.quick_imports import import_quickly
from profiler.values.modes import Mode

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[*SERVICE_FORMATS.names()]


@app.command(
    group=PLAN,
    help_epilogue=examples(
        "profiler serve hf:gpt2 --users 8 --context 512 --on l4",
        "profiler serve hf:gpt2 --on l4,rtx-4090 --precision bf16 --format json",
    ),
)
def serve(
    target: str,
    /,
    *,
    on: str,
    users: int = 1,
    context: int = 2048,
    output_tokens: int = 256,
    precision: str | None = None,
    kv_precision: Literal["fp32", "bf16", "fp16", "fp8", "int8", "int4"] | None = None,
    mode: Mode = "deployed",
    price_per_hour: float | None = None,
    strict: bool = False,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Plan a language model in service.

    Shows memory, time to the first token, time per token, and how many users fit.

    Args:
        target: A language model, such as `hf:llama-3.1-8b`, or `hf:` with any configuration.
        on: Devices, separated by commas.
        users: Sequences at once.
        context: Tokens of each user's prompt.
        output_tokens: Tokens that are generated for each user.
        precision: The precision, such as `bf16`, `fp8` or `int4-weights`; by default the model's own.
        kv_precision: The precision of the key-value cache; by default that of the activations.
        mode: How the model runs: `eager`, `compiled` or `deployed`. Servers replay merged kernels, as in `deployed`.
        price_per_hour: Price of a device for an hour; adds the price of a million tokens.
        strict: Exit with status 1 if the service fits no device.
        format: Output format.
        output: File to write the result to, instead of printing it.
        quiet: Print nothing on stderr.
    """
    import_quickly("torch")
    from profiler.devices import find_device
    from profiler.projection.amounts import require_amount
    from profiler.projection.serving import Service, plan_service
    from profiler.run.count_service import count_service

    devices = [find_device(name) for name in split_names(on)]
    if price_per_hour is not None:
        require_amount(price_per_hour, "a price of {} an hour")
    service = Service(users, context, output_tokens, kv_precision, price_per_hour)
    with working(f"counting {target}", quiet=quiet):
        counted = count_service(target, service)
    plans = [plan_service(counted, device, precision=precision, mode=mode) for device in devices]
    emit(SERVICE_FORMATS.render(ServiceReport(target, service, plans), format), output)
    if strict and not any(plan.fits for plan in plans):
        msg = "--strict: the service fits no device"
        raise CheckFailedError(msg)
