"""What runs outside the server: the command line; it imports nothing of the server side."""
