"""Agreement of scores with MOS: the statistics of the field, the logistic fit, bootstrap intervals and tests."""
