"""Tools for working on the chat; none of them is in the image."""
