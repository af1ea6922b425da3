"""Addresses of V3 Lab's own on the server, beside those of its pages."""

import streamlit as st


def path_of(name: str) -> str:
    """The path that a browser asks for `name`, under the base of the dashboard's address if it has one."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' + base if base else ''}/{name}"
