"""Whether the web process of this container answers /healthz under the shop's name: the image's health check."""

import os
import sys
import urllib.request
from urllib.parse import urlsplit

host = urlsplit(os.environ.get("SITE_URL", "")).netloc or "localhost"
address = f"http://127.0.0.1:{os.environ.get('PORT') or 8000}/healthz"
try:
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Host": host}), timeout=2):
        pass
except OSError as error:
    sys.exit(f"{address}: {error}")
