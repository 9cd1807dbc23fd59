"""Products, prices and Payment Links over the API."""

from typing import Any

from sandbox.world.account import Account
from sandbox.world.errors import ApiError, invalid, required
from sandbox.world.events import emit
from sandbox.world.forms import (
    Form,
    boolean,
    choice,
    inner,
    integer,
    items,
    merged,
    metadata,
    needed,
    text,
    web_address,
)
from sandbox.world.listing import equal, page_of, slice_of
from sandbox.world.money import CURRENCIES, MAXIMUM, THREE_DECIMAL
from sandbox.world.objects import catalog as build
from sandbox.world.objects.session import line_item
from sandbox.world.operations import PAGING, Call, names, operation
from sandbox.world.store import Body, Condition

PRODUCT_DATA = names("description images metadata name tax_code tax_details unit_label")
PRICE_DATA = names("currency product recurring tax_behavior unit_amount unit_amount_decimal", product_data=PRODUCT_DATA)
PRODUCT = names(
    "active description images marketing_features metadata name package_dimensions shippable statement_descriptor "
    "tax_code tax_details unit_label url"
)
PRICE = names("active currency_options lookup_key metadata nickname tax_behavior transfer_lookup_key")
INTENT_DATA = names(
    "capture_method description metadata setup_future_usage statement_descriptor statement_descriptor_suffix "
    "transfer_group"
)
LINK = names(
    "allow_promotion_codes application_fee_amount application_fee_percent automatic_tax billing_address_collection "
    "consent_collection custom_fields custom_text customer_creation inactive_message invoice_creation metadata "
    "name_collection on_behalf_of optional_items payment_method_collection payment_method_options "
    "payment_method_types phone_number_collection restrictions shipping_address_collection shipping_options "
    "submit_type subscription_data tax_id_collection transfer_data",
    after_completion=names("type", hosted_confirmation=names("custom_message"), redirect=names("url")),
    line_items=[names("adjustable_quantity price quantity", price_data=PRICE_DATA)],
    payment_intent_data=INTENT_DATA,
)


def currency_of(form: Form, where: str = "currency") -> str:
    currency = needed(form, "currency", param=where).lower()
    if currency not in CURRENCIES:
        raise invalid(f"Invalid currency: {currency}", where)
    return currency


def amount_of(form: Form, currency: str, where: str = "unit_amount") -> int:
    """A unit amount, from `unit_amount` or a whole `unit_amount_decimal`."""
    amount = integer(form, "unit_amount", param=where)
    if amount is None and text(form, "unit_amount_decimal"):
        amount = integer(form, "unit_amount_decimal", param=where + "_decimal")
    if amount is None:
        raise required(where)
    if amount < 0:
        raise invalid("Invalid non-negative integer", where, "parameter_invalid_integer")
    if amount > MAXIMUM:
        raise invalid("Amount must be no more than 99999999", where, "amount_too_large")
    if currency in THREE_DECIMAL and amount % 10:
        raise invalid(f"Amounts in {currency} must end in 0", where, "parameter_invalid_integer")
    return amount


def new_product(account: Account, form: Form, where: str = "", **fields: Any) -> Body:
    """Keep a product from a request's `product_data` or from the parameters of `POST /v1/products`."""
    at = f"{where}[%s]" if where else "%s"
    images = items(form, "images", param=at % "images")
    if len(images) > 8:
        raise invalid("A product has up to 8 images", at % "images")
    return account.store.add(
        build.product(
            name=needed(form, "name", param=at % "name"),
            description=text(form, "description"),
            images=[web_address(str(image), at % "images") for image in images],
            metadata=metadata(form, param=at % "metadata"),
            unit_label=text(form, "unit_label"),
            **fields,
        )
    )


