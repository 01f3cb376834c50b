"""Holds a JSON request to the schema that Dataflow's API publishes of it.

    check.py < launch.json
"""

import json
import pathlib
import sys

import googleapiclient.discovery_cache

documents = pathlib.Path(googleapiclient.discovery_cache.__file__).parent / "documents"
schemas = json.loads((documents / "dataflow.v1b3.json").read_text())["schemas"]
types = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}


def check(value, schema, at):
    """Exits at the first value that is not as the schema says."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    if not isinstance(value, types[schema["type"]]):
        sys.exit(f"{at}: {value!r} is no {schema['type']}")
    if "enum" in schema and value not in schema["enum"]:
        sys.exit(f"{at}: {value!r} is none of {schema['enum']}")
    for i, item in enumerate(value if isinstance(value, list) else []):
        check(item, schema["items"], f"{at}[{i}]")
    for name, member in value.items() if isinstance(value, dict) else ():
        known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
        if not known:
            sys.exit(f"{at}: there is no field {name}")
        check(member, known, f"{at}.{name}")


check(json.load(sys.stdin), {"$ref": "LaunchFlexTemplateRequest"}, "request")
