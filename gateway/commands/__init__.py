"""The subcommands of ``camserve-server``, a file each: ``add`` declares its arguments, ``run`` does it."""
