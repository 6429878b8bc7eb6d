"""Has schemathesis hold an edge to its own /openapi.json: no 5xx, and no answer that it does not
describe, whatever is asked.

Usage: openapi.py path/to/burki-edge [MAX_EXAMPLES]      (needs schemathesis 4)
"""

import subprocess
import sys
from pathlib import Path

from demo import demo

CALLS = 300

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
]


def main(binary, examples="60"):
    runner = Path(sys.executable).with_name("schemathesis")
    with demo(binary, CALLS) as place:
        command = [
            runner,
            "run",
            f"{place['edge']}/openapi.json",
            "--header",
            f"Authorization: Bearer {place['key']}",
            "--checks",
            ",".join(CHECKS),
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            examples,
            "--seed",
            "1",
            "--continue-on-failure",
            "--suppress-health-check",
            "all",
            "--no-shrink",
        ]
        code = subprocess.run(command).returncode
    sys.exit(code)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
