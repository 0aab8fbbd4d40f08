"""The procedural world that training, evaluation, the demo and the benchmarks share: scenes, camera paths, renderer."""
