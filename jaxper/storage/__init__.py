"""The ring of slots and what lies in it."""
