"""Serves the files of a folder on a free port, in the ways that servers fail. Ends when its standard input does.

/NAME gives the file, or the rest of it where a range is asked for. /cut/NAME breaks off in the middle where none is asked for.
/whole/NAME knows no ranges. /busy/NAME answers 503 the first time. /slow/NAME takes a minute. The folder gets a file `port`
and a file `requests` with a line for each request.
"""
import http.server
import os
import sys
import threading
import time

folder = sys.argv[1]
seen = set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        with open(os.path.join(folder, "requests"), "a") as log:
            log.write(f"{self.path} {self.headers.get('Range', '-')}\n")
        mode, _, name = self.path[1:].rpartition("/")
        if mode == "busy" and self.path not in seen:
            seen.add(self.path)
            return self.fail(503)
        try:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
        except OSError:
            return self.fail(404)
        size, start, wanted = len(data), 0, self.headers.get("Range")
        if wanted and mode != "whole":
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= size:
                return self.fail(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        rest = data[start:]
        if mode == "cut" and start == 0:
            rest = rest[: size // 2]
            self.close_connection = True
        pieces = 600 if mode == "slow" else 1
        step = max(1, -(-len(rest) // pieces))
        for position in range(0, len(rest), step):
            try:
                self.wfile.write(rest[position : position + step])
            except OSError:
                return
            if mode == "slow":
                time.sleep(0.1)

    def fail(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # Clients that go away are what is tested.


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=end_with_parent, daemon=True).start()
with open(os.path.join(folder, "port.part"), "w") as file:
    file.write(str(server.server_port))
os.rename(os.path.join(folder, "port.part"), os.path.join(folder, "port"))
server.serve_forever()
