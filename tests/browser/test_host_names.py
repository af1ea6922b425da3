"""Reached by another name: refused with a sentence, or served whole behind the proxy of docs/serving.md."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ARGUMENTS, NAMES, patient_context
from tests.browser.support import ROOT, free_port, show_chart
from tests.served import served
from tests.waiting import PATIENCE_SECONDS, wait_for

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
ALLOWED = "localhost 127.0.0.1 tools.example.org"


@pytest.fixture(scope="module")
def named(browser):
    """A browser for which every name below example.org is this machine."""
    path = next((found for found in map(shutil.which, NAMES) if found), None)
    rules = "--host-resolver-rules=MAP *.example.org 127.0.0.1"
    launched = browser.browser_type.launch(executable_path=path, args=[*ARGUMENTS, rules])
    yield launched
    launched.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A dashboard that knows one further name and lives below a path."""
    folder = tmp_path_factory.mktemp("served")
    with served(folder, base="lab", STREAMLIT_SERVER_ALLOWED_HOSTS=ALLOWED) as found:
        yield found


@pytest.fixture
def page(named, watched):
    """A page of that browser; what it complains about is in `watched`."""
    context = patient_context(named, watched)
    yield context.new_page()
    context.close()


@pytest.fixture(params=["passes the host on"])
def proxy(request, server, tmp_path):
    """A running nginx as docs/serving.md has it, without its password; its port."""
    if NGINX is None:
        pytest.skip("nginx is not installed: install Debian's package nginx-light")
    (block,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs" / "serving.md").read_text("utf-8"), re.DOTALL)
    port = free_port()
    block = block.replace("listen 80;", f"listen 127.0.0.1:{port};").replace(":8501;", f":{server.port};")
    block = re.sub(r"\n *auth_basic.*", "", block)
    if request.param == "keeps the host":
        block = re.sub(r"\n *proxy_set_header Host.*", "", block)
        # At the root: below a path Streamlit's page asks the root too, and shows that answer, nginx's 404.
        block = block.replace("location /lab/", "location /").replace(f":{server.port};", f":{server.port}/lab/;")
    paths = "".join(
        f"{name}_temp_path {tmp_path / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"{user}\ndaemon off;\npid {tmp_path / 'pid'};\nworker_processes 1;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{block}}}\n"
    )
    log = tmp_path / "nginx.log"
    process = subprocess.Popen([NGINX, "-e", log, "-p", tmp_path, "-c", file], stderr=subprocess.DEVNULL)
    wait_for(lambda: (tmp_path / "pid").exists() or process.poll())
    assert process.poll() is None, Path(log).read_text()
    yield port
    process.terminate()
    process.wait(PATIENCE_SECONDS)


def test_a_person_at_an_unknown_name_reads_which_setting_lacks_it(server, page):
    page.goto(f"http://evil.example.org:{server.port}/lab/live")
    expect(page.get_by_role("heading", name="V3 Lab does not answer to this name")).to_be_visible()
    expect(page.get_by_text("add it to STREAMLIT_SERVER_ALLOWED_HOSTS")).to_be_visible()
    expect(page.get_by_text("'localhost 127.0.0.1 evil.example.org' make run")).to_be_visible()


def test_everything_works_behind_the_proxy_of_the_documentation(server, proxy, page, watched):
    page.goto(f"http://tools.example.org:{proxy}/lab/")
    expect(page.get_by_text("No runs yet").first).to_be_visible()
    expect(page.get_by_text(f"{server.log.parent}/data/v3.db")).to_be_visible()
    page.get_by_role("link", name="Launch").first.click()
    show_chart(page)
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    assert page.url.startswith(f"http://tools.example.org:{proxy}/lab/launch")
    assert not watched.problems
    page.reload()  # on which Streamlit's own probe for the base path leaves two 404s in the console
    show_chart(page)
    expect(page.locator(".js-plotly-plot").first).to_be_visible()


@pytest.mark.parametrize("proxy", ["keeps the host"], indirect=True)
def test_a_proxy_that_keeps_the_host_to_itself_is_named_on_the_page(server, proxy, page):
    page.goto(f"http://tools.example.org:{proxy}/")
    sentence = f"This page was opened at tools.example.org:{proxy}"
    expect(page.get_by_text(sentence)).to_be_visible()
    expect(page.get_by_text("proxy_set_header Host $http_host")).to_be_visible()
    assert sentence in server.log.read_text()
