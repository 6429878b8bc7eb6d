"""Holds an edge to what the official Burki SDK expects of the API: a client changes its base_url,
and nothing else.

Usage: sdk.py path/to/burki-edge      (needs burki==0.1.2)

Runs the demo, asks edge and upstream the same questions, cuts the upstream, asks again, mends it,
and ends the demo as Ctrl-C does. One line a check; any failure is a traceback and exit code 1.

Every method of the SDK's calls is held to what it comes to with the upstream itself: the same
models, or the same error. (Some come to an error there too: this SDK's models of metrics, analytics
and webhook logs demand fields that the documented API does not have.)
"""

import contextlib
import datetime
import signal
import sys
import time

import httpx
from burki import BurkiClient
from burki.exceptions import AuthenticationError, NotFoundError, ServerError
from demo import demo

CALLS = 300
MISSING_ID = 999_999_999
GONE_ID = 1  # below every call that the demo has
MISSING_SID = "CA00000000000000000000000000000000"

# For all of it, in seconds; what is asked or awaited on the way has its own limit below.
WHOLE_RUN = 120
ANSWER = 15
CHANGE = 30


def main(binary):
    signal.alarm(WHOLE_RUN)  # uncaught, so it ends the script, and the finally below the demo
    signal.signal(signal.SIGALRM, too_long)
    with demo(binary, CALLS) as place:
        with Checks(place) as checks:
            checks.everything("the upstream is up")
            checks.writes()
            known = checks.methods()
            held = checks.cut()
            checks.everything("the upstream is cut", held)
            checks.methods(known)
            checks.honesty(held)
            checks.no_actions()
            checks.restore()
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


class Checks(contextlib.ExitStack):
    def __init__(self, place):
        super().__init__()
        self.edge, self.upstream, self.key = place["edge"], place["upstream"], place["key"]
        self.sdk = self.client(self.edge, self.key)
        self.direct = self.client(self.upstream, self.key)
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
        # What may be newer than all that the edge knows can't be denied without the upstream.
        unknown = ServerError if held else NotFoundError
        for method, key, kind in (
            (self.sdk.calls.get, GONE_ID, NotFoundError),
            (self.sdk.calls.get, MISSING_ID, unknown),
            (self.sdk.calls.get_by_sid, MISSING_SID, unknown),
        ):
            name = f"{when}: {method.__name__} of {key}, which is missing"
            check(raised(kind, method, key), f"{name}, is a {kind.__name__}")
        for method, key in (
            (self.intruder.calls.get, self.call_id),
            (self.intruder.calls.get_by_sid, self.call_sid),
        ):
            name = f"{when}: {method.__name__} with a bad key"
            check(raised(AuthenticationError, method, key), f"{name} is an AuthenticationError")

    def methods(self, known=None):
        """What every read of the SDK comes to. While the upstream is up it must be the same from
        both; after that, the same as it was `known` to be."""
        # The demo lives on; calls that began an hour ago have had their changes.
        until_then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        stable = known["stable"] if known else until_then.replace(tzinfo=None, microsecond=0)
        outcomes = {"stable": stable}
        for name, ask in reads(self.call_id, self.call_sid, stable).items():
            if known:
                came_to = outcome(ask, self.sdk)
                check(came_to == known[name], f"the upstream is cut: {name}")
            else:
                outcomes[name] = until(
                    f"{name} is the same",
                    lambda ask=ask: same(outcome(ask, self.sdk), outcome(ask, self.direct)),
                )
                kind = "an error of the SDK's" if "raised" in outcomes[name] else "an answer"
                check(True, f"the upstream is up: {name}, {kind}, as from the upstream")
        # What moves on by itself: the same at some moment, and of the same kind ever after.
        for name in ("get_stats", "get_count", "get_analytics"):
            def ask(sdk, name=name):
                return getattr(sdk.calls, name)()

            if known:
                came_to = outcome(ask, self.sdk).keys()
                check(came_to == known[name].keys(), f"the upstream is cut: {name}")
            else:
                outcomes[name] = until(
                    f"{name} is the same",
                    lambda ask=ask: same(outcome(ask, self.sdk), outcome(ask, self.direct)),
                )
                check(True, f"the upstream is up: {name}, as from the upstream")
        recordings = self.ask(self.edge, f"{self.call_id}/recordings").json()
        played = [r["id"] for r in recordings if self.plays(r["id"], known)]
        check(played or not recordings, "a recording that was heard once plays")
        return outcomes

    def plays(self, recording_id, known):
        url = self.sdk.calls.get_recording_url(self.call_id, recording_id)
        ours = self.raw.get(url)
        if known:
            return ours.status_code == 200 and ours.headers["content-type"].startswith("audio/")
        theirs = self.raw.get(url.replace(self.edge, self.upstream))
        check(ours.status_code == theirs.status_code, f"recording {recording_id}: the same status")
        check(ours.content == theirs.content, f"recording {recording_id}: the same sound")
        return ours.status_code == 200

    def writes(self):
        note = {"checked": {"größe": [1, 2.5]}, "agenda": None}
        self.sdk.calls.update_metadata(self.call_id, note)
        for server in (self.edge, self.upstream):
            meta = self.ask(server, self.call_id).json()["call_meta"]
            check(meta["checked"] == note["checked"], "update_metadata is read back at once")
        begun = self.sdk.calls.initiate("+18005550100", "+14155550123")
        check(begun.success and begun.call_sid, "initiate is passed on")
        self.sdk.calls.terminate(begun.call_sid)
        ended = self.direct.calls.get_by_sid(begun.call_sid)
        check(ended.status == "completed", "terminate is passed on")

    def no_actions(self):
        for name, act in (
            ("update_metadata", lambda: self.sdk.calls.update_metadata(self.call_id, {"a": 1})),
            ("initiate", lambda: self.sdk.calls.initiate("+18005550100", "+14155550123")),
            ("terminate", lambda: self.sdk.calls.terminate(self.call_sid)),
        ):
            check(raised(ServerError, act), f"the upstream is cut: {name} is a ServerError")

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
        newer = self.ask(self.edge, MISSING_ID)
        check(newer.status_code == 503, "a call newer than all that are known is not denied offline")
        missing = self.ask(self.edge, GONE_ID)
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


