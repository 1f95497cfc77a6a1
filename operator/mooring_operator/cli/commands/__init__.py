"""One module for each command of ``mooring``: arguments in, exit code out.

Their heavy imports are inside the functions, so that ``mooring --help`` stays quick.
"""

from mooring_operator.cli.commands import (
    adopt,
    analyse,
    audit,
    ci,
    data,
    drift,
    list_all,
    offline,
    rehearse,
    requests,
    schema,
    status,
    validate,
)

COMMANDS = (
    validate,
    rehearse,
    ci,
    data,
    schema,
    status,
    drift,
    analyse,
    list_all,
    audit,
    requests,
    adopt,
    offline,
)
