"""What people wrote is text in a real browser, on every page and in every field: drawn as typed, nothing fetched.

The strings come from rows, an imported archive, addresses and a file; each names a listener that counts who looks.
What is in a field must be found letter by letter in the page's text, so that a link, an icon, an emoji, a formula or
HTML that was made of it shows as a difference.
"""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import BrowserContext, Page
from sqlalchemy import text as sql

from tests.browser.support import Server, show_chart
from tests.pages.recorded import add_recorded_run
from tests.waiting import PATIENCE_SECONDS
from v3core.archive import write_archive
from v3core.jobs.lifecycle import Status
from v3core.store import commands
from v3core.store.database import Database
from v3core.store.opening import open_database

BETWEEN = " ¦ "


class Listener(http.server.ThreadingHTTPServer):
    """A stranger's server: it notes who comes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.hits: list[str] = []
        self.host = f"127.0.0.1:{self.server_port}"


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.hits.append(self.path)  # type: ignore[attr-defined]
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    """It listens as long as the test runs."""
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def asked(page: Page) -> list[str]:
    """Every address that the browser asks for."""
    context: BrowserContext = page.context
    urls: list[str] = []
    context.on("request", lambda request: urls.append(request.url))
    return urls


def hostile(host: str) -> list[str]:
    """Strings of up to 40 characters that Markdown, Streamlit's directives or plotly would make something of."""
    return [
        f"![](http://{host}/q.png)",
        f"<img src=http://{host}/i.png>",
        f"[a](http://{host}/l)",
        f"http://{host}/auto",
        "www.example.com",
        "me@example.com",
        ":material/home:",
        ":smile: :streamlit:",
        ":red[x] :blue-badge[y]",
        "&amp; &lt;i&gt; &#65;",
        "<b>b</b><br><sup>2</sup>",
        f'<a href="http://{host}/p">p</a>',
        "$x^2$ and $$y$$",
        "`code` ~~struck~~ ***x***",
        "# head",
        "1. item",
        "- item",
        "> quote",
        "a -> b -- c <-> d >= e",
        "%{x} %{y:.2f} %{customdata[0]} {0}",
        "%{meta.alt} %{fullData.name}",
        "a | b | c [^1] [ref]: x",
        "C:\\new\\table \\* ends in \\",
        "<script>document.title='x'</script>",
        "🙂 first _under_ score",
        "https://[::1]/ ftp://x.y HTTPS://X.ORG",
    ]


def several(strings: list[str], start: int, count: int = 4) -> str:
    """A few of the strings, with others in front each time."""
    return BETWEEN.join(strings[(start + step) % len(strings)] for step in range(count))


