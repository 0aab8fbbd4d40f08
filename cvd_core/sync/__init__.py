"""CVD's cross-view synchronisation modules (paper, Sec. 4.1)."""
