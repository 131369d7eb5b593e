"""What the API of Proxmox VE says about its parameters (data/schema.json), and the check of requests against it.

The texts of refusals are those of the product: clients show them to people.
"""
import ipaddress
import json
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
# The releases the schema tells apart, by the version that a caller asks for.
RELEASES = {"8.4": "8.4.1", "9.1": "9.1.1", "9.2": "9.2.11"}
REFUSAL = {
    "dns-name": "value does not look like a valid DNS name",
    "pve-vmid": "value does not look like a valid VM ID",
    "pve-tag": "invalid characters in tag",
    "pve-tag-list": "invalid characters in tag",
}
NUMBER = re.compile(r"[+-]?(\d+\.\d+|\d+\.|\.\d+|\d+)([eE][+-]?\d+)?")
TRUE, FALSE = {"1", "on", "yes", "true"}, {"0", "off", "no", "false"}


def load():
    with open(os.path.join(HERE, "data/schema.json"), encoding="utf-8") as file:
        return json.load(file)


class Bad(Exception):
    """A value that is refused; the text is the product's."""


def matches(pattern, value, flags=0):
    """Perl's anchors: the end may stand before one line break."""
    return re.match(rf"^(?:{pattern})$", value, flags | re.ASCII) is not None


def split_list(value):
    parts = value.split("\0") if "\0" in value else re.split(r"[,;\s]+", value)
    return [part for part in parts if part]


def is_ip(value, version=None):
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return version in (None, address.version)


class Schema:
    """The schema as one version of the product has it."""

    def __init__(self, version="9.2", document=None):
        self.document = document or load()
        self.version = version
        self.release = RELEASES[version]
        self.patterns = []
        for key, endpoint in self.document["endpoints"].items():
            if self.release in endpoint.get("absentIn", ()):
                continue
            method, path = key.split(" ", 1)
            names = re.findall(r"{(\w+)}", path)
            # The name of a volume holds a slash; everything else is one component.
            text = "".join(f"({'.+' if part == '{volume}' else '[^/]+'})" if part.startswith("{") else re.escape(part)
                           for part in re.split(r"({\w+})", path))
            self.patterns.append((method, re.compile(text), names, endpoint, key))
        # Fixed components first: /tasks/{upid}/log before /tasks/{upid}.
        self.patterns.sort(key=lambda entry: len(entry[2]))

    def find(self, method, path):
        """The endpoint and the parameters in the path; None: there is none."""
        for known, pattern, names, endpoint, key in self.patterns:
            found = pattern.fullmatch(path) if known == method else None
            if found:
                return endpoint, dict(zip(names, found.groups())), key
        return None

    def has(self, thing):
        return self.release not in thing.get("absentIn", ())

    def parameter(self, parameters, name):
        """The declaration of `name`, numbered families included."""
        if name in parameters and self.has(parameters[name]):
            return parameters[name]
        family = re.fullmatch(r"([a-z]+)(0|[1-9]\d*)", name)
        if family:
            declared = parameters.get(f"{family[1]}[n]")
            if declared and self.has(declared) and int(family[2]) <= declared["index"][1]:
                return declared
        return None

    def check(self, endpoint, values):
        """All refusals, by parameter; the values come as text, bool, number or list."""
        parameters = endpoint["parameters"]
        errors = {}
        for name, value in values.items():
            declared = self.parameter(parameters, name)
            if declared is None:
                errors[name] = "property is not defined in schema and the schema does not allow additional properties"
                continue
            try:
                self.check_value(declared, value, name)
            except Bad as bad:
                errors[name] = str(bad)
        for name, declared in parameters.items():
            if not declared.get("optional") and "[n]" not in name and self.has(declared) and name not in values:
                errors.setdefault(name, "property is missing and it is not optional")
            if name in values and "requires" in declared and declared["requires"] not in values:
                errors.setdefault(declared["requires"], f"missing property - '{name}' requires this property")
        return errors

    def check_value(self, declared, value, name):
        value = self.typed(declared, value)
        if "propertyString" in declared:
            self.check_property_string(self.resolve(declared["propertyString"]), value, name)
        if "format" in declared:
            self.check_format(declared["format"], value, name)
        self.check_limits(declared, value)

    def typed(self, declared, value):
        kind = declared.get("type", "string")
        if kind == "array":
            for item in value if isinstance(value, list) else [value]:
                self.check_value(declared.get("items", {}), item, "item")
            return ""
        if isinstance(value, list):
            value = ",".join(str(item) for item in value)
        if isinstance(value, bool):
            value = "1" if value else "0"
        value = str(value)
        bad = ((kind == "integer" and not re.fullmatch(r"[+-]?\d+", value, re.ASCII))
               or (kind == "number" and not NUMBER.fullmatch(value))
               or (kind == "boolean" and value not in ("0", "1")))
        if bad:
            raise Bad(f"type check ('{kind}') failed - got '{value}'")
        return value

    def check_limits(self, declared, value):
        if "pattern" in declared and not matches(declared["pattern"], value, flags_of(declared.get("patternFlags"))):
            raise Bad("value does not match the regex pattern")
        if len(value) > declared.get("maxLength", len(value)):
            raise Bad(f"value may only be {declared['maxLength']} characters long")
        if len(value) < declared.get("minLength", 0):
            raise Bad(f"value must be at least {declared['minLength']} characters long")
        if declared.get("type") in ("integer", "number"):
            if "maximum" in declared and float(value) > declared["maximum"]:
                raise Bad(f"value must have a maximum value of {declared['maximum']}")
            if "minimum" in declared and float(value) < declared["minimum"]:
                raise Bad(f"value must have a minimum value of {declared['minimum']}")
        if "enum" in declared and value not in declared["enum"]:
            raise Bad(f"value '{value}' does not have a value in the enumeration '{', '.join(declared['enum'])}'")

    def resolve(self, properties):
        reference = properties.get("$ref") if isinstance(properties, dict) else None
        return self.document["propertyStrings"][reference.rsplit("/", 1)[1]] if reference else properties

    def parse_property_string(self, properties, value):
        """Keys and values; Bad for what cannot be taken apart."""
        default = next((key for key, one in properties.items() if one.get("defaultKey")), None)
        found = {}
        for part in value.split(","):
            key, equals, text = part.partition("=")
            if not equals:
                if default is None:
                    raise Bad("invalid format - value without key, but schema does not define a default key\n")
                key, text = default, part
            if key in found:
                raise Bad(f"invalid format - duplicate key in comma-separated list property: {key}\n")
            found[key] = text
        return found

    def check_property_string(self, properties, value, name):
        found = self.parse_property_string(properties, value)
        lines, given = [], set()
        for key, text in found.items():
            declared = properties.get(key)
            if declared is None or not self.has(declared):
                lines.append(f"{name}.{key}: property is not defined in schema and the schema does not allow additional properties")
                continue
            given |= {key, declared.get("alias"), declared.get("keyAlias")}
            try:
                declared = properties[declared["alias"]] if "alias" in declared else declared
                self.check_value(declared, inner_boolean(declared, text), key)
            except Bad as bad:
                lines.append(f"{name}.{key}: {bad}")
        for key, declared in properties.items():
            if not declared.get("optional") and "alias" not in declared and self.has(declared) and key not in given:
                lines.append(f"{name}.{key}: property is missing and it is not optional")
        if lines:
            raise Bad("invalid format - format error\n" + "\n".join(sorted(lines)) + "\n")

    def check_format(self, name, value, of):
        if isinstance(name, dict):
            return self.check_property_string(self.resolve(name), value, of)
        declared = self.document["formats"].get(name)
        if declared is None:
            return None
        if declared["kind"] == "property-string":
            return self.check_property_string(declared["properties"], value, of)
        if not self.fits(name, value):
            raise Bad("invalid format - " + refusal(name, value) + "\n")
        return None

    def fits(self, name, value):
        declared = self.document["formats"][name]
        kind = declared["kind"]
        if kind == "list":
            return all(self.fits(declared["of"], part) for part in split_list(value))
        if kind == "opt":
            return value == "" or self.fits(declared["of"], value)
        if kind == "anyOf":
            own = value in declared.get("enum", ()) or ("pattern" in declared and re.search(declared["pattern"], value))
            return bool(own) or any(self.fits(one, value) for one in declared["of"])
        if kind == "enum":
            return value in declared["enum"]
        if "pattern" in declared and not re.search(declared["pattern"], value, flags_of(declared.get("flags")) | re.ASCII):
            return False
        if "notPattern" in declared and re.search(declared["notPattern"], value):
            return False
        rule = RULES.get(name)
        return rule(value) if rule else True


