"""The replays."""
