"""SynCamMaster on Wan 2.1: loading, the transformer with its added modules, sampling."""
