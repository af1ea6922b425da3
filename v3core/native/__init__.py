"""The policy network in C++: one call forward, one call backward. What it does not cover, torch computes."""
