"""The dashboard as the server runs it: app.py and its pages, behind a check of the name that a browser asks for."""

import streamlit as st
from starlette.middleware import Middleware

from v3core.ui.known_hosts import KnownHosts

app = st.App("app.py", middleware=[Middleware(KnownHosts)])
