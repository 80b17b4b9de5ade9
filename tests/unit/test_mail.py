"""What a delivery says of itself."""

from chainloop_smtp.model.mail import Delivery
from submission import a_mail


def test_a_delivery_without_an_attempt_names_no_server() -> None:
    delivery = Delivery(mail=a_mail(), results=(), transactions=())
    assert (delivery.server, delivery.tls, delivery.mechanism) == ("", "", "")
    assert delivery.attempts == 0
