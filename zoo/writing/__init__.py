"""Writes the prototxts of the zoo's larger nets: `python -m zoo.writing` in the checkout's top.

A net of a hundred layers has a rule behind it, and here the rule stands: one module a family, in
NetSpec's terms. What is written is committed, and a test compares the two.
"""