def add_hostile_run(db: Database, strings: list[str], number: int, status: Status, **given: str) -> dict[str, str]:
    """A run whose every text is hostile, with what each field holds; written straight into the rows."""
    run_id = add_recorded_run(db, status, evaluated=(10, 20), reason="because")
    taken = {
        name: several(strings, 5 * place + 4 * number)
        for place, name in enumerate(
            ("name", "env", "curriculum", "experiment", "reason", "notes", "traceback", "host")
        )
    }
    taken |= given
    taken["name"] = taken["name"][:120].strip()
    taken["curriculum"] = taken["curriculum"][:60].strip()
    phases = [strings[(3 * number + place) % len(strings)] for place in range(3)]
    tags = several(strings, number, 2).replace(" ", "_")
    with db.write() as tx:
        (config,) = tx.execute(sql("SELECT config FROM runs WHERE id = :id"), {"id": run_id}).one()
        changed = json.loads(config)
        changed["env"] = changed["curriculum"]["description"] = taken["env"]
        changed["name"], changed["curriculum"]["name"] = taken["name"], taken["curriculum"]
        for phase, name in zip(changed["curriculum"]["phases"], phases, strict=True):
            phase["name"] = name
        tx.execute(
            sql(
                "UPDATE runs SET name = :name, env = :env, curriculum = :curriculum, experiment = :experiment,"
                " reason = :reason, notes = :notes, traceback = :traceback, host = :host, tags = :tags, phase = :phase,"
                " config = :config WHERE id = :id"
            ),
            {**taken, "tags": tags, "phase": phases[1], "config": json.dumps(changed), "id": run_id},
        )
        tx.execute(
            sql("UPDATE curriculum_revisions SET curriculum = :it, actor = :who WHERE run_id = :id"),
            {"it": json.dumps(changed["curriculum"]), "who": several(strings, number + 1), "id": run_id},
        )
        for place, name in enumerate(phases):
            values = {"name": name, "id": run_id, "phase": place, "env": taken["env"], "which": place % 2}
            tx.execute(sql("UPDATE phase_changes SET name = :name WHERE run_id = :id AND phase = :phase"), values)
            tx.execute(sql("UPDATE evaluations SET env = env || :name WHERE run_id = :id AND number = :phase"), values)
        tx.execute(
            sql("UPDATE episodes SET env = :env, phase = :phase WHERE run_id = :id"),
            {"env": taken["env"], "phase": phases[1], "id": run_id},
        )
        row = commands.add_command(tx, run_id, commands.PRIORITY, actor="page", now=datetime.now(UTC), value="1")
        asked = {"actor": strings[number + 7][:20].strip(), "why": several(strings, number + 9), "row": row}
        tx.execute(
            sql("UPDATE commands SET actor = :actor, rejected_reason = :why, value = :why WHERE id = :row"), asked
        )
        reported = {"actor": several(strings, number + 11), "message": several(strings, number + 13), "id": run_id}
        tx.execute(sql("UPDATE events SET actor = :actor, message = :message WHERE run_id = :id"), reported)
    return {
        "id": run_id,
        "tags": tags,
        "phases": "\n".join(phases),
        "who": asked["actor"],
        "why": asked["why"],
        "event": reported["message"],
        **taken,
    }


TEXT = """() => {
    const fields = [...document.querySelectorAll("input, textarea")].map((field) => field.value)
    return [document.body.textContent, ...fields].join("\\n").replace(/\\s+/g, " ")
}"""


