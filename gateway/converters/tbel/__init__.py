"""TBEL, ThingsBoard's expression language (docs/tbel.md)."""

from gateway.converters.tbel.decoder import TbelDecoder

__all__ = ["TbelDecoder"]
