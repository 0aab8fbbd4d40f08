"""The pictures that nodes show of what they pass on."""
