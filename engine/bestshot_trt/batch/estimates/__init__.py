"""How long a batch will take and how much disk it needs: for the dry run, and for the time that is left."""
