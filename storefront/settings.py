"""Every setting of the shop, in reading order. What differs between machines comes from the environment or `.env`.

`.env.example` names each variable. A secret has no default: a missing one stops the start and says what to put there.
"""

import os
import re
import sys
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import environ
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")


def optional(name: str, default: str) -> str:
    """The variable's value; an empty one counts as not set, as in a copied .env.example."""
    return str(env.str(name, default="")).strip() or default


def number(name: str, default: int) -> int:
    """The variable as a whole number from 0 up; anything else stops the start with its name."""
    value = optional(name, str(default))
    if not value.isdecimal():
        raise ImproperlyConfigured(f"{name} must be a whole number such as {default}, not {value!r}.")
    return int(value)


def switch(name: str) -> bool:
    """Whether the variable says true, yes, on or 1."""
    return optional(name, "false").lower() in env.BOOLEAN_TRUE_STRINGS


def words(name: str) -> list[str]:
    """The variable's comma-separated values, none of them empty or with blanks around it."""
    return [word for part in optional(name, "").split(",") if (word := part.strip())]


def required(name: str, what: str) -> str:
    """The variable's value. A missing or empty one stops the start with its name and what belongs there."""
    value = optional(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. Set it in the environment or in .env to {what}.")
    return value


# The site

SECRET_KEY = required(
    "SECRET_KEY", "50 or more random characters: python -c 'import secrets; print(secrets.token_urlsafe(64))'"
)
SECRET_KEY_FALLBACKS = words("SECRET_KEY_FALLBACKS")  # the old key, so that links already mailed go on working
DEBUG = switch("DEBUG")
SITE_URL = required("SITE_URL", "the address shoppers type, such as https://shop.example.com").rstrip("/")
SITE_NAME = optional("SITE_NAME", "Paper Lantern")
ALLOWED_HOSTS = words("ALLOWED_HOSTS") or [urlsplit(SITE_URL).hostname or "localhost"]
HTTPS = SITE_URL.startswith("https://")
# How many proxies of ours stand in front, each adding one address to X-Forwarded-For. 0: nobody's header is believed.
TRUSTED_PROXY_COUNT = number("TRUSTED_PROXY_COUNT", 0)

INSTALLED_APPS = [
    "storefront.apps.DeskConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "accounts",
    "catalog",
    "orders",
    "fulfillment",
    "storefront",
]

MIDDLEWARE = [
    "storefront.request_line.request_line",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "storefront.language.PageLanguage",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "storefront.urls"
WSGI_APPLICATION = "storefront.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "storefront.site.context",
                "fulfillment.library.owned",
            ],
        },
    },
]

TIME_ZONE = optional("TIME_ZONE", "UTC")  # of the days in the figures, and of the times that people read
USE_TZ = True


# Languages: a page is in the reader's, by the browser's settings or the switch in the footer
# https://docs.djangoproject.com/en/5.2/topics/i18n/translation/#how-django-discovers-language-preference

LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # each in its own, as the switch shows them
# Of pages for readers of none of these, of the mails that follow an order without one, and of those to ADMINS.
LANGUAGE_CODE = optional("LANGUAGE_CODE", "en").lower()
if LANGUAGE_CODE not in dict(LANGUAGES):
    raise ImproperlyConfigured(f"LANGUAGE_CODE must be one of {', '.join(dict(LANGUAGES))}, not {LANGUAGE_CODE!r}.")
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "__Host-language" if HTTPS else "language"  # set by the switch, never before
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"


# Data, in PostgreSQL

# A pooled connection costs a tenth of a new one. The short timeout keeps "the database is down" a quick 503.
# https://docs.djangoproject.com/en/5.2/ref/databases/#connection-pool
DATABASES: dict[str, Any] = {
    "default": {
        **env.db_url_config(required("DATABASE_URL", "postgres://user:password@host:5432/name")),
        "ENGINE": "storefront.postgresql",
    }
}
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        "connect_timeout": 2,
        "pool": {"min_size": 1, "max_size": number("DATABASE_POOL_SIZE", 10), "timeout": 1.5},
        "prepare_threshold": 5,  # only for cursors that send values apart from the statement: the inbox has one
    }
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Counters of sign-in attempts live here, so they survive a broker that was flushed.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},  # past it entries are thrown away, those of locked accounts among them
    }
}


# Files: in a folder (file:///srv/shop) or a bucket (s3://key:secret@endpoint/bucket?region=eu-central-1)

STORAGE_URL = optional("STORAGE_URL", f"file://{BASE_DIR / 'var' / 'files'}")


