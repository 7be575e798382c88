"""schemathesis against the running API: whatever it makes of /openapi.json, no answer is a server error."""

import subprocess
import sys
from pathlib import Path

from tests.api.conftest import Served

STREAMS = ("/api/v1/stream", "/api/v1/events/stream")
"""What ends by itself only after ten minutes."""

EXAMPLES = 5
"""Most per operation and phase."""

BUDGET_S = 45


def test_no_request_that_can_be_made_of_the_description_is_a_server_error(served: Served) -> None:
    served.add_demo("json")
    token = served.json("token", "create", "schemathesis", "--role", "admin")["token"]
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            "run",
            f"{served.url}/openapi.json",
            *("--header", f"Authorization: Bearer {token}"),
            *("--phases", "examples,coverage,fuzzing"),
            *("--checks", "not_a_server_error"),
            *("--max-examples", str(EXAMPLES)),
            *("--max-time", str(BUDGET_S)),
            *("--request-timeout", "20"),
            *(argument for path in STREAMS for argument in ("--exclude-path", path)),
            *("--warnings", "off"),
            *("--seed", "1"),
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-color",
        ],
        cwd=served.folder,
        capture_output=True,
        text=True,
        timeout=2 * BUDGET_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.anybody().get("/livez").status_code == 200
    assert "Traceback" not in served.log
