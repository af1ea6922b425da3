"""Claims put to the test: studies that are fixed before their runs, the results of these, and verdicts by interval."""
