"""Two runs of one network: how far their values are apart."""
