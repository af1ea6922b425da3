"""NetHack and MiniHack, of the optional packages `nle` and `minihack`: games, and what the policy sees of them."""

from v3core.environments.nethack.published import PublishedFeatures as PublishedFeatures
