"""The subcommands of ``camserve``, a file each: ``add`` declares its arguments, ``run`` does it."""
