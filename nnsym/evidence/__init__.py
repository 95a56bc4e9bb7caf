"""Smoothed classifiers: noise, what is sampled of it, and what counts of samples certify."""
