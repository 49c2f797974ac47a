"""``python -m profiler.peers.worker_pool``: runs peers, each in a process that it may leave as it likes.

It stands between the one who asks and those processes. What they all import is imported once, by a server that has
done nothing else and is forked for each of them; and none of them runs the ``__main__`` of the one who asks again.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from profiler.peers.runner import exit_reason
from profiler.peers.worker import main as run
from profiler.util.processes import context_with_imports

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext


def main() -> None:
    """Read an order from stdin; write each answer to stdout when it comes, as a line of JSON with its number."""
    order = json.load(sys.stdin)
    sys.path[:] = order["path"]  # which the processes inherit: a model's own modules may lie anywhere
    context, limit_s = context_with_imports(["profiler.peers.worker", *order["imports"]]), order["limit_s"]
    with ThreadPoolExecutor(order["at_once"]) as pool:
        running = {
            pool.submit(_answer, context, name, subject, limit_s): int(number)
            for number, (name, subject) in order["asked"].items()
        }
        for answer in as_completed(running):
            sys.stdout.write(json.dumps({"number": running[answer]} | answer.result()) + "\n")
            sys.stdout.flush()


def _answer(context: ForkServerContext | SpawnContext, name: str, subject: str, limit_s: float) -> dict[str, Any]:
    """Run one peer in a process; a crash, a hang or an abort is its answer, in its own words."""
    receiver, sender = context.Pipe(duplex=False)
    with TemporaryDirectory(prefix="profiler-") as folder:
        log = Path(folder) / "log"
        process = context.Process(target=run, args=(name, subject, str(log), sender))
        process.start()
        sender.close()
        try:
            return dict(receiver.recv()) if receiver.poll(limit_s) else {"error": f"no answer in {limit_s:g} s"}
        except EOFError:
            process.join()
            with log.open("a+", encoding="utf-8", errors="replace") as said:
                return {"error": exit_reason(process.exitcode or 0, said)}
        finally:
            process.kill()
            process.join()


if __name__ == "__main__":
    main()
