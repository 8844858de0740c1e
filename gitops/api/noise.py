"""What strangers send that is no HTTP: not worth a traceback for each, which would let them fill the log."""

import logging
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError

log = logging.getLogger(__name__)


class _Malformed(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it as the library wants to; a malformed request is told at debug, without its content."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            log.debug("a request that is no HTTP", extra={"fields": {"error": type(error).__name__}})
            return False
        return True


HTTP_LOG: Final = logging.getLogger(f"{__name__}.http")
"""For aiohttp's server."""
HTTP_LOG.addFilter(_Malformed())
