"""Entry point of the ``raftkv`` command."""

import signal
import sys
from collections.abc import Sequence

from raftkv.cli.exits import Exit, exit_for
from raftkv.cli.output import print_json, silence
from raftkv.cli.parser import build_parser
from raftkv.errors import RaftKvError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    arguments = build_parser().parse_args(argv)
    # Whoever ends a command in the middle of its work wants it to tidy up, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code: int = Exit.OK
    try:
        code = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        silence()  # the reader (`| head`) has enough
        return code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except (RaftKvError, OSError) as error:
        return _report(error, as_json=getattr(arguments, "json", False))


def _report(error: Exception, *, as_json: bool) -> int:
    code = exit_for(error)
    if as_json:
        print_json({"error": str(error), "kind": type(error).__name__, "exit": int(code)})
    else:
        print(f"raftkv: {error}", file=sys.stderr)
    return code
