"""OpenAPI 3.1 of a served contract, made from its descriptor set alone.

`document` puts the whole together: `operations` (one per HTTP binding, with `paths` and
`parameters`), and `schemas` of all messages in their JSON form (with `values`, `constraints` and
`patterns`). `comments` and `options` read what the protos say besides their types.
"""