def reads(call_id, call_sid, until_then):
    """Every read of the SDK's calls, by name. Lists end before what still changes."""
    before = {"date_to": until_then}
    month = {"date_from": until_then - datetime.timedelta(days=20), **before}
    lists = {
        "list": before,
        "list, limit": {"limit": 1000, **before},
        "list, skip": {"skip": 280, "limit": 1000, **before},
        "list, status": {"status": "completed", "limit": 1000, **before},
        "list, no such status": {"status": "nope", **before},
        "list, assistant": {"assistant_id": 2, "limit": 1000, **before},
        "list, phone": {"customer_phone": "555", "limit": 1000, **before},
        "list, dates": {"limit": 1000, **month},
        "list, durations": {"min_duration": 60, "max_duration": 300, "limit": 1000, **before},
        "list, limit too large": {"limit": 1001},
        "list, skip negative": {"skip": -1},
    }
    asked = {
        name: lambda sdk, of=of: sorted(sdk.calls.list(**of), key=lambda call: call.id)
        for name, of in lists.items()
    }
    one = {
        "get_transcripts": ({}, {"speaker": "user"}, {"include_interim": True}),
        "export_transcripts": ({"format": "json"}, {"speaker": "user", "format": "txt"}),
        "get_recordings": ({}, {"recording_type": "mixed"}),
        "get_messages": ({}, {"role": "user"}),
        "get_webhook_logs": ({}, {"webhook_type": "end-of-call-report"}),
        "get_metrics": ({},),
    }
    for name, every in one.items():
        for of in every:
            asked[f"{name} {of or ''}".strip()] = lambda sdk, name=name, of=of: getattr(
                sdk.calls, name
            )(call_id, **of)
    for name in ("get_transcripts_by_sid", "get_recordings_by_sid"):
        asked[name] = lambda sdk, name=name: getattr(sdk.calls, name)(call_sid)
    for of in (before, {"status": "completed", **month}, {"assistant_id": 1, **before}):
        asked[f"get_count {sorted(of)}"] = lambda sdk, of=of: sdk.calls.get_count(**of)
    for kind in ("csv", "json"):
        asked[f"export {kind}"] = lambda sdk, kind=kind: by_id(
            sdk.calls.export(format=kind, **before)
        )
    asked["get_analytics, no such period"] = lambda sdk: sdk.calls.get_analytics("2d")
    asked["search"] = lambda sdk: sdk.calls.search("555")
    return asked


def by_id(rows):
    """Ties come in any order from the upstream."""
    return sorted(rows, key=lambda row: row["id"]) if isinstance(rows, list) else rows


def outcome(ask, sdk):
    """What it comes to: an answer, or which error with what words."""
    try:
        return {"answer": ask(sdk)}
    except Exception as error:  # whatever it is, the other one's must be the same
        return {"raised": type(error).__name__, "with": str(error).replace("Retry-After", "")}


def same(ours, theirs):
    return ours if ours == theirs else None


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
