"""Small venues on loopback, written from the protocol facts; they import nothing of ours."""
