"""Runs on a host of the lab: tries to get at a link, and prints what came of it as JSON. The only argument is JSON as well."""

import json
import socket
import ssl
import sys
import time

job = json.loads(sys.argv[1])
target = (job["address"], job["port"])


def plain():
    """Send bytes, return what comes back."""
    with socket.create_connection(target, timeout=5) as connection:
        connection.sendall(bytes.fromhex(job["data"]))
        return connection.recv(1000).decode(errors="replace")


def over_tls():
    """Return a context that has the certificate, and asks for nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # the attacker does not care whom it talks to
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if job.get("certificate"):
        context.load_cert_chain(job["certificate"])
    if job.get("alpn"):
        context.set_alpn_protocols(job["alpn"])
    if job.get("version"):
        context.maximum_version = ssl.TLSVersion[job["version"]]
    return context


def encrypted():
    """Send a request over TLS, return what comes back."""
    context, answers, session = over_tls(), [], None
    for _ in range(job.get("times", 1)):
        with socket.create_connection(target, timeout=5) as connection, context.wrap_socket(connection, session=session) as link:
            link.sendall(b"PING\r\n")
            answers.append([link.recv(1000).decode(errors="replace"), link.session_reused])
            session = link.session
    return answers


def ping(link):
    """Return what comes back over a connection; nothing where it is refused."""
    try:
        link.sendall(b"PING\r\n")
        return link.recv(1000).decode(errors="replace")
    except OSError:
        return ""


def expiring():
    """Ask before and after the certificate expires: over one connection, over a new one with its session, and over one without."""
    context, answers = over_tls(), []
    with socket.create_connection(target, timeout=5) as connection, context.wrap_socket(connection) as link:
        answers.append(ping(link))
        session = link.session
        time.sleep(job["seconds"])
        answers.append(ping(link))
    for kept in (session, None):
        with socket.create_connection(target, timeout=5) as connection, context.wrap_socket(connection, session=kept) as link:
            answers.append(ping(link))
    return answers


def cut():
    """Ask over a connection until it ends, then over new ones with its session; return the first answer, and the answers after the end."""
    context, answers, end = over_tls(), [], time.time() + job["seconds"]
    with socket.create_connection(target, timeout=5) as connection, context.wrap_socket(connection) as link:
        answers.append(ping(link))
        session = link.session
        while ping(link) and time.time() < end:
            time.sleep(0.05)
    answers.append(time.time() < end)
    for _ in range(20):
        try:
            with socket.create_connection(target, timeout=5) as connection, context.wrap_socket(connection, session=session) as link:
                answers.append(ping(link))
        except OSError:
            answers.append("")
        time.sleep(0.05)
    return [*answers[:2], "".join(answers[2:])]


def half_open():
    """Begin many handshakes, end none; return how many are open, and how many the server side has closed after a while."""
    begun = [socket.create_connection(target, timeout=5) for _ in range(job["times"])]
    for connection in begun:
        connection.sendall(bytes.fromhex("160301020001"))
    closed = 0
    for connection in begun:
        connection.settimeout(job["patience"])
        try:
            closed += connection.recv(1000) == b""
        except ConnectionError:
            closed += 1
        except TimeoutError:
            break
    return [len(begun), closed]


try:
    said = {"plain": plain, "encrypted": encrypted, "expiring": expiring, "half_open": half_open, "cut": cut}[job["how"]]()
    print(json.dumps({"said": said}))
except OSError as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
