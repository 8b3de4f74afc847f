"""Many takes, unattended: supervised worker processes, a journal to resume from, results whole or absent.

The supervisor imports nothing that decodes or computes; whatever can crash, hang or leak runs in a worker.
"""
