"""Answers about sessions, by subject, as jesse_paper/operations/ has them: registry, process and journal put together.

Pure functions of what they are given, for worker threads.
"""
