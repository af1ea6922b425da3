"""What all tests share."""

from hypothesis import settings

# On a busy machine a single example may take long for reasons that are not the code's.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
