"""A secure CoAP gateway: uplinks are converted, stored durably, acknowledged, and handed to ThingsBoard."""

__version__ = "0.1.0"
