"""Where takes come from: names, folders and patterns on this machine, and URIs that are fetched or read as streams."""
