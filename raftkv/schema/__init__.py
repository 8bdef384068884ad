"""The client API's messages, declared once, and the codecs made from the declarations."""
