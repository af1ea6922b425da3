"""Arguments and wrappers of an environment, as fields."""

import streamlit as st

from v3core.environment_setup import EnvironmentSetup, format_args, parse_args, parse_wrapper, split
from v3core.errors import V3Error
from v3core.ui.text import plain

_ARGS_HELP = "What its constructor takes, separated by commas: `size=8, map_name=8x8`. All take `max_episode_steps`."
_WRAPPERS_HELP = (
    "Names of `gymnasium.wrappers`, the innermost first, separated by commas: "
    "`TimeAwareObservation, TimeLimit(max_episode_steps=200)`. `module:Class`, which imports code, can be used on the "
    "command line only."
)


def environment_fields(usual: EnvironmentSetup) -> tuple[EnvironmentSetup, str | None]:
    """The environment with the arguments and wrappers that were typed.

    Args:
        usual: what the fields begin with.

    Returns:
        The environment, as usual where a field cannot be read, and the sentence that says so, which stands beside the
        field too.
    """
    key = f"{usual.env_id}:{format_args(usual.args)}:{usual.wrappers}"
    with st.expander("Arguments and wrappers", icon=":material/tune:", expanded=bool(usual.args or usual.wrappers)):
        args = st.text_input(
            "Arguments", format_args(usual.args), key=f"env-args:{key}", placeholder="As registered", help=_ARGS_HELP
        )
        wrappers = st.text_input(
            "Wrappers", ", ".join(usual.wrappers), key=f"wrappers:{key}", placeholder="None", help=_WRAPPERS_HELP
        )
        try:
            named = tuple(split(wrappers or ""))
            for text in named:
                parse_wrapper(text)
            return EnvironmentSetup(usual.env_id, parse_args(split(args or "")), named), None
        except V3Error as problem:
            st.error(plain(problem), icon=":material/error:")
            return usual, str(problem)
