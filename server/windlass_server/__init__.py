"""The windlass server: gateway, services and controllers in one process."""
