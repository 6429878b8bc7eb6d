"""Holds an edge to what the official Burki SDK expects of the API: a client changes its base_url,
and nothing else.

Usage: check.py path/to/burki-edge      (needs burki==0.1.2)

Runs the demo, asks edge and upstream the same questions, cuts the upstream, asks again, mends it,
and ends the demo as Ctrl-C does. One line a check; any failure is a traceback and exit code 1.
"""

import contextlib
import json
import select
import signal
import subprocess
import sys
import time

import httpx
from burki import BurkiClient
from burki.exceptions import AuthenticationError, NotFoundError

CALLS = 300
MISSING_ID = 999_999_999
MISSING_SID = "CA00000000000000000000000000000000"

# For all of it, in seconds; what is asked or awaited on the way has its own limit below.
WHOLE_RUN = 120
ANSWER = 15
CHANGE = 30


def main(binary):
    signal.alarm(WHOLE_RUN)  # uncaught, so it ends the script, and the finally below the demo
    signal.signal(signal.SIGALRM, too_long)
    with demo(binary) as (process, place):
        with Checks(place) as checks:
            checks.everything("the upstream is up")
            held = checks.cut()
            checks.everything("the upstream is cut", held)
            checks.honesty(held)
            checks.restore()
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=ANSWER)
        check(code == 0, f"SIGINT ends the demo with exit code 0 (it was {code})")
    print(f"SDK: all {check.count} checks passed")


def too_long(_signal, _frame):
    raise TimeoutError(f"not done after {WHOLE_RUN} s")


def check(holds, what):
    if not holds:
        raise AssertionError(what)
    check.count += 1
    print(f"ok  {what}", flush=True)


check.count = 0


def until(what, happens):
    """Asks until the answer is true, for as long as a change may take, and returns it."""
    deadline = time.monotonic() + CHANGE
    while not (answer := happens()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {CHANGE} s still not: {what}")
        time.sleep(0.05)
    return answer


@contextlib.contextmanager
def demo(binary):
    """The running demo, and the addresses, key and call that it tells when it is ready."""
    command = [binary, "demo", "--json", "--calls", str(CALLS), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            ready, _, _ = select.select([process.stdout], [], [], CHANGE)
            line = process.stdout.readline() if ready else ""
            check(line, "the demo says that it is ready")
            yield process, json.loads(line)
        finally:
            process.kill()  # of one that has ended it does nothing


class Checks(contextlib.ExitStack):
    def __init__(self, place):
        super().__init__()
        self.edge, self.upstream, self.key = place["edge"], place["upstream"], place["key"]
        self.sdk = self.client(self.edge, self.key)
        self.intruder = self.client(self.edge, "burki_not_the_key")
        self.raw = self.enter_context(
            httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, timeout=ANSWER)
        )
        # One in the middle of the list, not the demo's newest, which may never have started.
        listed = self.ask(self.upstream, f"?skip={CALLS // 2}&limit=1").json()["items"][0]
        self.call_id, self.call_sid = listed["id"], listed["call_sid"]

    def client(self, base_url, key):
        return self.enter_context(BurkiClient(api_key=key, base_url=base_url, timeout=ANSWER))

    def ask(self, server, path):
        return self.raw.get(f"{server}/api/v1/calls/{path}")

    def agreed(self):
        """The upstream's text of the call once the edge has the same, byte for byte: the demo's
        calls change, and the edge follows a moment later."""

        def same():
            theirs = self.ask(self.upstream, self.call_id)
            ours = self.ask(self.edge, self.call_id)
            return theirs.status_code == ours.status_code == 200 and (
                theirs.content == ours.content and theirs.text
            )

        return until("the edge has the upstream's own text", same)

    def everything(self, when, held=None):
        """All that the SDK can ask of single calls. `held` is the upstream's last word on the one."""
        text = held or self.agreed()
        expected = type(self.sdk.calls.get(self.call_id)).model_validate_json(text)
        check(self.sdk.calls.get(self.call_id) == expected, f"{when}: get")
        check(self.sdk.calls.get_by_sid(self.call_sid) == expected, f"{when}: get_by_sid")
        for path in (self.call_id, f"sid/{self.call_sid}"):
            check(self.ask(self.edge, path).text == text, f"{when}: {path}, byte for byte")
        for method, key in (
            (self.sdk.calls.get, MISSING_ID),
            (self.sdk.calls.get_by_sid, MISSING_SID),
        ):
            name = f"{when}: {method.__name__} of a missing call"
            check(raised(NotFoundError, method, key), f"{name} is a NotFoundError")
        for method, key in (
            (self.intruder.calls.get, self.call_id),
            (self.intruder.calls.get_by_sid, self.call_sid),
        ):
            name = f"{when}: {method.__name__} with a bad key"
            check(raised(AuthenticationError, method, key), f"{name} is an AuthenticationError")

    def cut(self):
        """Cuts the line, and returns the last text that came over it."""
        held = self.agreed()
        self.raw.post(f"{self.upstream}/simulator/cut").raise_for_status()
        try:
            self.ask(self.upstream, self.call_id)
            gone = False
        except httpx.TransportError:
            gone = True
        check(gone, "the upstream answers nobody")
        return held

    def honesty(self, held):
        def offline():
            answer = self.ask(self.edge, self.call_id)
            status = answer.headers["cache-status"]
            return status.startswith("burki-edge; hit;") and "detail=offline" in status and answer

        answer = until("Cache-Status says offline", offline)
        check(answer.text == held, "an answer that says it is given offline is the call")
        check(int(answer.headers["age"]) >= 0, "it has an Age")
        missing = self.ask(self.edge, MISSING_ID)
        check(missing.status_code == 404, "a missing call is a 404 offline, for all were read")
        check("age" in missing.headers, "it has an Age")
        check("detail=offline" in missing.headers["cache-status"], "it says that it is offline")

    def restore(self):
        self.raw.post(f"{self.upstream}/simulator/restore").raise_for_status()
        self.raw.post(f"{self.edge}/edge/sync").raise_for_status()

        def online():
            status = self.raw.get(f"{self.edge}/edge/status").json()
            return status["upstream"]["state"] == "online"

        until("the edge is online", online)
        check(self.agreed(), "the upstream restored: the edge follows it again")


def raised(kind, method, *arguments):
    try:
        method(*arguments)
    except kind:
        return True
    return False


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
