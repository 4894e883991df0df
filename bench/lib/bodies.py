"""What is looked for in bodies: a JSON document by its schema, and for attacks."""

import json
import pathlib

from . import variants
from .variants import Variant

SIZE = 1024
JSON = "Content-Type: application/json\r\n"


def bodies(bench):
    """POSTs of one order of 1 KB, answered with the small answer."""
    order, schema = f"{bench.directory}/order.json", f"{bench.directory}/order.schema.json"
    pathlib.Path(order).write_text(written(of_size(SIZE)))
    pathlib.Path(schema).write_text(json.dumps(SCHEMA))
    wrong = (JSON, written(ORDER | {"lines": [{"sku": "none", "count": 0}]}))
    attack = (JSON, written(ORDER | {"note": "' OR 1=1 UNION SELECT name, password FROM users -- "}))
    waf = "waf: { mode: block, paranoia: 1 }"

    def variant(name, policies="", refused=()):
        return Variant(name, policies and f'- {{ match: "/{{rest...}}", to: backend, access: public, {policies} }}',
                       options=lambda seconds: {"json": order}, refused=refused)

    return variants.measure(bench, [
        variant("nginx"),
        variant("tollgate, plain"),
        variant("tollgate, schema", f"validate: {schema}", [wrong]),
        variant("tollgate, waf", waf, [attack]),
        variant("tollgate, waf and schema", f"{waf}, validate: {schema}", [wrong, attack]),
        variant("nginx again"),
    ])


def of_size(size):
    """The order with as much prose as it takes."""
    missing = size - len(written(ORDER).encode())
    return ORDER | {"note": (NOTE * (missing // len(NOTE) + 1))[:missing]}


def written(document):
    return json.dumps(document, ensure_ascii=False)


NOTE = "Please leave the parcel with the neighbours on the left if nobody opens; the bell isn't loud. "
ORDER = {
    "id": "0190b2c4-7d1e-7a90-8f3b-5c2d9e6a1b04",
    "placed": "2026-03-14T09:26:53Z",
    "currency": "EUR",
    "customer": {"id": 481516, "name": "Siobhán O'Connor", "email": "siobhan.oconnor@example.com", "returning": True},
    "ship_to": {"street": "Gartenstraße 12", "city": "Köln", "zip": "50674", "country": "DE"},
    "lines": [
        {"sku": "AB-0001", "title": "Coffee mug, 0.3 l, blue", "count": 4, "price": 7.95},
        {"sku": "KX-4711", "title": "Kettle \"Nordic\" 1.7 l", "count": 1, "price": 49.9},
        {"sku": "TT-0815", "title": "Tea towel, set of 3", "count": 2, "price": 12.5},
    ],
    "discount": None,
    "total": 106.7,
    "note": "",
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "placed", "currency", "customer", "ship_to", "lines", "total"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "placed": {"type": "string", "format": "date-time"},
        "currency": {"enum": ["EUR", "GBP", "SEK", "USD"]},
        "customer": {
            "type": "object",
            "required": ["id", "name", "email"],
            "properties": {
                "id": {"type": "integer", "minimum": 1},
                "name": {"type": "string", "minLength": 1, "maxLength": 100},
                "email": {"type": "string", "format": "email"},
                "returning": {"type": "boolean"},
            },
        },
        "ship_to": {
            "type": "object",
            "required": ["street", "city", "zip", "country"],
            "properties": {
                "street": {"type": "string", "maxLength": 100},
                "city": {"type": "string", "maxLength": 100},
                "zip": {"type": "string", "pattern": "^[0-9A-Z -]{3,10}$"},
                "country": {"type": "string", "pattern": "^[A-Z]{2}$"},
            },
        },
        "lines": {"type": "array", "minItems": 1, "maxItems": 100, "items": {"$ref": "#/$defs/line"}},
        "discount": {"type": ["number", "null"], "minimum": 0},
        "total": {"type": "number", "minimum": 0},
        "note": {"type": "string", "maxLength": 2000},
    },
    "$defs": {
        "line": {
            "type": "object",
            "required": ["sku", "count", "price"],
            "additionalProperties": False,
            "properties": {
                "sku": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
                "title": {"type": "string", "maxLength": 200},
                "count": {"type": "integer", "minimum": 1, "maximum": 1000},
                "price": {"type": "number", "exclusiveMinimum": 0},
            },
        },
    },
}
