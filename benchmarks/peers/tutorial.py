"""The handler of the usual tutorial, with a pool it seldom has: Flask, construct_event, one INSERT. It wakes nobody."""

import os

import stripe
from flask import Flask, request
from psycopg_pool import ConnectionPool

SECRET = os.environ["STRIPE_WEBHOOK_SECRETS"]

application = Flask("tutorial")
pool = ConnectionPool(os.environ["PEER_DATABASE"], min_size=1, max_size=10, open=True)


@application.post("/webhooks/stripe/")
def webhook() -> tuple[str, int]:
    try:
        event = stripe.Webhook.construct_event(request.data, request.headers["Stripe-Signature"], SECRET)
    except (ValueError, stripe.SignatureVerificationError):
        return "invalid", 400
    with pool.connection() as connection:
        connection.execute(
            "INSERT INTO bench_tutorial (event_id, type, payload) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (event.id, event.type, request.data),
        )
    return "ok", 200
