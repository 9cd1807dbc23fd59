"""The outside world on one machine: a local Stripe (API, Checkout page, webhooks, faults) and a mailbox."""
