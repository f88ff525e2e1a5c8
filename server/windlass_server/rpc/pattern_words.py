"""What the patterns of the contract ask for, in words: nobody should have to read a regular expression."""

_NAME = "small letters, digits and '-', with a letter or digit at both ends"
_LABEL = "a name of letters, digits and '._/-', with a letter or digit at both ends"

WORDS = {
    r"^[^\x00]*$": "must not contain the character NUL",
    r"^[^\x00-\x1f\x7f]*$": "must not contain control characters, such as line breaks",
    r"^[^\x00-\x08\x0a-\x1f\x7f]*$": "must not contain control characters other than tabs",
    r"^[^,\x00-\x1f\x7f]*$": "must not contain commas or control characters",
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$": f"must be {_NAME}",
    r"^(default|(queue|pool)[.][a-z0-9]([a-z0-9-]*[a-z0-9])?)$": (
        f"must be default, queue.NAME or pool.NAME, with a name of {_NAME}"
    ),
    r"^[\x21-\x7e]*$": "must be printable ASCII without spaces",
    r"^[\x09\x0a\x0d\x20-\x7e]*$": "must be ASCII text",
    r"^run-[0-9a-z]{26}$": "must be the id of a run: run- and 26 small letters or digits",
    r"^ckpt-[0-9a-z]{26}$": "must be the id of a checkpoint: ckpt- and 26 small letters or digits",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "must be letters, digits and '._-', and begin with no sign",
    r"^[A-Za-z0-9]([A-Za-z0-9._@-]*[A-Za-z0-9])?$": (
        "must be letters, digits and '._@-', with a letter or digit at both ends"
    ),
    r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$": f"must be {_LABEL}",
    r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?=[^\x00-\x1f\x7f]*$": (
        f"must be KEY=VALUE: {_LABEL}, '=', and text without control characters"
    ),
    r"^[^\x00-\x1f\x7f=]+=[^\x00-\x1f\x7f]*$": "must be KEY=VALUE, without control characters",
    r"^([0-9a-f]{64})?$": "must be a SHA-256: 64 small hexadecimal digits",
    r"^([0-9a-f]{40}|[0-9a-f]{64})$": "must be the whole hash of a commit: small hexadecimal digits",
    r"^(3[.][0-9]{1,2})?$": "must be a version of Python, such as 3.12",
    r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~+%-]+)+/?$": (
        "must be an http or https URL of a repository, without user, password, query or fragment"
    ),
    r"^[a-z0-9_.]*$": "must be small letters, digits and '_.'",
    r"^[A-Za-z0-9_]*$": "must be letters, digits and '_'",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "must be letters, digits and '_', and not begin with a digit",
    r"^[A-Za-z_][A-Za-z0-9_./-]*$": (
        "must be letters, digits and '_./-', and begin with a letter or '_'"
    ),
    r"^[A-Za-z_][A-Za-z0-9_./*-]*$": (
        "must be letters, digits and '_./-', and begin with a letter or '_'; or custom.*"
    ),
    r"^[A-Za-z0-9_+/-]*$": "must be letters, digits and '_+/-'",
    r"^[A-Za-z0-9._-]*$": "must be letters, digits and '._-'",
    r"^[0-9A-Za-z._+-]*$": "must be a version: letters, digits and '._+-'",
    r"^[A-Za-z0-9*/,#L -]*$": "must be a cron expression, such as '0 22 * * MON-FRI'",
    r"^[A-Z]{3}$": "must be a currency of three capitals, such as EUR",
    r"^[0-9]{1,9}([.][0-9]{1,9})?$": "must be a decimal number with at most 9 digits on each side",
    r"^[0-9A-Fa-f:.]*$": "must be a PCI address",
    r"^([0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*)?$": (
        "must be indices of at most 5 digits, such as 0-9,17"
    ),
    r"^[0-9.]*$": "must be digits and points",
    r"^[0-9]*$": "must be digits",
    r"^[a-z]+$": "must be small letters",
    r"^[a-z]+\.([a-z0-9_]+|\*)$": "must be the type of an event, such as job.failed, or job.* for all of a kind",
    r"^[^\x00-\x08\x0b-\x1f\x7f]*$": "must not contain control characters other than tabs and line breaks",
    r"^[A-Z][A-Z0-9_]*$": "must be capitals, digits and '_', and begin with a letter",
    r"^/[^\x00-\x1f\x7f]*$": "must be an absolute path without control characters",
    r"^[1-7]g\.[0-9]{1,4}gb(\+[a-z0-9.]{1,16})?$": "must be a MIG profile, such as 1g.10gb",
    r"^(project|user|queue|node_id|pool_id|gpu_type|kind|holder_id|"
    r"label:[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?)$": (
        "must be project, user, queue, node_id, pool_id, gpu_type, kind, holder_id or label:KEY"
    ),
}
"""By the pattern as the protos write it; a test asks for words for each."""
