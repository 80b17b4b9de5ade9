"""The fewest inputs that make a mail: with a login, and by a relay without one."""

RELAY = {
    "host": "smtp.example.com",
    "port": "587",
    "auth": "none",
    "from": "reports@example.com",
    "to": "security@example.com",
}
LOGIN = {
    "host": "smtp.example.com",
    "port": "587",
    "user": "jane",
    "password": "correct horse",
    "from": "reports@example.com",
    "to": "security@example.com",
}
