"""What people want to know about data: `phi4train data check`, `stats` and `show`."""
