"""Replays of compiled functions: guards over Python's state, and recordings to run when they hold."""
