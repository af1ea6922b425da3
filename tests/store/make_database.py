"""Make the database of the present schema that later versions are tested with: `python -m tests.store.make_database`.

Once per schema, before its release. The run in it is a real one; what would tell the machine is taken out.
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from v3core.store.schema import SCHEMA_VERSION


def main() -> None:
    """Train a short run and keep its database."""
    target = Path(__file__).parent / "databases" / f"schema-{SCHEMA_VERSION}.db"
    with tempfile.TemporaryDirectory() as folder:
        run = ["train", "--env", "CartPole-v1", "--curriculum", "v3", "--episodes", "80", "--evaluate", "1"]
        named = ["--evaluate-every", "1000", "--name", f"of schema {SCHEMA_VERSION}"]
        subprocess.run(
            [sys.executable, "-m", "v3core", *run, *named], env={**os.environ, "V3_DATA_DIR": folder}, check=True
        )
        scrub(Path(folder) / "v3.db", target)
    print(target)


def scrub(source: Path, target: Path) -> None:
    """Copy a database without what tells the machine that it was made on."""
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        reported = ("machine", "boot_id", "pid_namespace", "pid", "pid_started", "launch")
        connection.execute(f"UPDATE runs SET host = 'maker', {', '.join(f'{name} = NULL' for name in reported)}")
        connection.execute("DELETE FROM machines")
        target.unlink(missing_ok=True)
        connection.execute("VACUUM INTO ?", [str(target)])


if __name__ == "__main__":
    main()
