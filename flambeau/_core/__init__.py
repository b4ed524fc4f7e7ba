"""What everything else stands on: dtypes and promotion, devices, configuration, errors, source sites."""
