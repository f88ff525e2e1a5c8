"""The gateway's twin: a configuration of the real Envoy, generated from the same descriptor set."""
