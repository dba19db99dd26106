"""How the computations of the other wings become fast programs; see README.md beside this file."""
