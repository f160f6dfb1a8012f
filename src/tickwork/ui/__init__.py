"""The viewer: a server that reads run files, and the page that it serves. The runtime does not know of it."""
