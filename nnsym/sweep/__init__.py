"""A family of properties over a data set, by methods in stages: who is asked what, the record, what the answers say."""
