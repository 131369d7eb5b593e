"""The double's side of HTTP: requests taken apart, answers in the product's form, faults on the wire."""
import email.parser
import http.server
import json
import re
import ssl
import urllib.parse

from pve_access import ApiError


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that does not like our certificate hangs up: nothing to tell."""


class Counted(list):
    """A page of a longer list: `total` stands beside `data`."""

    def __init__(self, items, total):
        super().__init__(items)
        self.total = total


def plain(value):
    """A value as the handlers read it: text, or a list of them."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return ("1" if value else "0") if isinstance(value, bool) else str(value)


def read_values(query, headers, body):
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    if body and headers.get("Content-Type", "").split(";")[0] == "application/json":
        return {**dict(pairs), **json.loads(body)}
    values = {}
    for name, value in [*pairs, *urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)]:
        if name in values:
            value = [*(values[name] if isinstance(values[name], list) else [values[name]]), value]
        values[name] = value
    return values


def read_upload(headers, body):
    """The parts of an upload: those before the file are parameters, those behind it are not seen."""
    found = re.search(r'boundary="?([^";]+)', headers.get("Content-Type", ""))
    if not headers.get("Content-Type", "").startswith("multipart/form-data") or not found:
        raise ApiError(501, "Unexpected content type for an upload", plain=True)
    values = {}
    for part in body.split(b"--" + found[1].encode())[1:-1]:
        head, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n") if not part.endswith(b"\r\n") else part[2:-2].partition(b"\r\n\r\n")
        disposition = email.parser.HeaderParser().parsestr(head.decode()).get_params(header="Content-Disposition")
        fields = dict(disposition[1:])
        if "filename" in fields:
            values["filename"] = fields["filename"]
            return values, content
        values[fields["name"]] = content.decode()
    return values, b""


def handler_for(double):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        # An answer in two small pieces waits for the client's delayed acknowledgement: 40 ms for each request.
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def setup(self):
            if double.pem:
                self.request = double.context.wrap_socket(self.request, server_side=True)
            super().setup()

        def handle(self):
            try:
                super().handle()
            except (OSError, ssl.SSLError):
                self.close_connection = True

        def finish(self):
            super().finish()
            self.request.close()

        def log_message(self, *_):
            pass

        def serve(self):
            url = urllib.parse.urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            prefix, path = re.fullmatch(r"(/api2/json|/api2/extjs)?(/.*)", url.path).groups()
            path = urllib.parse.unquote(path)
            line = f"{self.command} {path}"
            double.requests.append(line)
            fault = double.faults.take_request(line)
            try:
                if fault and fault.drop == "before":
                    self.close_connection = True
                    return None
                if fault and fault.before:
                    fault.before()
                if fault and fault.status:
                    raise ApiError(fault.status, fault.text)
                data = double.answer(self.command, path, url.query, self.headers, body)
            except ApiError as error:
                return self.refuse(error, extjs=prefix == "/api2/extjs")
            except Exception as error:  # a mistake in the double, never the client's
                double.problems.append(f"{line}: {type(error).__name__}: {error}")
                return self.refuse(ApiError(500, f"double: {line}: {type(error).__name__}: {error}"), False)
            if fault and fault.drop == "after":
                self.close_connection = True
                return None
            answer = {"data": data}
            if isinstance(data, Counted):
                answer["total"] = data.total
            return self.reply(200, "OK", {"success": 1, **answer} if prefix == "/api2/extjs" else answer)

        def refuse(self, error, extjs):
            text = error.text.rstrip("\n") if not error.text.endswith("\n)") else error.text
            reason = text.split("\n")[0]
            if error.status in (401, 595, 596) and not (error.status == 401 and error.text == "authentication failure"):
                return self.reply(error.status, reason, None)
            if error.plain:
                return self.reply(error.status, reason, text)
            answer = {"data": None, "message": text + ("" if error.status == 501 else "\n")}
            if error.errors:
                answer["errors"] = error.errors
            if extjs:
                return self.reply(200, "OK", {"success": 0, "status": str(error.status), **answer})
            return self.reply(error.status, reason, answer)

        def reply(self, status, reason, answer):
            body = b"" if answer is None else answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response_only(status, reason)
            if not isinstance(answer, str) and answer is not None:
                self.send_header("Content-Type", "application/json;charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = serve

    return Handler
