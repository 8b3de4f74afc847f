"""What does the work: processes on this machine or tasks on a Ray cluster, their messages, and one take's work."""
