"""Where the workers of runs are started: `interface.py` is what each launcher offers, `chosen.py` which one is used."""
