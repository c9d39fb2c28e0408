"""The chat on AWS: what `make secrets`, `run-task`, `deploy` and their like do.

Everything goes through the user's own `aws` command, so what works for them at the terminal
(profiles, single sign-on, roles) works here, and each command can be read before it is run.
"""
