"""Why a server could not be reached, in the kernel's words: the library's own show its objects."""

import os
import ssl

import aiohttp


def why_unreached(error: Exception) -> str:
    """Of what aiohttp raised; never ''."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if not isinstance(error, aiohttp.ClientConnectorError):
        return str(error) or type(error).__name__
    cause = error.os_error
    if isinstance(cause, ssl.SSLError):
        return str(cause)
    number = cause.errno or 0
    # The resolver's numbers are negative, and its words are its own.
    return os.strerror(number) if number > 0 else cause.strerror or str(cause)
