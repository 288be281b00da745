"""The form of the log: lines for people, or JSON for programs."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from gateway.call import current
from gateway.settings import SettingError

LOG_FORMATS = ("text", "json")


class JsonFormatter(logging.Formatter):
    """A JSON object a line: when, how grave, where, what, and of which call.

    What a record's ``facts`` hold stands beside these. Empty values are left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        call = current()
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": call.request_id,
            "trace_id": call.trace.trace_id if call.trace else "",
            **getattr(record, "facts", {}),
            "error": self.formatException(record.exc_info) if record.exc_info else "",
        }
        return json.dumps({key: value for key, value in fields.items() if value != ""})


def configure_logs(form: str) -> None:
    """Has this process log to standard error, from INFO on.

    Raises:
        SettingError: there is no such form.
    """
    if form not in LOG_FORMATS:
        raise SettingError(f"CAMSERVE_LOG_FORMAT must be {' or '.join(LOG_FORMATS)}, not {form!r}")
    handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