def inner_boolean(declared, text):
    """Property strings know more words for booleans than parameters do."""
    if declared.get("type") == "boolean":
        return "1" if text.lower() in TRUE else "0" if text.lower() in FALSE else text
    return text


def flags_of(letters):
    return re.IGNORECASE if letters and "i" in letters else 0


def refusal(name, value):
    if name == "pve-configid":
        return f"invalid configuration ID '{value}'"
    if name == "pve-volume-id":
        return f"unable to parse volume ID '{value}'"
    if name == "pve-lxc-mp-string":
        return f"{value} contains illegal character sequences"
    return REFUSAL.get(name, f"value does not look like a valid {name}")


def prefix_in(value, version):
    address, _, prefix = value.partition("/")
    highest = 32 if version == 4 else 128
    return is_ip(address, version) and re.fullmatch(r"\d+", prefix, re.ASCII) and 8 <= int(prefix) <= highest


def is_order(value):
    return value != ""


def is_link_address(value):
    address, _, zone = value.partition("%")
    return is_ip(address) and (not zone or address.lower().startswith("fe80:"))


RULES = {
    "CIDRv4": lambda value: bool(prefix_in(value, 4)),
    "CIDRv6": lambda value: bool(prefix_in(value, 6)),
    "ipv6": lambda value: "%" not in value and is_ip(value, 6),
    "lxc-ip-with-ll-iface": is_link_address,
    "pve-ct-timezone": lambda value: value in ("host", "UTC") or re.fullmatch(r"[A-Z][\w+-]*(/[\w+-]+)*", value) is not None,
    "pve-startup-order": is_order,
    "pve-storage-id": lambda value: len(value) >= 2,
    "pve-hotplug-features": lambda value: value in ("0", "1") or all(
        part in ("network", "disk", "cpu", "memory", "usb", "cloudinit") for part in split_list(value)),
}
