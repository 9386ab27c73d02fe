"""A page that counts its visits in PostgreSQL. It connects to db:5432, and does not know the host of it."""

import http.server
import pathlib

import psycopg

PASSWORD = pathlib.Path("/run/secrets/password").read_text()


def visit():
    """Return the number of this visit, a row of its own."""
    with psycopg.connect(host="db", user="postgres", password=PASSWORD, connect_timeout=5) as database:
        database.execute("CREATE TABLE IF NOT EXISTS visits (number serial PRIMARY KEY)")
        return database.execute("INSERT INTO visits DEFAULT VALUES RETURNING number").fetchone()[0]


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, text = 200, f"Visit {visit()}\n"
        except psycopg.Error as error:
            status, text = 503, f"{error}\n"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


http.server.HTTPServer(("", 8080), Page).serve_forever()
