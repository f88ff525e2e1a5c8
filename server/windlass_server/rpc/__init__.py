"""How calls reach the services: one chain of interceptors behind both front ends."""
