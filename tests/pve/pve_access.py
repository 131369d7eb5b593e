"""Who may do what: users, tokens, tickets, and the privileges of their roles on paths."""
import hmac
import re
import secrets
import time
import urllib.parse

TICKET_SECONDS = 7200
ALL = "*"


class ApiError(Exception):
    """An answer that is no success: status, reason phrase, and per-parameter texts."""

    def __init__(self, status, text="", errors=None, plain=False):
        super().__init__(text)
        self.status, self.text, self.errors, self.plain = status, text, errors, plain


def denied(path, privileges, how=" "):
    names = privileges if isinstance(privileges, str) else "|".join(privileges) if how == "any" else ",".join(privileges)
    return ApiError(403, f"Permission check failed ({path}, {names})")


class Access:
    """`now` is the server's clock: tickets get old by it."""

    def __init__(self):
        self.users, self.tokens, self.acl = {}, {}, {}
        self.tickets = {}
        self.clock_skew = 0
        # How much later it is on the node that checks tickets than on the one that makes them.
        self.skew_of_checks = 0

    def now(self):
        return int(time.time() + self.clock_skew)

    def add_user(self, user, password):
        self.users[user] = password
        self.acl.setdefault(user, {})

    def add_token(self, token, privsep=True):
        """A token USER@REALM!NAME; returns its secret. Without privilege separation it may what its user may."""
        secret = "-".join(secrets.token_hex(n) for n in (4, 2, 2, 2, 6))
        self.tokens[token] = (secret, privsep)
        self.acl.setdefault(token, {})
        return secret

    def grant(self, who, path, *privileges):
        self.acl.setdefault(who, {}).setdefault(path, set()).update(privileges)

    def privileges(self, who, path):
        """What `who` may do at `path`: what is granted there or above."""
        if who == "root@pam":
            return {ALL}
        if "!" in who:
            user, (_, separate) = who.split("!")[0], self.tokens.get(who, ("", True))
            if not separate:
                return self.privileges(user, path)
        found = set()
        for at, names in self.acl.get(who, {}).items():
            if path == at or at == "/" or path.startswith(at + "/"):
                found |= names
        return found

    def may(self, who, path, privileges, any_of=False):
        have = self.privileges(who, path)
        return ALL in have or (any if any_of else all)(name in have for name in privileges)

    def require(self, who, path, privileges, any_of=False):
        if not self.may(who, path, privileges, any_of):
            have = self.privileges(who, path)
            missing = privileges if any_of else [name for name in privileges if name not in have]
            raise denied(path, missing, "any" if any_of else " ")

    # --- who is calling ---------------------------------------------------------------------------

    def ticket(self, user, password):
        known = self.users.get(user)
        renewal = self.tickets.get(password, (None, 0))
        if not ((known is not None and hmac.compare_digest(known, password))
                or (renewal[0] == user and self.fresh(renewal[1]))):
            raise ApiError(401, "authentication failure")
        made = self.now()
        ticket = f"PVE:{user}:{made:08X}::{secrets.token_urlsafe(24)}"
        self.tickets[ticket] = (user, made)
        return {"ticket": ticket, "username": user, "CSRFPreventionToken": self.csrf(user, made),
                "cap": {name: {} for name in ("access", "dc", "mapping", "nodes", "sdn", "storage", "vms")}}

    def fresh(self, made):
        return -300 <= self.now() + self.skew_of_checks - made < TICKET_SECONDS

    @staticmethod
    def csrf(user, made):
        return f"{made:08X}:{hmac.new(b'double', f'{user}{made}'.encode(), 'sha256').hexdigest()[:32]}"

    def caller(self, headers, method):
        """The user of a request. 401 as the product says it: without a body."""
        authorization = headers.get("Authorization", "")
        if authorization:
            found = re.fullmatch(r"PVEAPIToken=([^=]+)=(\S+)", authorization)
            known = self.tokens.get(found[1]) if found else None
            if known is None or not hmac.compare_digest(known[0], found[2]):
                raise ApiError(401, "Authentication failed!")
            return found[1]
        cookie = dict(part.strip().split("=", 1) for part in headers.get("Cookie", "").split(";") if "=" in part)
        ticket = urllib.parse.unquote(cookie.get("PVEAuthCookie", ""))
        if not ticket:
            raise ApiError(401, "No ticket")
        user, made = self.tickets.get(ticket, (None, 0))
        if user is None or not self.fresh(made):
            raise ApiError(401, "Authentication failed!")
        if method != "GET" and headers.get("CSRFPreventionToken") != self.csrf(user, made):
            raise ApiError(401, "Permission denied - invalid csrf token")
        return user

    # --- the checks that the schema declares --------------------------------------------------------

    def check(self, who, rule, values):
        if rule is None:
            if who != "root@pam" and not who.startswith("root@pam!"):
                raise ApiError(403, "Permission check failed (user != root@pam)")
            return
        if not self.holds(who, rule, values):
            raise self.refusal(who, rule, values)

    def holds(self, who, rule, values):
        kind = rule[0]
        if kind in ("and", "or"):
            return (all if kind == "and" else any)(self.holds(who, part, values) for part in rule[1:])
        if kind != "perm":
            raise AssertionError(f"permission rule {kind} is not known to the double")
        path, names, options = rule[1], rule[2], rule[3:]
        if "require_param" in options and options[options.index("require_param") + 1] not in values:
            return False
        return self.may(who, fill(path, values), names, "any" in options)

    def refusal(self, who, rule, values):
        for part in rule[1:] if rule[0] in ("and", "or") else [rule]:
            if not self.holds(who, part, values):
                if part[0] == "perm":
                    return denied(fill(part[1], values), part[2], "any" if "any" in part[3:] else " ")
                return self.refusal(who, part, values)
        return ApiError(403, "Permission check failed")


def fill(path, values):
    return re.sub(r"{(\w+)}", lambda found: str(values.get(found[1], "")), path)
