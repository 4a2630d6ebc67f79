"""What the tests share: a real server in a subprocess and a kernel that misbehaves on request."""
