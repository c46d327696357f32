"""Loopback doubles of platforms whose servers a test cannot reach; each behaves as its platform's documentation says."""
