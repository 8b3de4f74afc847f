"""What a machine gives: the plain recipe to compare with, timing that takes turns, and a short test of both."""
