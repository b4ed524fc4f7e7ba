"""Indexing: being written."""


def getitem(t, index):
    raise NotImplementedError


def setitem(t, index, value):
    raise NotImplementedError