def expect_texts(page: Page, *wanted: str) -> None:
    """Wait until all of these stand on the page letter by letter."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = page.evaluate(TEXT)
        missing = [one for one in wanted if " ".join(one.split()) not in found]
        if not missing:
            return
        assert time.monotonic() < deadline, f"Not on the page as it was written: {missing}"
        page.wait_for_timeout(200)


def expect_nothing_made_of_it(page: Page) -> None:
    """No link, picture or script leads anywhere but into the app."""
    leads = page.evaluate(
        """() => [...document.querySelectorAll("[href], [src], image")]
            .map((node) => node.href?.baseVal ?? node.href ?? node.src)
            .filter((url) => url && !url.startsWith(location.origin) && !/^(data|blob|#|about)/.test(url))"""
    )
    assert leads == []


@pytest.fixture
def runs(lab: Server, listener: Listener) -> list[dict[str, str]]:
    """Runs in several states whose every text is hostile."""
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    statuses = [
        Status.FAILED,
        Status.COMPLETED,
        Status.STOPPED,
        Status.LOST,
        Status.FAILED,
        Status.COMPLETED,
        Status.FAILED,
    ]
    made = [add_hostile_run(db, hostile(listener.host), number, status) for number, status in enumerate(statuses)]
    db.close()
    return made


def check_silence(server: Server, listener: Listener, asked: list[str]) -> None:
    """Nobody was asked for anything but the app itself."""
    assert asked
    assert [url for url in asked if not url.startswith((server.url, "data:", "blob:", "about:"))] == []
    assert listener.hits == []


def test_rows_of_strangers_are_text_on_every_page(page, lab, listener, asked, runs):
    page.goto(lab.url)
    for run in runs:
        expect_texts(page, run["name"], run["env"], run["curriculum"], run["experiment"])
        expect_texts(page, *(run["tags"].split(" ")))
        if "reason" in run and run is runs[0]:
            expect_texts(page, run["reason"])
    expect_nothing_made_of_it(page)
    for run in runs:
        page.goto(f"{lab.url}/live?run={run['id']}")
        expect_texts(
            page, run["name"], run["env"], run["notes"], run["who"], run["why"], *run["phases"].split("\n")[1:2]
        )
        page.get_by_text("History", exact=True).click()
        expect_texts(page, run["event"], *run["phases"].split("\n"))
        show_chart(page)
        page.wait_for_selector(".v3-chart[data-drawn]")
        expect_nothing_made_of_it(page)
    page.goto(f"{lab.url}/experiments")
    expect_texts(page, *(run["experiment"] for run in runs))
    expect_nothing_made_of_it(page)
    for run in runs[:2]:
        page.goto(f"{lab.url}/experiments?experiment={quote(run['experiment'], safe='')}")
        expect_texts(page, run["experiment"], run["name"], *[run["reason"]] * (run is runs[0]))
        expect_nothing_made_of_it(page)
    page.goto(f"{lab.url}/compare?runs={','.join(run['id'] for run in runs)}&metric={quote(listener.host)}")
    expect_texts(page, *(run["name"] for run in runs))
    show_chart(page)
    page.wait_for_selector(".v3-chart[data-drawn]")
    legend = page.locator(".v3-chart .legendtext").evaluate_all("nodes => nodes.map((node) => node.textContent)")
    assert legend == [run["name"] for run in runs]
    expect_nothing_made_of_it(page)
    check_silence(lab, listener, asked)


def test_addresses_of_strangers_are_text(page, lab, listener, asked):
    strings = hostile(listener.host)
    db = open_database(f"sqlite:///{lab.data / 'v3.db'}", lab.data)
    for _ in range(2):
        add_recorded_run(db, Status.COMPLETED)
    db.close()
    for wanted in strings[:7:2]:
        page.goto(f"{lab.url}/live?run={quote(wanted, safe='')}")
        expect_texts(page, wanted)
        expect_nothing_made_of_it(page)
    parts = [one.replace(",", "") for one in strings]
    page.goto(f"{lab.url}/compare?runs={quote(','.join(parts), safe='')}&experiment={quote(strings[0], safe='')}")
    expect_texts(page, *parts)
    expect_nothing_made_of_it(page)
    for wanted in (several(strings, 0, 13), several(strings, 13, 13)):
        page.goto(f"{lab.url}/launch?" + urlencode(dict.fromkeys(("env", "curriculum", "from"), wanted)))
        expect_texts(page, wanted)
        expect_nothing_made_of_it(page)
    check_silence(lab, listener, asked)


def test_an_archive_and_a_file_of_strangers_are_text(page, lab, listener, asked, tmp_path: Path):
    strings = hostile(listener.host)
    other = open_database(f"sqlite:///{tmp_path / 'other.db'}", tmp_path / "other")
    # An environment with a colon is refused, for it would import code.
    env = "<b>www.example.com</b> me@example.com ![](//x/y.png) &amp;"
    run = add_hostile_run(other, strings, 3, Status.FAILED, env=env)
    archive = tmp_path / "run.v3run"
    write_archive(other, run["id"], archive)
    other.close()
    page.goto(lab.url)
    page.get_by_role("button", name="Import a run").click()
    page.locator("input[type=file]").set_input_files(archive)
    page.get_by_role("button", name="Import", exact=True).click()
    expect_texts(page, run["name"], run["env"], run["notes"], *run["phases"].split("\n"))
    expect_nothing_made_of_it(page)
    page.goto(f"{lab.url}/launch?curriculum=From+a+file")
    curriculum = {
        "name": several(strings, 2, 2)[:60],
        "description": several(strings, 0, len(strings)),
        "phases": [{"name": strings[0], "until": {"episode": 5}}, {"name": strings[1], "lr": strings[5]}],
    }
    file = tmp_path / "![](x) www.example.com.yaml"
    file.write_text(json.dumps(curriculum, ensure_ascii=False), encoding="utf-8")
    page.locator("input[type=file]").set_input_files(file)
    expect_texts(page, file.name, strings[5])
    expect_nothing_made_of_it(page)
    curriculum["phases"][1].pop("lr")
    file.write_text(json.dumps(curriculum, ensure_ascii=False), encoding="utf-8")
    page.goto(f"{lab.url}/launch?curriculum=From+a+file")
    page.locator("input[type=file]").set_input_files(file)
    expect_texts(page, curriculum["description"], strings[0], strings[1])
    expect_nothing_made_of_it(page)
    check_silence(lab, listener, asked)
