"""The demo as a client's tests need it: started, told where it is, and ended as Ctrl-C does."""

import contextlib
import json
import select
import signal
import subprocess

# In seconds: for it to be ready, and to end.
READY = 30
ENDED = 15


@contextlib.contextmanager
def demo(binary, calls):
    """Addresses, key and a call of a running demo. It must end by itself with exit code 0."""
    command = [binary, "demo", "--json", "--calls", str(calls), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            ready, _, _ = select.select([process.stdout], [], [], READY)
            line = process.stdout.readline() if ready else ""
            if not line:
                raise TimeoutError(f"the demo was not ready after {READY} s")
            yield json.loads(line)
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=ENDED)
            if code != 0:
                raise AssertionError(f"the demo ended with exit code {code}")
        finally:
            process.kill()  # of one that has ended it does nothing