def storage_origin() -> str:
    """Scheme and host of the bucket's endpoint, "" for a folder."""
    url = urlsplit(STORAGE_URL)
    if url.scheme != "s3":
        return ""
    port = f":{url.port}" if url.port else ""
    return f"{dict(parse_qsl(url.query)).get('scheme', 'https')}://{url.hostname}{port}"


def storage_backend(location: str) -> dict[str, Any]:
    """One folder of STORAGE_URL as a Django storage. Its objects are private: the shop decides who gets their bytes."""
    url = urlsplit(STORAGE_URL)
    if url.scheme == "file":
        return {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {
                "location": f"{url.path}/{location}",
                "base_url": None,
                "file_permissions_mode": 0o600,
            },
        }
    if url.scheme == "s3":
        return {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                "access_key": url.username,
                "secret_key": url.password,
                "endpoint_url": storage_origin(),
                "addressing_style": "path",  # so that every file comes from the endpoint's own host
                "bucket_name": url.path.strip("/"),
                "region_name": dict(parse_qsl(url.query)).get("region", "us-east-1"),
                "location": location,
                "default_acl": None,
                "querystring_auth": True,
                "querystring_expire": 60,
                "signature_version": "s3v4",
                "file_overwrite": False,
            },
        }
    raise ImproperlyConfigured(f"STORAGE_URL must start with file:// or s3://, not {url.scheme or 'nothing'}.")


# Static files from their folders, nothing collected: for the demo, which shows strangers' pages without DEBUG.
STATIC_AS_IS = switch("STATIC_AS_IS")
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEBUG or STATIC_AS_IS
STORAGES = {
    "default": storage_backend("private"),
    "covers": storage_backend("covers"),
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if STATIC_AS_IS
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
# The admin's uploads go to a temporary file, never into memory: a child process with limits looks into them there.
FILE_UPLOAD_HANDLERS = ["catalog.uploads.StaffUploadHandler"]
# In parts, with JavaScript. A file that comes with the form itself may have 2 GiB (catalog.uploads.FORM_LIMIT).
MAX_UPLOAD_BYTES = number("MAX_UPLOAD_BYTES", 5 * 1024**3)
# nginx serves the bytes after we decided, when this names its internal location (such as /protected/).
X_ACCEL_REDIRECT = optional("X_ACCEL_REDIRECT", "")

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]


