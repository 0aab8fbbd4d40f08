"""SynCamMaster: several cameras around one moving scene, on Wan 2.1 (Bai et al., ICLR 2025)."""