def price_from_data(account: Account, form: Form, where: str) -> Body:
    """The price that Stripe makes of `price_data`: inactive, since it is used for this once."""
    currency = currency_of(form, f"{where}[currency]")
    amount = amount_of(form, currency, f"{where}[unit_amount]")
    if form.get("recurring"):
        raise invalid("The sandbox sells one-time prices only", f"{where}[recurring]")
    if form.get("product"):
        product = account.need("product", needed(form, "product"), f"{where}[product]")
    elif form.get("product_data"):
        data = inner(form, "product_data")
        product = new_product(account, data, f"{where}[product_data]", active=False)
    else:
        raise required(f"{where}[product_data]")
    fields = {"product": product["id"], "currency": currency, "unit_amount": amount}
    return account.store.add(build.price(**fields, active=False))


def line_items(account: Account, form: Form) -> list[Body]:
    """The line items of a session or a link; all in one currency."""
    rows = items(form, "line_items")
    if not rows:
        raise required("line_items")
    if len(rows) > 100:
        raise invalid("Up to 100 line items", "line_items")
    lines = [one_line(account, row, f"line_items[{index}]") for index, row in enumerate(rows)]
    if len({line["currency"] for line in lines}) > 1:
        raise invalid("All line items must have the same currency", "line_items")
    return lines


def one_line(account: Account, row: Any, where: str) -> Body:
    if not isinstance(row, dict):
        raise invalid("Invalid object", where)
    if row.get("price_data"):
        price = price_from_data(account, inner(row, "price_data"), f"{where}[price_data]")
    else:
        price = account.need("price", needed(row, "price", param=f"{where}[price]"), f"{where}[price]")
        if not price["active"]:
            raise invalid("The price specified is inactive.", f"{where}[price]")
    quantity = integer(row, "quantity", param=f"{where}[quantity]")
    if quantity is None:
        raise required(f"{where}[quantity]")
    if not 1 <= quantity <= 999_999:
        raise invalid("Quantity must be between 1 and 999999", f"{where}[quantity]", "parameter_invalid_integer")
    name = account.store.need("product", price["product"])["name"]
    given = metadata(row, param=f"{where}[metadata]")
    return line_item(price=price, quantity=quantity, description=name, metadata=given)


@operation("POST", "products", names("id default_price_data type", **PRODUCT))
def create_product(call: Call) -> Body:
    identifier = text(call.form, "id")
    if identifier and call.account.store.get("product", identifier):
        raise ApiError("Product already exists.", code="resource_already_exists", param="id")
    fields = {"id": identifier} if identifier else {}
    fields["active"] = boolean(call.form, "active", True)  # type: ignore[assignment]
    product = new_product(call.account, call.form, **fields, url=web_address(text(call.form, "url"), "url"))
    emit(call.account, "product.created", product)
    if data := inner(call.form, "default_price_data"):
        currency = currency_of(data, "default_price_data[currency]")
        amount = amount_of(data, currency, "default_price_data[unit_amount]")
        price = build.price(product=product["id"], currency=currency, unit_amount=amount)
        product = call.account.change(product, default_price=call.account.store.add(price)["id"])
        emit(call.account, "price.created", price)
    return product


@operation("GET", "products/{id}")
def retrieve_product(call: Call) -> Body:
    return call.read("product")


@operation("POST", "products/{id}", names("default_price", **PRODUCT))
def update_product(call: Call) -> Body:
    body, form = call.account.need("product", call.id), call.form
    fields: Body = {key: text(form, key) for key in ("name", "description", "default_price") if key in form}
    fields["metadata"] = merged(body["metadata"], form)
    fields["active"] = boolean(form, "active", body["active"])
    if "images" in form:
        fields["images"] = items(form, "images")
    body = call.account.change(body, **fields)
    emit(call.account, "product.updated", body)
    return body


@operation("GET", "products", names("active created ids shippable type url", **PAGING))
def list_products(call: Call) -> Body:
    return page_of(call, "product", switched(call) + among(call, "ids", "id"))


