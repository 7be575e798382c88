"""Integrations: the ways in for devices, and the endpoint paths that lead to them."""
