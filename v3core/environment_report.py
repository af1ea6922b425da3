"""The report of `doctor --env` on an environment."""

import json
from dataclasses import asdict

from v3core.environment_setup import EnvironmentSetup
from v3core.environments.apart import examine_apart
from v3core.environments.examine import Report
from v3core.errors import V3Error
from v3core.output import echo


def report_on(setup: EnvironmentSetup, *, as_json: bool) -> str | None:
    """Examine an environment and say what was found; returns its fault, a sentence, None if it can be trained on."""
    try:
        (report,) = examine_apart(setup, allow_import=True)
    except V3Error as refusal:
        report = Report(str(setup), str(refusal))
    if as_json:
        described = asdict(report) | {
            "ok": report.fault is None,
            "env": setup.env_id,
            "env_args": dict(setup.args),
            "wrappers": list(setup.wrappers),
        }
        echo(json.dumps(described, indent=2))
        return report.fault
    if report.fault is None:
        echo(f"ok       {report.env}: can be created, reset and stepped, and works with the policy")
    for mark, texts in (("WARNING", report.warnings), ("note   ", report.notes)):
        for text in texts:
            echo(f"{mark}  {text}")
    return report.fault
