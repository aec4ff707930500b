"""A module of the project, beside its strategies."""


def every(index, count):
    return index % count == 0
