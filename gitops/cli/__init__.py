"""The command line: `main.py` has the commands and their flags, each command's work lies in the module of its name.

It may import anything; heavy things only inside the command that needs them, so that `gitward --help` is quick.
"""
