"""V3_WEBHOOK_URL is notified when runs end: a real server, real failures, and no secret anywhere."""

import json
import logging
import math
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.jobs.test_clock import row
from tests.waiting import PATIENCE_SECONDS, wait_for
from v3core.doctor import examine
from v3core.errors import V3Error
from v3core.jobs import notice as webhooks
from v3core.jobs.control import resume
from v3core.jobs.lifecycle import Status, change_status
from v3core.jobs.notice import TIMEOUT_SECONDS, TRIES, call_webhooks, notice, webhook
from v3core.store.history import CLAIM_SECONDS, claim_notice, read_events
from v3core.store.runs import get_run, remove_hidden_part, update_run
from v3core.store.schema import HIDDEN, events
from v3core.store.writer import EpisodeWriter

ROOT = Path(__file__).resolve().parents[2]


class Server(ThreadingHTTPServer):
    """Keeps what is posted, and answers with the codes it is given, then with 200."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.codes, self.posted, self.asked = [], [], []
        self.seconds = 0.0
        self.location = ""
        self.wait = ""

    @property
    def host(self):
        """Host and port."""
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Of one request."""

    def do_POST(self):
        """Keep it and answer."""
        self.server.asked.append((self.path, dict(self.headers)))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.seconds)
        code = self.server.codes.pop(0) if self.server.codes else 200
        if code < 300:
            self.server.posted.append(json.loads(body))
        self.send_response(code)
        if self.server.location:
            self.send_header("Location", self.server.location)
        if self.server.wait:
            self.send_header("Retry-After", self.server.wait)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def server(monkeypatch):
    """A server that V3_WEBHOOK_URL names, reached without a proxy."""
    started = Server()
    threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(webhooks, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setenv("V3_WEBHOOK_URL", f"http://{started.host}/services/T0KEN?key=S3CRET")
    yield started
    started.shutdown()
    started.server_close()


@pytest.fixture
def notices(db):
    """The sentences that a run's history has of its notice."""
    return lambda run_id: [event.message for event in read_events(db, run_id) if event.actor == "notice"]


def test_an_alarm_is_reported_once_while_its_run_trains(db, run_in, server, notices):
    run_id = run_in(Status.STALLED)
    assert call_webhooks(db) == 1
    assert call_webhooks(db) == 0
    (posted,) = server.posted
    assert (posted["run"], posted["status"], posted["alarm"]["rule"]) == (run_id, "stalled", "stalled_worker")
    assert posted["text"].startswith("Run 'tiny', episode 0: The worker has sent no heartbeat for ")
    assert posted["text"] == posted["content"]
    assert notices(run_id) == [f"Calling http://{server.host}.", f"http://{server.host} was notified: 200 OK."]
    assert "S3CRET" not in str(read_events(db, run_id))


def test_a_completed_run_is_reported_once_with_its_numbers(db, run_in, server, notices):
    run_id = run_in(Status.COMPLETED)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in={"completed"})
    early = [replace(row(number), phase="early", return_=240.0) for number in range(1, 53)]
    late = [replace(row(number), return_=187.25) for number in range(53, 61)]
    writer.record([*early, *late], 60)
    writer.close()
    assert get_run(db, run_id).webhook == "due"
    assert call_webhooks(db) == 1
    assert call_webhooks(db) == 0

    (posted,) = server.posted
    run = get_run(db, run_id)
    sentence = (
        "Run 'tiny' completed after 60 of 60 episodes of CartPole-v1, mean return 187.25 over the last 8 episodes of "
        "phase 'late'."
    )
    assert posted == {
        "run": run_id,
        "name": "tiny",
        "status": "completed",
        "reason": None,
        "env": "CartPole-v1",
        "curriculum": "test",
        "phase": "late",
        "seed": 1,
        "episode": 60,
        "episodes": 60,
        "mean_return": 187.25,
        "mean_return_episodes": 8,
        "experiment": None,
        "host": run.host,
        "ended_at": run.ended_at.isoformat(),
        "text": sentence,
        "content": sentence,
    }
    path, headers = server.asked[0]
    assert path == "/services/T0KEN?key=S3CRET"
    assert headers["Content-Type"] == "application/json"
    assert run.webhook == "called"
    assert notices(run_id) == [
        f"Calling http://{server.host}.",
        f"http://{server.host} was notified: 200 OK.",
    ]


@pytest.mark.parametrize("status", [Status.FAILED, Status.LOST])
def test_a_run_that_ended_badly_is_reported_with_its_reason(db, run_in, server, status):
    run_id = run_in(Status.STARTING)
    with db.write() as tx:
        change_status(tx, get_run(tx, run_id), status, "m", actor="t", reason="It broke.", now=datetime.now(UTC))
    assert call_webhooks(db) == 1
    assert server.posted[0]["reason"] == "It broke."
    assert server.posted[0]["text"].endswith(" after 0 of 60 episodes of CartPole-v1: It broke.")


