"""The mailbox for people: a list, and each message as HTML, text and headers."""

from flask import Blueprint, Response, abort, render_template, request

from sandbox.world.mailbox import Mailbox
from sandbox.world.times import ago

# Mail brings its own styles and may link anywhere, but runs nothing and loads nothing from beyond this machine.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: http://127.0.0.1:* http://localhost:*; "
    "sandbox allow-top-navigation-by-user-activation allow-popups"
)
TABS = ("html", "text", "headers")


def blueprint(mailbox: Mailbox) -> Blueprint:
    pages = Blueprint("mailbox", __name__, url_prefix="/mailbox")

    @pages.get("/")
    def index() -> str:
        to = request.args.get("to", "")
        mails = mailbox.mails(to=to or None, limit=200)
        return render_template("mailbox.html", mails=mails, to=to, ago=ago)

    @pages.get("/<int:number>/")
    def read(number: int) -> str:
        mail = mailbox.mail(number) or abort(404)
        tab = request.args.get("show", "html" if mail["html"] else "text")
        return render_template("mail.html", mail=mail, tab=tab if tab in TABS else "text", ago=ago)

    @pages.get("/<int:number>/html")
    def html(number: int) -> Response:
        mail = mailbox.mail(number) or abort(404)
        # Links in the message leave the frame that shows it.
        response = Response(f'<base target="_top">{mail["html"]}', content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = MAIL_POLICY
        return response

    return pages
