"""Where AWS credentials come from, and how they are kept fresh.

One module per source, all with the same small interface (`values.Source`); `chain` knows their order, `store` keeps
what they gave and asks again before it expires.
"""
