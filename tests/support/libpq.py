"""libpq itself, as much of it as a first row takes."""

import ctypes
import ctypes.util

_library = None


def _libpq():
    global _library  # pylint: disable=global-statement
    if _library is None:
        _library = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
        for name in ("PQconnectdb", "PQexec"):
            getattr(_library, name).restype = ctypes.c_void_p
        for name in ("PQerrorMessage", "PQgetvalue"):
            getattr(_library, name).restype = ctypes.c_char_p
        for name, *types in (("PQconnectdb", ctypes.c_char_p), ("PQexec", ctypes.c_void_p, ctypes.c_char_p),
                             ("PQstatus", ctypes.c_void_p), ("PQerrorMessage", ctypes.c_void_p),
                             ("PQresultStatus", ctypes.c_void_p), ("PQclear", ctypes.c_void_p),
                             ("PQgetvalue", ctypes.c_void_p, ctypes.c_int, ctypes.c_int), ("PQfinish", ctypes.c_void_p)):
            getattr(_library, name).argtypes = types
    return _library


def version():
    """150020 for 15.20."""
    return _libpq().PQlibVersion()


def first_row(url, then):
    """Connects, asks for one value, and calls `then()` when it is there; what that answers."""
    libpq = _libpq()
    connection = libpq.PQconnectdb(url.encode())
    try:
        if libpq.PQstatus(connection) != 0:
            raise RuntimeError(libpq.PQerrorMessage(connection).decode())
        result = libpq.PQexec(connection, b"SELECT 'first'")
        answer = then()
        value = libpq.PQgetvalue(result, 0, 0) if libpq.PQresultStatus(result) == 2 else None
        libpq.PQclear(result)
        if value != b"first":
            raise RuntimeError(libpq.PQerrorMessage(connection).decode())
        return answer
    finally:
        libpq.PQfinish(connection)
