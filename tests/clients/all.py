"""Asks an edge for everything by the usual clients of four languages, each over one connection: an
answer that is framed wrongly spoils the next one.

Usage: all.py path/to/burki-edge FOLDER      (needs requests, httpx, urllib3; node, javac, go)

Every client is to be told the same: the status of each request, a body where there is one, and the
same body where the demo's world does not change it. FOLDER is for what is compiled. One line a
client; any difference is a traceback and exit code 1.
"""

import hashlib
import json
import pathlib
import subprocess
import sys

import httpx
import requests
import urllib3
from demo import demo

HERE = pathlib.Path(__file__).parent
CALLS = 300

NOTHING = hashlib.sha256(b"").hexdigest()


def asked(call, sid):
    """Method, path and headers; what has no body is followed by what has one."""
    tag = {"If-None-Match": "*"}
    one = f"/api/v1/calls/{call}"
    yield "GET", one, {}
    yield "GET", one, tag  # 304
    yield "GET", f"/api/v1/calls/sid/{sid}", {}
    yield "HEAD", one, {}
    yield "GET", "/api/v1/calls?limit=50", {}
    yield "HEAD", "/api/v1/calls?limit=50", {}
    yield "GET", "/api/v1/calls?limit=50", {"Cache-Control": "no-cache"}
    yield "GET", "/api/v1/calls/count", tag
    yield "OPTIONS", "/api/v1/calls", {}  # 204
    yield "GET", "/api/v1/calls/stats", {}
    yield "HEAD", "/api/v1/calls/export", {}
    yield "GET", "/api/v1/calls/export", {}
    yield "HEAD", "/api/v1/assistants/", {}  # passed on
    yield "GET", "/api/v1/assistants/", {}
    yield "DELETE", "/edge/writes/1", {}
    yield "GET", f"{one}/transcripts", {}
    yield "GET", f"{one}/recordings", {}
    yield "POST", "/edge/sync", {}
    yield "GET", "/edge/changes?after=0&limit=5", {}
    yield "GET", "/edge/writes", {}
    yield "GET", "/x/../healthz", {}
    yield "GET", "/openapi.json", {}
    yield "HEAD", "/healthz", {}
    yield "GET", "/healthz", {}
    yield "GET", "/nowhere", {}
    yield "GET", one, {}


def by_requests(edge, headers, wanted):
    with requests.Session() as session:
        for method, path, more in wanted:
            told = session.request(method, edge + path, headers=headers | more)
            yield told.status_code, told.content


def by_httpx(edge, headers, wanted):
    with httpx.Client(limits=httpx.Limits(max_connections=1)) as client:
        for method, path, more in wanted:
            told = client.request(method, edge + path, headers=headers | more)
            yield told.status_code, told.content


def by_urllib3(edge, headers, wanted):
    with urllib3.PoolManager(num_pools=1, maxsize=1, block=True) as pool:
        for method, path, more in wanted:
            told = pool.request(method, edge + path, headers=headers | more, redirect=False)
            yield told.status, told.data


def by_program(command):
    """A program that reads what to ask on standard input and writes a status and a digest a line."""

    def ask(edge, headers, wanted):
        question = [
            {"method": method, "url": edge + path, "headers": headers | more}
            for method, path, more in wanted
        ]
        # A line a request, and a header of it a tab: no client needs a parser of JSON for it.
        lines = [
            "\t".join([one["method"], one["url"], *(f"{k}: {v}" for k, v in one["headers"].items())])
            for one in question
        ]
        ran = subprocess.run(
            command, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120
        )
        if ran.returncode != 0:
            raise AssertionError(f"{command}: {ran.stderr}")
        for line in ran.stdout.splitlines():
            status, digest = line.split()
            yield int(status), digest

    return ask


def digest(body):
    return body if isinstance(body, str) else hashlib.sha256(body).hexdigest()


def same(one, other, method, path, call):
    """Whether two clients were told the same."""
    (status, body), (expected, usual) = one, other
    has_body = method != "HEAD" and status not in (204, 304)
    is_still = path in (f"/api/v1/calls/{call}", "/openapi.json", "/healthz", "/x/../healthz")
    return (
        status == expected
        and (body != NOTHING) == has_body
        and (body == usual or not is_still)
    )


def main(binary, folder):
    folder = pathlib.Path(folder)
    subprocess.run(["javac", "-d", folder, HERE / "Http.java"], check=True)
    subprocess.run(["go", "build", "-o", folder / "http-go", HERE / "http.go"], check=True)
    clients = {
        "Python, requests": by_requests,
        "Python, httpx": by_httpx,
        "Python, urllib3": by_urllib3,
        "Node, fetch": by_program(["node", HERE / "fetch.mjs"]),
        "Node, http": by_program(["node", HERE / "http.mjs"]),
        "Java, HttpClient": by_program(["java", "-cp", folder, "Http"]),
        "Go, net/http": by_program([folder / "http-go"]),
    }
    with demo(binary, CALLS) as place:
        headers = {"Authorization": f"Bearer {place['key']}", "Accept-Encoding": "identity"}
        listed = requests.get(
            place["upstream"] + "/api/v1/calls/?skip=150&limit=1", headers=headers
        ).json()["items"][0]
        wanted = list(asked(listed["id"], listed["call_sid"]))
        first = None
        for name, ask in clients.items():
            told = [(status, digest(body)) for status, body in ask(place["edge"], headers, wanted)]
            if len(told) != len(wanted):
                raise AssertionError(f"{name}: {len(told)} answers of {len(wanted)}")
            first = first or told
            for one, other, (method, path, _) in zip(told, first, wanted):
                if not same(one, other, method, path, listed["id"]):
                    raise AssertionError(f"{name}: {method} {path}: {one}, not {other}")
            print(f"ok  {name}: {len(told)} answers", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
