"""Currencies: how many decimals they have, the least that can be charged, how an amount is shown."""


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# https://docs.stripe.com/currencies: amounts are integers in the smallest unit of the currency.
ZERO_DECIMAL = words("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf")
THREE_DECIMAL = words("bhd jod kwd omr tnd")
TWO_DECIMAL = words(
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny "
    "cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk "
    "jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio "
    "nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs "
    "top try ttd twd tzs uah usd uyu uzs wst xcd yer zar zmw"
)
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | TWO_DECIMAL
MINIMUMS = {
    "usd": 50,
    "aed": 200,
    "aud": 50,
    "bgn": 100,
    "brl": 50,
    "cad": 50,
    "chf": 50,
    "czk": 1500,
    "dkk": 250,
    "eur": 50,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "inr": 50,
    "jpy": 50,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "nzd": 50,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "sgd": 50,
    "thb": 1000,
}
MAXIMUM = 99_999_999
SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "cad": "CA$", "aud": "A$", "inr": "₹", "krw": "₩"}


def decimals(currency: str) -> int:
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def minimum(currency: str) -> int:
    """The least amount Stripe charges in this currency, in minor units; 1 where it publishes none."""
    return MINIMUMS.get(currency, 1)


def show(amount: int, currency: str) -> str:
    """The amount for people: `$12.50`, `¥1,200`, `KWD 1.500`."""
    places = decimals(currency)
    whole, rest = divmod(abs(amount), 10**places)
    digits = f"{whole:,}" + (f".{rest:0{places}}" if places else "")
    sign = SIGNS.get(currency, currency.upper() + "\N{NO-BREAK SPACE}")
    return ("-" if amount < 0 else "") + sign + digits