@pytest.mark.parametrize("status", [Status.STOPPED, Status.QUEUED, Status.RUNNING])
def test_what_somebody_asked_for_or_goes_on_is_not_reported(db, run_in, server, status):
    run_in(status)
    assert call_webhooks(db) == 0
    assert not server.asked


def test_a_run_that_was_resumed_before_its_end_was_reported_is_not_reported(db, run_in, server):
    run_id = run_in(Status.FAILED)
    resume(db, run_id, command=lambda _: [sys.executable, "-c", ""])
    assert call_webhooks(db) == 0
    assert not server.asked


def test_a_server_in_trouble_is_tried_again(db, run_in, server, notices):
    run_id = run_in(Status.COMPLETED)
    server.codes = [500, 429]
    assert call_webhooks(db) == 1
    assert len(server.asked) == 3
    assert len(server.posted) == 1
    assert notices(run_id)[-1].endswith("was notified: 200 OK.")


@pytest.mark.parametrize(
    ("codes", "tries", "problem"), [([503] * 9, 3, "503 Service Unavailable (3 tries)"), ([404], 1, "404 Not Found")]
)
def test_a_server_that_refuses_is_given_up(db, run_in, server, notices, codes, tries, problem):
    run_id = run_in(Status.COMPLETED)
    server.codes = list(codes)  # it takes from it
    assert call_webhooks(db) == 0
    assert call_webhooks(db) == 0
    assert len(server.asked) == tries
    assert get_run(db, run_id).webhook == "failed"
    assert notices(run_id)[-1] == (
        f"http://{server.host} could not be notified: it answered {problem}; check V3_WEBHOOK_URL."
    )


@pytest.mark.parametrize("code", [301, 302, 307])
def test_a_redirect_is_not_followed(db, run_in, server, notices, code):
    run_id = run_in(Status.COMPLETED)
    server.codes, server.location = [code], f"http://{server.host}/elsewhere"
    assert call_webhooks(db) == 0
    assert len(server.asked) == 1
    assert f"it answered {code}" in notices(run_id)[-1]


@pytest.mark.parametrize("wait", ["0", "soon"])
def test_a_server_may_say_when_to_try_again(db, run_in, server, notices, wait):
    run_id = run_in(Status.COMPLETED)
    server.codes, server.wait = [429], wait
    assert call_webhooks(db) == (wait == "0")
    assert len(server.asked) == 1 + (wait == "0")
    assert get_run(db, run_id).webhook == ("called" if wait == "0" else "failed"), notices(run_id)


def test_however_long_a_server_asks_to_wait_another_process_need_not_take_over(db, run_in, server, monkeypatch):
    """A notice that is under way for a minute is taken for one whose process has died."""
    assert 2 * TRIES * TIMEOUT_SECONDS + (TRIES - 1) * webhooks.MAX_PAUSE_SECONDS < CLAIM_SECONDS
    monkeypatch.setattr(webhooks, "MAX_PAUSE_SECONDS", 1)
    run_in(Status.COMPLETED)
    server.codes, server.wait = [503], "86400"
    began = time.monotonic()
    assert call_webhooks(db) == 1
    assert 1 <= time.monotonic() - began < 86400


def test_a_refused_connection_is_said(db, run_in, monkeypatch, notices, caplog):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(webhooks, "PAUSE_SECONDS", 0.0)
    with socket.socket() as deaf:  # bound, so that nobody else takes the port, and not listening
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        monkeypatch.setenv("V3_WEBHOOK_URL", f"http://127.0.0.1:{port}/T0KEN")
        run_id = run_in(Status.COMPLETED)
        assert call_webhooks(db) == 0
    assert notices(run_id)[-1] == (
        f"http://127.0.0.1:{port} could not be notified: connection refused (3 tries); check V3_WEBHOOK_URL."
    )
    assert "T0KEN" not in caplog.text


def test_a_slow_server_is_not_waited_for(db, run_in, server, notices, monkeypatch):
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 0.1)
    run_id = run_in(Status.COMPLETED)
    server.seconds = PATIENCE_SECONDS
    began = time.monotonic()
    assert call_webhooks(db) == 0
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert "no answer within 0.1 seconds (3 tries)" in notices(run_id)[-1]


def test_of_many_that_call_at_once_one_tells_each_run(db, run_in, server):
    for _ in range(4):
        run_in(Status.COMPLETED)
    start, reported = threading.Barrier(8), []

    def call():
        start.wait()
        reported.append(call_webhooks(db))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(reported) == 4
    assert len(server.posted) == len({posted["run"] for posted in server.posted}) == 4