@operation(
    "POST",
    "prices",
    names(
        "billing_scheme currency custom_unit_amount product recurring tiers tiers_mode transform_quantity unit_amount "
        "unit_amount_decimal",
        product_data=names("active id metadata name statement_descriptor tax_code tax_details unit_label"),
        **PRICE,
    ),
)
def create_price(call: Call) -> Body:
    form = call.form
    currency = currency_of(form)
    amount = amount_of(form, currency)
    if form.get("product_data"):
        product = new_product(call.account, inner(form, "product_data"), "product_data")
    else:
        product = call.account.need("product", needed(form, "product"), "product")
    body = build.price(
        product=product["id"],
        currency=currency,
        unit_amount=amount,
        active=boolean(form, "active", True),
        lookup_key=text(form, "lookup_key"),
        nickname=text(form, "nickname"),
        metadata=metadata(form),
    )
    call.account.store.add(body)
    emit(call.account, "price.created", body)
    return body


@operation("GET", "prices/{id}")
def retrieve_price(call: Call) -> Body:
    return call.read("price")


@operation("POST", "prices/{id}", PRICE)
def update_price(call: Call) -> Body:
    body, form = call.account.need("price", call.id), call.form
    fields: Body = {key: text(form, key) for key in ("lookup_key", "nickname") if key in form}
    fields["metadata"] = merged(body["metadata"], form)
    body = call.account.change(body, active=boolean(form, "active", body["active"]), **fields)
    emit(call.account, "price.updated", body)
    return body


@operation("GET", "prices", names("active created currency lookup_keys product recurring type", **PAGING))
def list_prices(call: Call) -> Body:
    conditions = switched(call) + among(call, "lookup_keys", "lookup_key")
    conditions += equal(call.form, "product", "currency", "type")
    return page_of(call, "price", conditions)


def switched(call: Call) -> list[Condition]:
    """The `active` filter of lists."""
    return [("active", "=", boolean(call.form, "active", True))] if call.form.get("active") else []


def among(call: Call, name: str, field: str) -> list[Condition]:
    wanted = [str(value) for value in items(call.form, name)]
    return [(field, "IN", wanted)] if wanted else []


@operation("POST", "payment_links", names("currency", **LINK))
def create_payment_link(call: Call) -> Body:
    account, form = call.account, call.form
    lines = line_items(account, form)
    body = build.payment_link(
        base_url=account.base_url,
        currency=lines[0]["currency"],
        after_completion=after_completion(form),
        customer_creation=choice(form, "customer_creation", ("always", "if_required"), "if_required"),
        inactive_message=text(form, "inactive_message"),
        metadata=metadata(form),
        payment_intent_data=intent_data(form) if form.get("payment_intent_data") else None,
    )
    account.store.add(body, lines=lines)
    emit(account, "payment_link.created", body)
    return body


def after_completion(form: Form) -> Body:
    given = inner(form, "after_completion")
    kind = choice(given, "type", ("hosted_confirmation", "redirect"), "hosted_confirmation")
    if kind == "redirect":
        where = "after_completion[redirect][url]"
        url = web_address(needed(inner(given, "redirect"), "url", param=where), where)
        return {"type": "redirect", "redirect": {"url": url}}
    message = text(inner(given, "hosted_confirmation"), "custom_message")
    return {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": message}}


def intent_data(form: Form) -> Body:
    data = inner(form, "payment_intent_data")
    fields: Body = {key: text(data, key) for key in INTENT_DATA if key != "metadata"}
    return fields | {"metadata": metadata(data, param="payment_intent_data[metadata]")}


@operation("GET", "payment_links/{id}")
def retrieve_payment_link(call: Call) -> Body:
    return call.read("payment_link")


@operation("POST", "payment_links/{id}", names("active", **LINK))
def update_payment_link(call: Call) -> Body:
    body, form = call.account.need("payment_link", call.id), call.form
    fields: Body = {
        "metadata": merged(body["metadata"], form),
        "active": boolean(form, "active", body["active"]),
    }
    if form.get("after_completion"):
        fields["after_completion"] = after_completion(form)
    body = call.account.change(body, **fields)
    emit(call.account, "payment_link.updated", body)
    return body


@operation("GET", "payment_links", names("active", **PAGING))
def list_payment_links(call: Call) -> Body:
    return page_of(call, "payment_link", switched(call))


@operation("GET", "payment_links/{id}/line_items", PAGING)
def list_payment_link_lines(call: Call) -> Body:
    call.account.need("payment_link", call.id)
    return slice_of(call, call.account.store.private(call.id)["lines"])
