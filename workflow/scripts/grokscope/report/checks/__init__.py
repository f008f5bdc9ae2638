"""Validation: are the results complete, and do they agree with the traces they come from?"""
