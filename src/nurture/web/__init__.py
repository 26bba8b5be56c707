"""The doors to the outside: what a link in a message leads to."""
