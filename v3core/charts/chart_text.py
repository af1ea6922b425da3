"""User-written text for plotly, which interprets a subset of HTML: every character is shown literally."""

_ENTITIES = str.maketrans({sign: f"&#{ord(sign)};" for sign in "&<>%$"})


def chart_text(value: str) -> str:
    """A name as text of a figure: of a trace, an annotation or a hover.

    Plotly takes `<b>`, `<a href>` and `&amp;` for HTML, `%{x}` for a number to fill in and `$x$` for a formula. What
    the browser cuts to size itself (`layout.meta`) must be given as it is; it does the same there.
    """
    return " ".join(value.split()).translate(_ENTITIES)
