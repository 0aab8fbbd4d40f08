"""The ComfyUI nodes: thin - read inputs, call the core, return outputs."""