# Accounts: django-allauth, by e-mail
# https://docs.allauth.org/en/latest/account/configuration.html

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "library"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1"]  # sign-in takes a password or a code; our SignupForm asks for neither
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
# Seconds a code is good for, with three tries each. allauth's three minutes are too few for slow mailboxes.
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 15 * 60
ACCOUNT_EMAIL_NOTIFICATIONS = True  # the owner hears of a new password and of addresses that come and go
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # nobody makes the shop write to strangers
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_MAX_EMAIL_ADDRESSES = 10
ACCOUNT_LOGOUT_REDIRECT_URL = "catalog"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_USER_DISPLAY = "accounts.models.display"
ACCOUNT_FORMS = {
    "signup": "accounts.forms.SignupForm",
    "login": "accounts.forms.LoginForm",
    "request_login_code": "accounts.forms.RequestLoginCodeForm",
    "reset_password": "accounts.forms.ResetPasswordForm",
}
# Passkeys are one more way in: whoever loses theirs still signs in by a mailed code.
MFA_ADAPTER = "accounts.passkeys.PasskeyAdapter"
MFA_SUPPORTED_TYPES = ["webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS  # browsers offer passkeys over http on localhost alone
MFA_FORMS = {
    "add_webauthn": "accounts.passkeys.AddForm",
    "edit_webauthn": "accounts.passkeys.RenameForm",
    "login_webauthn": "accounts.passkeys.LoginForm",
    "reauthenticate_webauthn": "accounts.passkeys.ReauthenticateForm",
}
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT
CHECKOUTS_PER_NETWORK = number("CHECKOUTS_PER_NETWORK", 60)
CHECKOUTS_PER_PRODUCT = number("CHECKOUTS_PER_PRODUCT", 1200)


# Browser security
# https://docs.djangoproject.com/en/5.2/topics/security/

SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
# Browsers remember for a year what is said here, and nobody can take it back. A shop on example.com may have neighbours
# on other names under it that speak http; only who knows that there are none may speak for them.
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS and switch("HSTS_SUBDOMAINS")
SECURE_HSTS_PRELOAD = HTTPS and switch("HSTS_PRELOAD")
if SECURE_HSTS_PRELOAD and not SECURE_HSTS_INCLUDE_SUBDOMAINS:
    raise ImproperlyConfigured("HSTS_PRELOAD needs HSTS_SUBDOMAINS: the browsers' lists hold whole domains alone.")
# Django would have both on everywhere: W005 is about the subdomains, W021 about the lists.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
X_FRAME_OPTIONS = "DENY"
CSRF_TRUSTED_ORIGINS = [SITE_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
CSRF_COOKIE_HTTPONLY = True
SESSION_ENGINE = "storefront.sessions"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"


# Stripe

STRIPE_SECRET_KEY = required("STRIPE_SECRET_KEY", "the secret or restricted key of your Stripe account (sk_… or rk_…)")
# Each secret may carry a label, "old=whsec_…": events are shown with the label of the secret that signed them.
LABELED = re.compile(r"^([\w.-]{1,40})=(whsec_.*)$", re.ASCII)
STRIPE_WEBHOOK_SECRETS = [LABELED.sub(r"\2", word) for word in words("STRIPE_WEBHOOK_SECRETS")]
STRIPE_WEBHOOK_LABELS = {found[2]: found[1] for found in map(LABELED.match, words("STRIPE_WEBHOOK_SECRETS")) if found}
# Metadata of what we make at Stripe name our host, so that shops that share an account leave each other's payments
# alone. What an earlier address of this shop has made stays ours: FORMER_SITES names those.
STRIPE_SITES = [urlsplit(SITE_URL).netloc.lower(), *(site.lower() for site in words("FORMER_SITES"))]
STRIPE_API_BASE = optional("STRIPE_API_BASE", "https://api.stripe.com").rstrip("/")
# Where Stripe's hosted Checkout page lives; another only with a custom Checkout domain.
STRIPE_CHECKOUT_ORIGIN = optional(
    "STRIPE_CHECKOUT_ORIGIN",
    "https://checkout.stripe.com" if STRIPE_API_BASE == "https://api.stripe.com" else STRIPE_API_BASE,
)

# Chromium applies form-action to the redirects after a form too: Buy ends on Stripe's page, and a link's button in
# the bucket.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "form-action": ["'self'", STRIPE_CHECKOUT_ORIGIN, *filter(None, [storage_origin()])],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}


# Mail: EMAIL_URL is smtp://user:password@host:25, smtp+tls://…:587 or smtp+ssl://…:465

vars().update(env.email_url_config(required("EMAIL_URL", "smtp+tls://user:password@host:587")))
EMAIL_TIMEOUT = 10  # Django's default waits for ever
DEFAULT_FROM_EMAIL = required("DEFAULT_FROM_EMAIL", "the sender of every mail, such as 'The Shop <orders@example.com>'")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
MAIL_DOMAIN = parseaddr(DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"  # of every Message-ID
ADMINS = [("", address) for address in words("ADMINS")]
DKIM_SELECTORS = words("DKIM_SELECTORS")  # under which check_production looks for the keys that sign our mail
DNS_SERVERS = words("DNS_SERVERS")  # whom it asks instead of the system's name servers: address or address:port


# Background work: the rows in PostgreSQL are the queue, Celery only makes it quick
# https://docs.celeryq.dev/en/stable/userguide/configuration.html

CELERY_BROKER_URL = required("CELERY_BROKER_URL", "redis://host:6379/0")
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_RETRY_ON_WORKER_LOST = True  # without it a task that kills its worker comes back for ever
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300
# A dead or silent broker may cost a request a fraction of a second, never more; the sweep finds the row anyway.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 0,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
if CELERY_BROKER_URL.startswith(("amqp://", "amqps://", "pyamqp://")):
    # RabbitMQ confirms each message; without that the first ones after its restart are lost in silence.
    # https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.pyamqp.html
    CELERY_BROKER_CONNECTION_TIMEOUT = 0.3
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "confirm_publish": True,
        "read_timeout": 0.3,
        "write_timeout": 0.3,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 600,  # longer than any task may run
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": 0.2,
        "socket_timeout": 0.2,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10.0
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Celery would close the connection pool after each task, 11 ms for the next one. Ours go back into it instead.
CELERY_DB_REUSE_MAX = sys.maxsize
CELERY_TIMEZONE = TIME_ZONE
# A slow mail server holds up mail alone.
CELERY_TASK_ROUTES = {f"fulfillment.tasks.{name}": {"queue": "mail"} for name in ("send_delivery", "send_due_mails")}
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "fulfillment.tasks.sweep", "schedule": 60.0, "options": {"expires": 60}},
    "alerts": {"task": "fulfillment.tasks.check_alerts", "schedule": 10.0, "options": {"expires": 10}},
    "sign of the worker": {
        "task": "fulfillment.tasks.give_sign",
        "schedule": 10.0,
        "args": ("worker",),
        "options": {"expires": 30},
    },
    "sign of the mail worker": {
        "task": "fulfillment.tasks.give_sign",
        "schedule": 10.0,
        "args": ("mail",),
        "options": {"expires": 30, "queue": "mail"},
    },
    "reconcile": {
        "task": "fulfillment.tasks.reconcile",
        "schedule": 600.0,
        "args": (6,),
        "options": {"expires": 600},
    },
    "reconcile 30 days": {
        "task": "fulfillment.tasks.reconcile",
        "schedule": crontab(hour="2", minute="40"),
        "args": (720,),
    },
    "books": {
        "task": "fulfillment.tasks.check_books",
        "schedule": 300.0,
        "args": (48,),
        "options": {"expires": 300},
    },
    "books 30 days": {
        "task": "fulfillment.tasks.check_books",
        "schedule": crontab(hour="3", minute="10"),
        "args": (720,),
    },
    "count sales": {
        "task": "fulfillment.tasks.count_sales",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "summarize": {"task": "fulfillment.tasks.summarize", "schedule": 60.0, "options": {"expires": 60}},
    "summarize 40 days": {
        "task": "fulfillment.tasks.summarize_lately",
        "schedule": crontab(hour="3", minute="25"),
        "args": (40,),
    },
    "look at the storage": {
        "task": "fulfillment.tasks.look_at_storage",
        "schedule": 120.0,
        "options": {"expires": 120},
    },
    "wake uploads": {
        "task": "catalog.tasks.wake_uploads",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "purge files": {
        "task": "catalog.tasks.purge_files",
        "schedule": crontab(hour="4", minute="10"),
        "args": (7,),
    },
    "purge events": {
        "task": "fulfillment.tasks.purge_events",
        "schedule": crontab(hour="3", minute="40"),
        "args": (30,),
    },
}


# How the shop behaves

PRODUCTS_PER_PAGE = 12
# Who sells, on every receipt: the shop's name and the sender of its mails, unless the law asks for more.
SELLER_NAME = optional("SELLER_NAME", SITE_NAME)
SELLER_ADDRESS = optional("SELLER_ADDRESS", "").replace("\\n", "\n")
SELLER_TAX_ID = optional("SELLER_TAX_ID", "")
LINK_HOURS = number("LINK_HOURS", 48)  # how long a link from a mail opens its order's files
# Until owners hear of a new edition, so that one mail may tell of several.
NEWS_WAIT_MINUTES = number("NEWS_WAIT_MINUTES", 60)
# What shoppers are told about refunds, for the bank in a dispute. Only what they can read before they buy belongs here.
REFUND_POLICY = optional("REFUND_POLICY", "").replace("\\n", "\n")
OPEN_ORDER_SECONDS = number("OPEN_ORDER_SECONDS", 60)  # how old an open order is when the sweep asks Stripe
SWEEP_GRACE_SECONDS = number("SWEEP_GRACE_SECONDS", 2)  # what a worker is given before the sweep steps in
BOOKS_GRACE_SECONDS = number("BOOKS_GRACE_SECONDS", 120)  # what may differ from Stripe's books for so long

# Errors and alerts to Sentry, or to anything that speaks its protocol

SENTRY_DSN = optional("SENTRY_DSN", "")


# Figures for Prometheus

METRICS_TOKEN = optional("METRICS_TOKEN", "")  # lets scrapers from elsewhere read /metrics
# Where the processes of one machine keep their counters. prometheus-client reads the variable when it is imported,
# wants an existing folder, and takes an empty name for the working directory.
PROMETHEUS_MULTIPROC_DIR = optional("PROMETHEUS_MULTIPROC_DIR", "")
if PROMETHEUS_MULTIPROC_DIR:
    Path(PROMETHEUS_MULTIPROC_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
else:
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)


# The log, on standard error: lines of JSON for machines, or of text for whoever sits before the screen

LOG_FORMAT = optional("LOG_FORMAT", "text" if DEBUG else "json")
if LOG_FORMAT not in ("json", "text"):
    raise ImproperlyConfigured(f"LOG_FORMAT must be json or text, not {LOG_FORMAT!r}.")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "storefront.lines.Text", "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        "json": {"()": "storefront.lines.Json"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": optional("LOG_LEVEL", "INFO")},
    "loggers": {
        "django": {
            "handlers": [],
            "level": "INFO",
        },  # to the console like all others; Django would mail ADMINS each error
        "django.request": {"level": "ERROR"},  # a 404 is not news, and its path may hold the token of a link
        "django.security.csrf": {"level": "ERROR"},  # the same
        "django.server": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # what strangers send must not fill the log
        # Celery says twice what storefront.celery says in one line for each task; what failed is still told.
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},  # each task has a line of its own
        "celery.worker.strategy": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
        "pikepdf": {"level": "WARNING"},
    },
}
