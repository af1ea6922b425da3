"""Where the server listens, under which names it answers, and what it says to others."""

import os
import sqlite3

import pytest

from tests.served import served
from v3core.cli import main
from v3core.errors import V3Error
from v3core.jobs.slots import SLOTS_VARIABLE, slots
from v3core.serve import Address, check_port, keep_slots
from v3core.store.opening import open_database


def test_an_unknown_name_is_reported_which_setting_it_lacks(tmp_path):
    names = "localhost 127.0.0.1 lab.example.org"
    settings = {"STREAMLIT_SERVER_ALLOWED_HOSTS": names, "STREAMLIT_SERVER_ADDRESS": "0.0.0.0", SLOTS_VARIABLE: "3"}
    with served(tmp_path, base="x/lab", port_by="variable", **settings) as server:
        for known in (None, "lab.example.org", f"LAB.example.org:{server.port}", "127.0.0.1"):
            assert server.get(host=known)[0] == 200, known
            assert server.get("/live", host=known)[0] == 200
        for unknown in ("evil.example.org", "evil.example.org:80", "<b>", "127.0.0.1.evil.org", "[::2]:80"):
            for path in ("/", "/live", "/app/static/plotly.min.js"):
                status, text = server.get(path, unknown)
                assert (status, "STREAMLIT_SERVER_ALLOWED_HOSTS" in text) == (403, True), (unknown, path)
                assert "<b>" not in text
        assert server.get("/_stcore/health", "10.0.0.7")[0] == 200
        said = server.log.read_text()
        listening = os.popen(f"ss -Hltn sport = :{server.port}").read()
    assert f"V3 Lab: http://127.0.0.1:{server.port}/x/lab\n" in said
    assert said.count("under the host name 'evil.example.org'") == 1
    assert f"0.0.0.0:{server.port}" in listening
    with sqlite3.connect(tmp_path / "data" / "v3.db") as connection:
        assert connection.execute("SELECT slots FROM machines").fetchall() == [(3,)]
    connection.close()


@pytest.mark.parametrize(
    ("settings", "port", "url"),
    [
        ({}, 0, "http://127.0.0.1:8501"),
        ({}, 8600, "http://127.0.0.1:8600"),
        ({"PORT": "8700", "ADDRESS": "0.0.0.0"}, 0, "http://127.0.0.1:8700"),
        ({"PORT": "8700", "ADDRESS": "::1", "BASE_URL_PATH": "/a/b/"}, 8600, "http://[::1]:8600/a/b"),
        ({"ADDRESS": "192.168.1.5"}, 0, "http://192.168.1.5:8501"),
    ],
)
def test_the_address_is_that_of_the_settings(monkeypatch, settings, port, url):
    for name in ("PORT", "ADDRESS", "BASE_URL_PATH"):
        monkeypatch.delenv(f"STREAMLIT_SERVER_{name}", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(f"STREAMLIT_SERVER_{name}", value)
    assert Address.of_settings(port).url == url


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"STREAMLIT_SERVER_ADDRESS": "192.0.2.1"}, "The address 192.0.2.1 does not belong to this machine"),
        ({"STREAMLIT_SERVER_ADDRESS": "no.such.name.invalid"}, "The address no.such.name.invalid cannot be resolved"),
        ({"STREAMLIT_SERVER_PORT": "http"}, "STREAMLIT_SERVER_PORT is 'http'; set it to a port"),
    ],
)
def test_an_address_that_cannot_be_is_named(monkeypatch, settings, sentence):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(V3Error, match=sentence):
        check_port((found := Address.of_settings()).port, found.host)


def test_the_variable_is_taken_once_so_that_a_later_choice_holds(tmp_path, monkeypatch):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("V3_DATABASE_URL", raising=False)
    monkeypatch.setenv(SLOTS_VARIABLE, "5")
    database = open_database()
    keep_slots(database)
    assert (slots(database), SLOTS_VARIABLE in os.environ) == (5, False)
    assert main(["slots", "2"]) == 0
    assert slots(database) == 2
    assert main(["slots", "auto"]) == 0
    assert slots(database) == os.cpu_count()
    database.close()