def test_a_notice_whose_process_was_killed_is_reported_by_another_a_minute_later(db, run_in, server, notices):
    """For real: the process is killed while the server keeps it waiting."""
    run_id = run_in(Status.COMPLETED)
    server.seconds = 30.0
    script = "from v3core.jobs.notice import call_webhooks; from v3core.store.opening import open_database; "
    process = subprocess.Popen([sys.executable, "-c", f"{script}call_webhooks(open_database())"], cwd=ROOT)
    wait_for(lambda: server.asked)
    process.kill()
    process.wait()
    server.seconds = 0.0
    assert get_run(db, run_id).webhook == "calling"
    assert call_webhooks(db) == 0, "it is claimed"
    with db.write() as tx:
        tx.execute(update(events).values(at=datetime.now(UTC) - timedelta(seconds=61)))
    assert call_webhooks(db) == 1
    assert get_run(db, run_id).webhook == "called"
    assert len(notices(run_id)) == 3


def test_a_deleted_run_is_not_reported(db, run_in, server):
    run_id = run_in(Status.COMPLETED)
    with db.write() as tx:
        update_run(tx, run_id, {"status": HIDDEN}, only_in={"completed"})
        assert not remove_hidden_part(tx, run_id)
        assert claim_notice(tx, run_id, {"completed"}, message="m", now=datetime.now(UTC)) is None


def test_credentials_are_sent_and_never_shown(db, run_in, server, notices, monkeypatch, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("V3_WEBHOOK_URL", f"http://me:p%40ss@{server.host}/T0KEN?key=S3CRET")
    good, bad = run_in(Status.COMPLETED), run_in(Status.FAILED)
    server.codes = [200, 500, 500, 500]
    assert call_webhooks(db) == 1
    assert server.asked[0][1]["Authorization"] == "Basic bWU6cEBzcw=="  # me:p@ss
    findings = "".join(finding.detail for finding in examine())
    shown = " ".join([*notices(good), *notices(bad), findings, *capfd.readouterr(), repr(webhook()), caplog.text])
    assert f"http://{server.host} is called when a run ends" in shown
    for secret in ("p%40ss", "p@ss", "me:", "T0KEN", "S3CRET", "bWU6"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://host/T0KEN", "V3_WEBHOOK_URL has a 'ftp' address; write https://HOST/PATH, or http."),
        ("file:///etc/T0KEN", "V3_WEBHOOK_URL has a 'file' address; write https://HOST/PATH, or http."),
        ("T0KEN", "V3_WEBHOOK_URL has no scheme; write https://HOST/PATH, or http."),
        ("https:///T0KEN", "V3_WEBHOOK_URL names no host; write https://HOST/PATH."),
        ("http://host:T0KEN/", "V3_WEBHOOK_URL is not an address; write https://HOST/PATH."),
        ("http://[T0KEN", "V3_WEBHOOK_URL is not an address; write https://HOST/PATH."),
        (
            "http://host/T0 KEN",
            "V3_WEBHOOK_URL contains characters that are not valid in an address; escape them, such as a space as %20.",
        ),
    ],
)
def test_a_bad_address_is_one_sentence_in_the_history_and_in_doctor(db, run_in, notices, monkeypatch, url, sentence):
    monkeypatch.setenv("V3_WEBHOOK_URL", url)
    run_id = run_in(Status.COMPLETED)
    assert call_webhooks(db) == 0
    assert get_run(db, run_id).webhook == "failed"
    assert notices(run_id)[-1] == sentence
    assert not any("T0KEN" in text for text in notices(run_id))
    (finding,) = [finding for finding in examine() if finding.subject == "Webhook"]
    assert (finding.ok, finding.needed, finding.detail) == (False, False, sentence)


def test_without_an_address_nothing_is_due_or_asked(db, run_in, monkeypatch):
    monkeypatch.delenv("V3_WEBHOOK_URL", raising=False)
    run_id = run_in(Status.COMPLETED)
    assert get_run(db, run_id).webhook is None
    with monkeypatch.context() as patched:
        patched.setattr(db, "read", None)
        assert call_webhooks(db) == 0


def test_what_json_cannot_say_is_left_out_and_a_long_text_is_cut(db, run_in):
    run_id = run_in(Status.FAILED)
    with db.write() as tx:
        update_run(tx, run_id, {"mean_return": math.inf, "reason": "r" * 5000}, only_in={"failed"})
    reported = notice(get_run(db, run_id), 0)
    assert reported["mean_return"] is None
    assert len(reported["content"]) == 1900
    json.dumps(reported, allow_nan=False)


def test_a_database_that_cannot_be_written_is_raised(db, run_in, server, monkeypatch):
    run_in(Status.COMPLETED)

    def broken(*_, **__):
        raise V3Error("The database cannot be written.")

    monkeypatch.setattr(db, "write", broken)
    with pytest.raises(V3Error, match="cannot be written"):
        call_webhooks(db)
    assert not server.asked, "reported twice otherwise"


def test_the_monitor_of_a_real_run_tells_its_end(start, wait_until, server):
    run_id = start(episodes=20)
    wait_until(run_id, status=Status.COMPLETED)
    ends = wait_for(lambda: [body for body in server.posted if "alarm" not in body])
    assert [(body["run"], body["status"], body["episode"]) for body in ends] == [(run_id, "completed", 20)]
